"""The store as a place that images are copied from and to: blobs that are not kept are derived from their layers."""

from __future__ import annotations

import os
import threading
from typing import IO

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig, mediatype, platform
from orlop.core.descriptor import MAX_DOCUMENT, Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.rootfs import layers, packing
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store


class StoreContent:
    """Implements the ports of `core.content`. Thread-safe; one object for one operation.

    Whoever puts holds a lease (`store.leases.hold`) until the image is there.
    """

    def __init__(self, store: Store, workshop: Workshop) -> None:
        self._store = store
        self._workshop = workshop
        self._lock = threading.Lock()
        self._configs: dict[Digest, bytes] = {}

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the bytes are here or can be derived."""
        if descriptor.digest in self._configs or self._store.blobs.has(descriptor.digest):
            return True
        return mediatype.is_layer(descriptor.media_type) and self.has_layer(descriptor.digest)

    def has_layer(self, diff_id: Digest) -> bool:
        """Whether the layer is unpacked."""
        return self._store.layers.by_diff_id(diff_id) is not None

    def resolve(self, reference: Reference) -> Descriptor:
        """The manifest a name stands for."""
        return self._store.images.find(str(reference)).manifest

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index, verified."""
        return descriptors.parse_document(self._store.blobs.read(descriptor.digest), descriptor.media_type)

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        """The bytes of a blob; the caller verifies and closes."""
        if self._store.blobs.has(descriptor.digest):
            return self._store.blobs.open(descriptor.digest)
        layer = self._store.layers.by_diff_id(descriptor.digest)
        if layer is None:
            packed = packing.repacked(self._store, self._workshop, descriptor, job)
            if packed is not None:
                return packed
            raise errors.NotFound(
                f"cannot find blob {descriptor.digest}", hint="Pull or load the image again to restore it."
            )
        return layers.open_tar(self._store, self._workshop, layer, job)

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        """Take a blob; layers are unpacked on the way, a configuration waits for its manifest."""
        if mediatype.is_layer(descriptor.media_type):
            layers.receive(self._store, self._workshop, source, descriptor, job)
        elif descriptor.media_type in mediatype.CONFIGS and descriptor.size <= MAX_DOCUMENT:
            what = f"image configuration {descriptor.digest}"
            raw = b"".join(digests.verified(source, descriptor.digest, descriptor.size, what))
            with self._lock:
                self._configs[descriptor.digest] = raw
        else:
            self._store.blobs.put(descriptor, source, job)

    def put_document(self, document: Manifest | Index, job: Job) -> None:
        """Take a manifest whose parts are here; the image exists afterwards."""
        if isinstance(document, Index):
            self._store.blobs.put_bytes(document.raw)
            return
        with self._lock:
            raw = self._configs.pop(document.config.digest, None)
        if raw is None:
            raw = self._store.blobs.read(document.config.digest)
        ids: list[str] = []
        # By diff ID: a layer that was here already may have come in another compressed form.
        for position, diff_id in enumerate(imageconfig.parse(raw).diff_ids):
            job.checkpoint()
            layer = self._store.layers.by_diff_id(diff_id)
            if layer is None:
                self._check_promise(document, position, diff_id)
                raise errors.NotFound(
                    f"cannot find layer {diff_id} of the image", hint="Pull or load the image again to restore it."
                )
            ids.append(layer.id)
        self._store.images.add(document, raw, tuple(ids))

    def _check_promise(self, manifest: Manifest, position: int, diff_id: Digest) -> None:
        """Raise `Corrupt` when the layer came, and is not the one that the configuration names."""
        blob = manifest.layers[position].digest if position < len(manifest.layers) else None
        actual = self._store.layers.uncompressed(blob) if blob is not None else None
        if actual is not None and actual != diff_id:
            raise errors.Corrupt(
                f"layer {blob} unpacks to {actual} instead of {diff_id}, which the image's configuration names",
                hint="The image was made wrong: build and push it again.",
            )

    def tag(self, reference: Reference, target: Descriptor) -> None:
        """Name an image by its manifest, or by an index of which it is the one that fits this machine best."""
        image = self._store.images.by_manifest(target.digest)
        if image is None and mediatype.is_index(target.media_type):
            image = self._best_of(target)
        if image is None:
            raise errors.ImageNotFound(f"cannot tag {reference.familiar}: its image is not in the store")
        self._store.images.tag(reference, image.id)

    def _best_of(self, index: Descriptor) -> Image | None:
        document = self.document(index)
        assert isinstance(document, Index)
        images = [self._store.images.by_manifest(entry.digest) for entry in document.manifests]
        there = [image for image in images if image is not None]
        best = platform.choose(platform.of_machine(os.uname().machine), (image.config.platform for image in there))
        return there[best or 0] if there else None
