"""A place in memory that implements the content ports as strictly as a registry, and images to put there."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import IO

import attrs
import pytest

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.core.reference import Reference

AMD64 = Platform("linux", "amd64")


class Place:
    """Keeps blobs, documents and names; refuses a document whose parts are missing and a name without its document."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.documents: dict[Digest, Manifest | Index] = {}
        self.names: dict[str, Descriptor] = {}
        self.log: list[str] = []
        self.opened: list[Digest] = []
        self.guard = threading.Lock()

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self.blobs or descriptor.digest in self.documents

    def resolve(self, reference: Reference) -> Descriptor:
        try:
            return self.names[str(reference)]
        except KeyError:
            raise errors.NotFound(f"no such name: {reference}") from None

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        try:
            return self.documents[descriptor.digest]
        except KeyError:
            raise errors.NotFound(f"no such document: {descriptor.digest}") from None

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        with self.guard:
            self.opened.append(descriptor.digest)
        try:
            return io.BytesIO(self.blobs[descriptor.digest])
        except KeyError:
            raise errors.NotFound(f"no such blob: {descriptor.digest}") from None

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        data = b"".join(digests.verified(source, descriptor.digest, descriptor.size, "blob"))
        with self.guard:
            self.blobs[descriptor.digest] = data
            self.log.append(f"blob {descriptor.digest.short}")

    def put_document(self, document: Manifest | Index, job: Job) -> None:
        parts = document.manifests if isinstance(document, Index) else (document.config, *document.layers)
        for part in parts:
            if not self.has(part) and not self.may_miss(part):
                raise errors.Invalid(f"part {part.digest} is missing")
        self.documents[document.descriptor.digest] = document
        self.log.append(f"document {document.descriptor.digest.short}")

    def may_miss(self, part: Descriptor) -> bool:
        return ".foreign." in part.media_type or ".nondistributable." in part.media_type

    def tag(self, reference: Reference, target: Descriptor) -> None:
        if target.digest not in self.documents:
            raise errors.NotFound(f"document {target.digest} is missing")
        self.names[str(reference)] = target
        self.log.append(f"name {reference.familiar}")


class LayerPlace(Place):
    """A place that also knows layers by their diff ID."""

    def __init__(self, unpacked: tuple[Digest, ...] = ()) -> None:
        super().__init__()
        self.unpacked = set(unpacked)

    def has_layer(self, diff_id: Digest) -> bool:
        return diff_id in self.unpacked

    def may_miss(self, part: Descriptor) -> bool:
        return True


@attrs.frozen
class Maker:
    """Puts images into a place; a layer's blob is its content twice, so that it differs from its diff ID."""

    place: Place

    def image(
        self,
        *contents: bytes,
        platform: Platform | None = AMD64,
        kind: str = MediaType.OCI_LAYER_GZIP,
        **changes: object,
    ) -> Descriptor:
        """An image of such layers; the descriptor is what an index says of it."""
        layers = tuple(self.blob(content * 2, kind) for content in contents)
        raw = imageconfig.encode(ImageConfig(platform or AMD64, diff_ids=tuple(map(digests.of_bytes, contents))))
        manifest = descriptors.make_manifest(self.blob(raw, MediaType.OCI_CONFIG), layers)
        self.place.documents[manifest.descriptor.digest] = manifest
        return attrs.evolve(manifest.descriptor, platform=platform, **changes)

    def index(self, *entries: Descriptor) -> Descriptor:
        """An index of such entries."""
        index = descriptors.make_index(entries)
        self.place.documents[index.descriptor.digest] = index
        return index.descriptor

    def blob(self, data: bytes, kind: str) -> Descriptor:
        """A blob."""
        digest = digests.of_bytes(data)
        self.place.blobs[digest] = data
        return Descriptor(kind, digest, len(data))


@pytest.fixture
def source() -> Place:
    return Place()


@pytest.fixture
def sink() -> Place:
    return Place()


@pytest.fixture
def layer_sink() -> Callable[..., LayerPlace]:
    return LayerPlace


@pytest.fixture
def make(source: Place) -> Maker:
    return Maker(source)
