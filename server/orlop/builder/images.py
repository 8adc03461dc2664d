"""The images a build starts from and copies from: found in the store first, pulled where that is possible."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from orlop.builder import cachekey
from orlop.core import errors
from orlop.core import reference as references
from orlop.core.errors import Location
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.platform import Platform
from orlop.core.reference import Reference
from orlop.store.images import Image
from orlop.store.layers import Layer
from orlop.store.store import Store

Pull = Callable[[Reference, Platform, Job], Image]


class BaseImages:
    """Remembers every image that one build asked for, so that a name means one image throughout."""

    def __init__(self, store: Store, pull: Pull | None, platform: Platform, job: Job, *, always: bool = False) -> None:
        self._store = store
        self._pull = pull
        self._platform = platform
        self._job = job
        self._always = always
        self._found: dict[Reference, Image] = {}
        self._lock = threading.Lock()

    @property
    def found(self) -> Mapping[Reference, Image]:
        """All that were asked for."""
        return self._found

    def config(self, reference: Reference, location: Location) -> ImageConfig:
        """The configuration of an image; raises `ImageNotFound`, or what the registry says, at `location`."""
        return self.get(reference, location).config

    def get(self, reference: Reference, location: Location) -> Image:
        """The image itself."""
        with self._lock:
            if reference not in self._found:
                try:
                    self._found[reference] = self._resolve(reference)
                except errors.OrlopError as error:
                    error.location = error.location or location
                    raise
            return self._found[reference]

    def known(self, name: str) -> ImageConfig | None:
        """The configuration of an image that was asked for, by a name as people write it."""
        try:
            image = self._found.get(references.parse(name).or_latest())
        except errors.InvalidReference:
            return None
        return image.config if image is not None else None

    def layers(self) -> dict[Reference, tuple[Layer, ...]]:
        """The layers of each image, lowest first."""
        return {reference: image.layers for reference, image in self._found.items()}

    def keys(self) -> dict[Reference, str]:
        """The cache key of each image's file system."""
        return {
            reference: cachekey.of_image(image.config.diff_ids, image.config.platform)
            for reference, image in self._found.items()
        }

    def _resolve(self, reference: Reference) -> Image:
        if self._always and self._pull is not None:
            return self._pull(reference, self._platform, self._job)
        try:
            return self._local(reference)
        except errors.ImageNotFound as error:
            if self._pull is not None:
                return self._pull(reference, self._platform, self._job)
            raise errors.ImageNotFound(
                f"failed to resolve source metadata for {reference}: {error.message}",
                hint=error.hint or f"Load it with `orlop load`, or check the name {reference.familiar}.",
            ) from error

    def _local(self, reference: Reference) -> Image:
        image = self._store.images.find(str(reference))
        if image.missing:
            raise errors.ImageNotFound(
                f"image {reference.familiar} has lost {len(image.missing)} of its layers",
                hint=f"Pull or load {reference.familiar} again.",
            )
        # A name made of hex digits could also be read as the start of an image's ID.
        if reference in image.references or reference.digest is not None:
            return image
        if len(reference.path.rpartition("/")[2]) >= 12:
            return image
        raise errors.ImageNotFound(f"no image named {reference.familiar}")
