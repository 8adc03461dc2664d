"""The composition root: the only place that constructs things and knows how they hang together."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orlop.core import errors
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.engine.settings import Settings
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store

if TYPE_CHECKING:
    from orlop.engine.builds import Builds
    from orlop.engine.containers import Containers
    from orlop.engine.events import StoreWatch
    from orlop.engine.images import Images
    from orlop.engine.registries import Registries
    from orlop.engine.system import System

PullPolicy = Literal["missing", "always", "never"]


class Engine:
    """One store, one workshop, and the use-cases over them; any number of engines may share a store.

    Each noun is made (and its code imported) when first asked for: a terminal verb pays only for what it uses.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._workshop = Workshop(settings.root)
        self.store = Store(settings.root, remove_tree=self._remove_tree)

    @cached_property
    def images(self) -> Images:
        """Images."""
        from orlop.engine.images import Images  # noqa: PLC0415

        return Images(self.store, self._workshop, self._users_of, self._runners_of)

    @cached_property
    def builds(self) -> Builds:
        """Builds."""
        from orlop.engine.builds import Builds  # noqa: PLC0415

        return Builds(self.store, self._workshop, self.settings, lambda: self.registries)

    @cached_property
    def registries(self) -> Registries:
        """Registries."""
        from orlop.engine.registries import Registries  # noqa: PLC0415

        return Registries(self.store, self._workshop, self.settings)

    @cached_property
    def containers(self) -> Containers:
        """Containers."""
        from orlop.engine.containers import Containers  # noqa: PLC0415

        return Containers(self.store, self._workshop, self.settings)

    @cached_property
    def system(self) -> System:
        """The host and the store as a whole."""
        from orlop.engine.system import System  # noqa: PLC0415

        return System(self.settings, self.store, rootless=os.geteuid() != 0)

    def image(self, text: str, policy: PullPolicy, job: Job) -> Image:
        """The image of a name or ID: pulled when it is missing here, always, or never; raises `ImageNotFound`.

        A platform is this machine's. What is here is found without a line of the registry client.
        """
        if policy != "always":
            try:
                found = self.store.images.find(text)
                if policy == "never" or not found.missing:
                    return found
            except errors.ImageNotFound:
                if policy == "never":
                    raise
            job.note(f"unable to find image '{text}' locally")
        return self.registries.ensure(text, job)

    def watch(self, listener: Callable[[int], None]) -> StoreWatch:
        """Call `listener` with the new revision whenever anyone changes the store."""
        from orlop.engine.events import StoreWatch  # noqa: PLC0415

        return StoreWatch(self.store, listener)

    def close(self) -> None:
        """End the helper processes; nothing is lost if this never runs."""
        if "containers" in self.__dict__:
            self.containers.close()
        if "registries" in self.__dict__:
            self.registries.close()
        self._workshop.close()
        self.store.close()

    def _remove_tree(self, path: Path) -> None:
        self._workshop.call("remove", {"path": str(path)}, Job())

    def _users_of(self, image: Digest) -> tuple[str, ...]:
        return self.containers.using(image)

    def _runners_of(self, image: Digest) -> tuple[str, ...]:
        return tuple(each.name for each in self.containers.list() if each.image.id == str(image))
