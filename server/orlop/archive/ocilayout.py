"""OCI layouts: `oci-layout`, `index.json` and `blobs/`, read from a folder or a tar, written to a folder.

OCI image-spec, image-layout.md. Images are named by the annotation `io.containerd.image.name`, or else by
`org.opencontainers.image.ref.name`, in which some tools put a whole name and others a tag only.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import attrs

from orlop.archive import parts
from orlop.archive.parts import Parts
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, mediatype, reference
from orlop.core.descriptor import MAX_DOCUMENT, Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference

LAYOUT = "oci-layout"
INDEX = "index.json"
LAYOUT_DOCUMENT = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"

_VERSION_LIKE = re.compile(r"(latest|v?\d[\w.-]*)\Z")


def blob_path(digest: Digest) -> str:
    """Where a blob lies in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def named(target: Descriptor, name: Reference | None) -> Descriptor:
    """The entry of `index.json` that gives `target` a name, in both spellings that readers look for."""
    annotations = {key: value for key, value in target.annotations.items() if key not in (REF_NAME, CONTAINERD_NAME)}
    if name is not None:
        annotations |= {CONTAINERD_NAME: str(name), REF_NAME: str(name)}
    return attrs.evolve(target, annotations=annotations)


def name_of(entry: Descriptor) -> Reference | None:
    """The image name an entry of `index.json` has, if any.

    A bare word may be a tag of an image whose name is nowhere (`latest`, `1.2`), or the name of one.
    """
    for text in (entry.annotations.get(CONTAINERD_NAME), entry.annotations.get(REF_NAME)):
        if not text or _VERSION_LIKE.match(text):
            continue
        try:
            return reference.parse(text).or_latest()
        except errors.InvalidReference:
            continue
    return None


class OciLayout:
    """A layout as a source of images. Raises `InvalidArchive` when it is incomplete or does not match its digests."""

    def __init__(self, files: Parts) -> None:
        self._files = files
        _check_version(files)
        self._entries = read_index(files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the archive."""
        self._files.close()

    def names(self) -> tuple[tuple[Reference | None, Descriptor], ...]:
        """Every image of the layout with its name; one that has several names comes several times."""
        wanted = (item for item in self._entries if not item.is_attestation)
        return tuple((name_of(item), _plain(item)) for item in wanted if _is_image(item))

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is in the layout."""
        return self._files.size(blob_path(descriptor.digest)) == descriptor.size

    def resolve(self, reference: Reference) -> Descriptor:
        """The image with this digest or name; a bare tag in the layout fits every repository."""
        for entry in self._entries:
            if reference.digest is not None:
                if entry.digest == reference.digest:
                    return _plain(entry)
            elif (
                name_of(entry) == reference.or_latest() or entry.annotations.get(REF_NAME) == reference.or_latest().tag
            ):
                return _plain(entry)
        raise errors.ImageNotFound(f"cannot find {reference.familiar} in the archive")

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index, verified."""
        return read_document(self._files, descriptor)

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        """The bytes of a blob; the caller verifies and closes."""
        job.checkpoint()
        path = blob_path(descriptor.digest)
        size = self._files.size(path)
        if size is not None and size != descriptor.size:
            raise errors.InvalidArchive(f"{path} in the archive has {size} bytes instead of {descriptor.size}")
        return self._files.open(path)


class OciFolder:
    """A layout folder as source and destination; made if missing. Several processes may write at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            (path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            if not (path / LAYOUT).exists():
                _replace(path / LAYOUT, LAYOUT_DOCUMENT)
            if not (path / INDEX).exists():
                with self._locked():
                    if not (path / INDEX).exists():
                        _replace(path / INDEX, descriptors.make_index(()).raw)
        except OSError as error:
            raise errors.from_os(error, f"write the image folder {path}") from error

    def _reader(self) -> OciLayout:
        return OciLayout(parts.Folder(self._path))

    def names(self) -> tuple[tuple[Reference | None, Descriptor], ...]:
        """Every image with its name."""
        return self._reader().names()

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is in the layout."""
        return parts.Folder(self._path).size(blob_path(descriptor.digest)) == descriptor.size

    def resolve(self, reference: Reference) -> Descriptor:
        """The image with this name or digest."""
        return self._reader().resolve(reference)

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index, verified."""
        return self._reader().document(descriptor)

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        """The bytes of a blob; the caller verifies and closes."""
        return self._reader().open(descriptor, job)

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        """Take a blob; it is visible once it is whole and verified."""
        if self.has(descriptor):
            return
        target = self._path / blob_path(descriptor.digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _writing(target) as file:
                for chunk in digests.verified(source, descriptor.digest, descriptor.size, f"blob {descriptor.digest}"):
                    job.checkpoint()
                    file.write(chunk)
        except OSError as error:
            raise errors.from_os(error, f"write {target}") from error

    def put_document(self, document: Manifest | Index, job: Job) -> None:
        """Take a manifest or index; it gets into `index.json` by `tag` or `keep`."""
        self.put(document.descriptor, io.BytesIO(document.raw), job)

    def tag(self, reference: Reference, target: Descriptor) -> None:
        """Name the target; the name moves if another image had it."""
        self._enter(reference, target)

    def keep(self, target: Descriptor) -> None:
        """List an image that has no name; returns normally if it is listed in any way."""
        self._enter(None, target)

    def _enter(self, name: Reference | None, target: Descriptor) -> None:
        try:
            with self._locked():
                entries = read_index(parts.Folder(self._path))
                listed = any(item.digest == target.digest for item in entries)
                if name is None and listed:
                    return
                kept = [
                    item
                    for item in entries
                    if (name is None or name_of(item) != name)
                    and (item.digest != target.digest or name_of(item) is not None)
                ]
                _replace(self._path / INDEX, descriptors.make_index((*kept, named(target, name))).raw)
        except OSError as error:
            raise errors.from_os(error, f"write {self._path / INDEX}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def read_index(files: Parts) -> tuple[Descriptor, ...]:
    """The entries of `index.json`."""
    try:
        document = descriptors.parse_document(parts.read(files, INDEX, MAX_DOCUMENT))
    except errors.InvalidArchive:
        raise
    except errors.Invalid as error:
        raise errors.InvalidArchive(f"{INDEX} in the archive is malformed: {error.message}") from error
    if not isinstance(document, Index):
        raise errors.InvalidArchive(f"{INDEX} in the archive is not an image index")
    return document.manifests


def read_document(files: Parts, descriptor: Descriptor) -> Manifest | Index:
    """A manifest or index of a layout, verified against its digest."""
    raw = parts.read(files, blob_path(descriptor.digest), MAX_DOCUMENT)
    what = f"manifest {descriptor.digest}"
    try:
        for _ in digests.verified(io.BytesIO(raw), descriptor.digest, descriptor.size, what):
            pass
        return descriptors.parse_document(raw, descriptor.media_type)
    except (errors.Corrupt, errors.Invalid) as error:
        raise errors.InvalidArchive(f"{what} in the archive is damaged: {error.message}") from error


def _check_version(files: Parts) -> None:
    raw = parts.read(files, LAYOUT, 1 << 16)
    try:
        version = json.loads(raw)["imageLayoutVersion"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise errors.InvalidArchive(f"{LAYOUT} in the archive is malformed") from error
    if not str(version).startswith("1."):
        raise errors.InvalidArchive(f"archive has the unknown layout version {str(version)[:20]!r}")


def _plain(entry: Descriptor) -> Descriptor:
    """Without the annotations that only name it."""
    return named(entry, None)


def _is_image(entry: Descriptor) -> bool:
    return mediatype.is_index(entry.media_type) or mediatype.is_manifest(entry.media_type)


@contextmanager
def _writing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole and on disk."""
    fd, temporary = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    parent = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _replace(target: Path, data: bytes) -> None:
    with _writing(target) as file:
        file.write(data)
