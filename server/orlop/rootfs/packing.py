"""Packing: the compressed form in which the layers of an image leave for a registry.

Layers lie here as trees, built ones without any blob. Each is compressed while it is read, always to the same bytes,
and its digest remembered, so that a registry that has it once is not sent it again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import attrs

from orlop.archive import compression
from orlop.archive.compression import Compression
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, mediatype
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.rootfs import layers
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.layers import Layer
from orlop.store.store import Store

# Part of what makes the bytes the same every time.
_LEVEL = 1
_PIECE = 1 << 20
_MOST_FORMS = 3
_GZIP = {True: MediaType.DOCKER_LAYER_GZIP, False: MediaType.OCI_LAYER_GZIP}

Counted = Callable[[int], None]


@attrs.frozen
class Part:
    """One layer of an image on its way out.

    `stated` is what the image's manifest says of it, `forms` the blobs that stand for it as well as is known, those
    that lie here first. `foreign` layers are never pushed.
    """

    stated: Descriptor
    layer: Layer
    forms: tuple[Descriptor, ...]
    foreign: bool


class Packed:
    """The compressed form of one layer's tar, made anew whenever it is read; what it became is known at the end."""

    def __init__(
        self, tar: Callable[[], IO[bytes]], layer: Layer, media_type: str, count: Counted | None = None
    ) -> None:
        self.descriptor: Descriptor | None = None
        self._tar = tar
        self._layer = layer
        self._media_type = media_type
        self._count = count

    def __iter__(self) -> Iterator[bytes]:
        """The pieces; raises `Corrupt`, before the last one, when the tar is not that of the layer."""
        self.descriptor = None
        packer = compression.compressor(Compression.GZIP, _LEVEL)
        plain, packed = hashlib.sha256(), hashlib.sha256()
        plain_size = size = 0
        with self._tar() as tar:
            # Always as large, for the result depends on the pieces.
            while piece := _exactly(tar, _PIECE):
                plain.update(piece)
                plain_size += len(piece)
                data = packer.compress(piece)
                if self._count is not None:
                    self._count(plain_size)
                if data:
                    packed.update(data)
                    size += len(data)
                    yield data
        layer = self._layer
        if layer.diff_id is not None and layer.diff_id.algorithm == "sha256":
            what, expected_size = f"layer {layer.diff_id}", plain_size if layer.tar_size is None else layer.tar_size
            digests.check(layer.diff_id, Digest("sha256", plain.hexdigest()), expected_size, plain_size, what)
        data = packer.flush()
        packed.update(data)
        self.descriptor = Descriptor(self._media_type, Digest("sha256", packed.hexdigest()), size + len(data))
        yield data


class Packing:
    """The layers of one image, packed. Thread-safe."""

    def __init__(self, store: Store, workshop: Workshop, image: Image) -> None:
        if image.missing:
            raise errors.NotFound(
                f"cannot push image {image.id.short}: its layer {image.missing[0].short} is lost",
                hint="Pull or build the image again to restore it.",
            )
        document = descriptors.parse_document(store.blobs.read(image.manifest.digest), image.manifest.media_type)
        if not isinstance(document, Manifest):
            raise errors.Corrupt(f"manifest {image.manifest.digest} in the store is not that of an image")
        self.manifest = document
        self._store = store
        self._workshop = workshop
        # What a registry knows an image by stays as it is, even if its layers are not compressed.
        self._published = any(known.digest == image.manifest.digest for known in image.repo_digests)
        self._docker = document.media_type == MediaType.DOCKER_MANIFEST
        self.parts = tuple(
            self._part(stated, layer) for stated, layer in zip(document.layers, image.layers, strict=True)
        )

    def config(self) -> bytes:
        """The image's configuration, which no packing changes."""
        return self._store.blobs.read(self.manifest.config.digest)

    def keeps(self, form: Descriptor) -> bool:
        """Whether the bytes of a form lie here."""
        return self._store.blobs.has(form.digest)

    def blob(self, form: Descriptor) -> IO[bytes]:
        """The bytes of a form that lies here, from the start; the caller closes."""
        return self._store.blobs.open(form.digest)

    def tar(self, part: Part, job: Job) -> IO[bytes]:
        """The layer uncompressed; the caller closes."""
        return layers.open_tar(self._store, self._workshop, part.layer, job)

    def pack(self, part: Part, job: Job, count: Counted | None = None) -> Packed:
        """The layer compressed; `count` is told the bytes of its tar that are done."""
        return Packed(lambda: self.tar(part, job), part.layer, _GZIP[self._docker], count)

    def remember(self, part: Part, form: Descriptor) -> None:
        """Know a packed layer again: the next push asks for it before anything is compressed."""
        if part.layer.diff_id is not None and form not in part.forms:
            self._store.layers.set_compressed(part.layer.diff_id, form)

    def document(self, forms: Mapping[Digest, Descriptor]) -> Manifest:
        """The manifest with the chosen form for each layer (by the digest stated); untouched if they are the stated.

        All else in it, known or not, stays.
        """
        if all(forms.get(part.stated.digest, part.stated) == part.stated for part in self.parts):
            return self.manifest
        data: dict[str, Any] = json.loads(self.manifest.raw)
        for entry, part in zip(data["layers"], self.parts, strict=True):
            form = forms.get(part.stated.digest, part.stated)
            entry |= {"mediaType": str(form.media_type), "digest": str(form.digest), "size": form.size}
        document = descriptors.parse_document(descriptors.encode(data), self.manifest.media_type)
        assert isinstance(document, Manifest)
        return document

    def _part(self, stated: Descriptor, layer: Layer) -> Part:
        if mediatype.is_foreign(stated.media_type):
            return Part(stated, layer, (), foreign=True)
        own = (stated,) if self._published or _is_compressed(stated.media_type) else ()
        known = self._store.layers.compressed(layer.diff_id) if layer.diff_id is not None else ()
        usual = _GZIP[self._docker]
        # Only gzip is understood everywhere.
        others = [
            attrs.evolve(form, media_type=usual)
            for form in known
            if form.media_type.endswith("gzip") and form.digest not in (stated.digest, layer.diff_id)
        ]
        others.sort(key=lambda form: not self._store.blobs.has(form.digest))
        return Part(stated, layer, (*own, *others[:_MOST_FORMS]), foreign=False)


def repacked(store: Store, workshop: Workshop, descriptor: Descriptor, job: Job) -> IO[bytes] | None:
    """The bytes of a blob that this program once packed and did not keep; None when it cannot be made again.

    The reader verifies: another version of the compressor may give other bytes.
    """
    diff_id = store.layers.uncompressed(descriptor.digest)
    layer = None if diff_id is None else store.layers.by_diff_id(diff_id)
    if layer is None or not descriptor.media_type.endswith("gzip"):
        return None
    packed = Packed(lambda: layers.open_tar(store, workshop, layer, job), layer, descriptor.media_type)
    return io.BufferedReader(_Pieces(iter(packed)), _PIECE)


class _Pieces(io.RawIOBase):
    """An iterator of pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()


def _is_compressed(media_type: str) -> bool:
    return media_type.endswith(("gzip", "zstd"))


def _exactly(file: IO[bytes], count: int) -> bytes:
    """`count` bytes, fewer only at the end."""
    data = file.read(count)
    while data and len(data) < count:
        more = file.read(count - len(data))
        if not more:
            break
        data += more
    return data
