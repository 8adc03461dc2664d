"""docker-archives, as `docker save` writes them: `manifest.json` lists images by the names of their files.

Read are all forms since Docker 1.10: layers as `<id>/layer.tar`, linked to each other, compressed, or, since Docker
25, as the blobs of an OCI layout in the same archive. moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem
Changeset Format".
"""

from __future__ import annotations

import io
import json
import re
from types import TracebackType
from typing import IO, Any, Self

import attrs

from orlop.archive import compression, ocilayout, parts
from orlop.archive.compression import Compression
from orlop.archive.parts import Parts
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig, mediatype, reference
from orlop.core.descriptor import MAX_DOCUMENT, Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.reference import Reference

MANIFEST = "manifest.json"

_BLOB = re.compile(r"(?:\./)?blobs/sha256/([0-9a-f]{64})\Z")
_PACKED = {Compression.GZIP: MediaType.OCI_LAYER_GZIP, Compression.ZSTD: MediaType.OCI_LAYER_ZSTD}


@attrs.frozen(slots=True)
class _Blob:
    """Where the bytes of a descriptor are: a part, perhaps to be decompressed, or bytes at hand."""

    part: str = ""
    packed: bool = False
    data: bytes = b""


class DockerArchive:
    """A docker-archive as a source of images.

    An archive of this kind has no manifests of its own, so one is made of the configuration and the layers: always
    the same for the same archive. Where the archive is an OCI layout as well, the manifests of that are kept.
    Raises `InvalidArchive` when it is incomplete or malformed.
    """

    def __init__(self, files: Parts) -> None:
        self._files = files
        self._blobs: dict[Digest, _Blob] = {}
        self._documents: dict[Digest, Manifest] = {}
        self._layers: dict[tuple[str, Digest], Descriptor] = {}
        self._originals = _originals(files)
        self._names: list[tuple[Reference | None, Descriptor]] = []
        targets: dict[tuple[str, ...], Descriptor] = {}
        for item in _images(files):
            key = (item["Config"], *item["Layers"])
            if key not in targets:
                targets[key] = self._add(item)
            names: list[Reference | None] = [*map(_reference, item["RepoTags"])]
            self._names += [(name, targets[key]) for name in names or [None]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the archive."""
        self._files.close()

    def names(self) -> tuple[tuple[Reference | None, Descriptor], ...]:
        """Every image with its name; one that has several names comes several times."""
        return tuple(self._names)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is in the archive."""
        return descriptor.digest in self._blobs or descriptor.digest in self._documents

    def resolve(self, reference: Reference) -> Descriptor:
        """The image with this name or manifest digest."""
        for name, target in self._names:
            if reference.digest == target.digest or (reference.digest is None and name == reference.or_latest()):
                return target
        raise errors.ImageNotFound(f"cannot find {reference.familiar} in the archive")

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest."""
        document = self._documents.get(descriptor.digest)
        if document is None:
            raise errors.NotFound(f"cannot find manifest {descriptor.digest} in the archive")
        return document

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        """The bytes of a configuration or layer; the caller verifies and closes."""
        job.checkpoint()
        blob = self._blobs.get(descriptor.digest)
        if blob is None:
            raise errors.NotFound(f"cannot find blob {descriptor.digest} in the archive")
        if not blob.part:
            return io.BytesIO(blob.data)
        file = self._files.open(blob.part)
        return compression.decompressed(file) if blob.packed else file

    def _add(self, item: dict[str, Any]) -> Descriptor:
        """Take in one image; answers its manifest."""
        raw = parts.read(self._files, item["Config"], MAX_DOCUMENT)
        try:
            config = imageconfig.parse(raw)
        except errors.Invalid as error:
            raise errors.InvalidArchive(f"{item['Config'][:100]} in the archive: {error.message}") from error
        if len(item["Layers"]) != len(config.diff_ids):
            raise errors.InvalidArchive(
                f"image in the archive has {len(item['Layers'])} layers, its configuration {len(config.diff_ids)}"
            )
        config_digest = digests.of_bytes(raw)
        self._blobs[config_digest] = _Blob(data=raw)
        document = self._originals.get(config_digest)
        if document is None or len(document.layers) != len(config.diff_ids):
            layers = tuple(map(self._layer, item["Layers"], config.diff_ids))
            described = Descriptor(MediaType.OCI_CONFIG, config_digest, len(raw))
            document = descriptors.make_manifest(described, layers)
        for layer in document.layers:
            self._blobs.setdefault(layer.digest, _Blob(part=ocilayout.blob_path(layer.digest)))
        target = document.descriptor
        self._documents[target.digest] = document
        return target

    def _layer(self, part: str, diff_id: Digest) -> Descriptor:
        """Describe a layer by its bytes in the archive, without unpacking it where that can be helped."""
        known = self._layers.get((part, diff_id))
        if known is None:
            known = self._layers[part, diff_id] = self._describe(part, diff_id)
        return known

    def _describe(self, part: str, diff_id: Digest) -> Descriptor:
        size = self._files.size(part)
        with self._files.open(part) as file:
            kind = compression.detect(file.read(8))
            file.seek(0)
            if size is None or kind is Compression.NONE:
                self._blobs[diff_id] = _Blob(part=part)
                return Descriptor(MediaType.OCI_LAYER, diff_id, size or 0)
            if kind in _PACKED:
                blob = _BLOB.match(part)
                digest = Digest("sha256", blob[1]) if blob else digests.of_file(file)[0]
                self._blobs[digest] = _Blob(part=part)
                return Descriptor(_PACKED[kind], digest, size)
            # No media type says bzip2 or xz: such a layer is offered as what it unpacks to.
            actual, size = digests.of_file(compression.decompressed(file))
            if actual != diff_id:
                raise errors.InvalidArchive(
                    f"layer {part[:100]} in the archive has digest {actual} instead of {diff_id}"
                )
        self._blobs[diff_id] = _Blob(part=part, packed=True)
        return Descriptor(MediaType.OCI_LAYER, diff_id, size)


def _images(files: Parts) -> list[dict[str, Any]]:
    """The entries of `manifest.json`, checked: Config, Layers and RepoTags (maybe empty) are there."""
    raw = parts.read(files, MANIFEST, MAX_DOCUMENT)
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArchive(f"{MANIFEST} in the archive is not JSON") from error
    if not isinstance(data, list):
        raise errors.InvalidArchive(f"{MANIFEST} in the archive is not a list of images")
    images = []
    for item in data:
        config = item.get("Config") if isinstance(item, dict) else None
        if not isinstance(config, str):
            raise errors.InvalidArchive(f"{MANIFEST} in the archive lists an image without a configuration")
        lists = {key: item.get(key) or [] for key in ("Layers", "RepoTags")}
        for key, names in lists.items():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise errors.InvalidArchive(f"{MANIFEST} in the archive has malformed {key}")
        images.append({"Config": config, **lists})
    return images


def _originals(files: Parts) -> dict[Digest, Manifest]:
    """The manifests of an OCI layout in the same archive whose blobs are all there, by configuration."""
    if files.size(ocilayout.LAYOUT) is None or files.size(ocilayout.INDEX) is None:
        return {}
    found: dict[Digest, Manifest] = {}
    seen: set[Digest] = set()
    pending = [*ocilayout.read_index(files)]
    while pending:
        entry = pending.pop()
        if entry.is_attestation or entry.digest in seen or files.size(ocilayout.blob_path(entry.digest)) is None:
            continue
        seen.add(entry.digest)
        if mediatype.is_index(entry.media_type):
            document = ocilayout.read_document(files, entry)
            pending += document.manifests if isinstance(document, Index) else ()
        elif mediatype.is_manifest(entry.media_type):
            document = ocilayout.read_document(files, entry)
            if isinstance(document, Manifest) and all(
                files.size(ocilayout.blob_path(layer.digest)) == layer.size for layer in document.layers
            ):
                found[document.config.digest] = document
    return found


def _reference(text: str) -> Reference:
    try:
        return reference.parse(text).or_latest()
    except errors.InvalidReference as error:
        raise errors.InvalidArchive(f"{MANIFEST} in the archive names an image badly: {error.message}") from error
