"""Blobs: bytes known by their digest, written whole and verified or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import attrs

from orlop.core import content, errors
from orlop.core import digest as digests
from orlop.core.content import Partial
from orlop.core.descriptor import MAX_DOCUMENT, Descriptor
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.store import durable, locks
from orlop.store.layout import Layout


@attrs.frozen
class Blob:
    """A committed blob; `changed` is the time (unix seconds) it was written or last put again."""

    digest: Digest
    size: int
    changed: float


class Blobs:
    """The committed blobs. Thread-safe; any number of processes.

    Two writers of one digest do no harm: both write the same bytes, the second rename changes nothing.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def path(self, digest: Digest) -> Path:
        """Where the blob is, if it is there."""
        return self._layout.blob(digest)

    def has(self, digest: Digest) -> bool:
        """Whether it is there."""
        return os.path.exists(self._layout.blob(digest))

    def size(self, digest: Digest) -> int:
        """Its size in bytes; raises `NotFound`."""
        try:
            return os.stat(self._layout.blob(digest)).st_size
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def open(self, digest: Digest) -> IO[bytes]:
        """Its bytes, unverified; raises `NotFound`. Once open they stay readable, even if the blob is deleted."""
        try:
            return open(self._layout.blob(digest), "rb", buffering=0)
        except FileNotFoundError as error:
            raise _missing(digest) from error
        except OSError as error:
            raise errors.from_os(error, f"read blob {digest}") from error

    def read(self, digest: Digest) -> bytes:
        """All bytes of a small document, verified; raises `NotFound` or `Corrupt`."""
        with self.open(digest) as file:
            data = file.read(MAX_DOCUMENT + 1)
        if len(data) > MAX_DOCUMENT:
            raise errors.Corrupt(f"blob {digest} is larger than any document ({MAX_DOCUMENT} bytes)")
        if _digest_of(data, digest.algorithm) != digest:
            raise errors.Corrupt(
                f"blob {digest} in the store does not match its digest",
                hint="Remove the image that uses it and pull or build it again.",
            )
        return data

    def put_bytes(self, data: bytes) -> Digest:
        """Keep a small document; returns normally if it is there already."""
        digest = digests.of_bytes(data)
        self.put_documents({digest: data})
        return digest

    def put_documents(self, documents: dict[Digest, bytes]) -> None:
        """Keep several small documents; each must match its digest (`Corrupt` otherwise)."""
        folders = set()
        for digest, data in documents.items():
            if _digest_of(data, digest.algorithm) != digest:
                raise errors.Corrupt(f"document does not match its digest {digest}")
            if not self._again(digest):
                with self.writer() as writer:
                    writer.write(data)
                    folders.add(writer.place(digest))
        for folder in folders:
            durable.sync_directory(folder)

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        """Take a stream that must match the descriptor, else `Corrupt`; returns normally if the blob is there."""
        digest = descriptor.digest
        if self._again(digest):
            return
        with self.receiver(source) as writer:
            for chunk in digests.verified(source, digest, descriptor.size, f"blob {digest}"):
                job.checkpoint()
                writer.write(chunk, hashed=False)
            writer.accept(digest)

    def writer(self) -> BlobWriter:
        """A context that takes the bytes of a new blob; what is not committed in it goes away."""
        return BlobWriter(self._layout)

    def receiver(self, source: IO[bytes]) -> BlobWriter | KeptWriter:
        """As `writer`, for the bytes of a stream; nothing is written twice when a partial download keeps them."""
        partial = content.partial_of(source)
        return BlobWriter(self._layout) if partial is None else KeptWriter(partial)

    def delete(self, digest: Digest) -> None:
        """Remove it; returns normally if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._layout.blob(digest))

    def all(self) -> Iterator[Blob]:
        """Every committed blob, in no order."""
        for algorithm in _names(self._layout.blobs):
            with contextlib.suppress(FileNotFoundError), os.scandir(self._layout.blobs / algorithm) as entries:
                for entry in entries:
                    with contextlib.suppress(errors.Invalid, FileNotFoundError):
                        digest = digests.parse(f"{algorithm}:{entry.name}")
                        status = entry.stat(follow_symlinks=False)
                        yield Blob(digest, status.st_size, status.st_mtime)

    def _again(self, digest: Digest) -> bool:
        """Whether it is there; if so it counts as new, so that nothing that ages deletes it under the caller."""
        try:
            durable.stamp(self._layout.blob(digest))
        except OSError:
            return self.has(digest)
        return True


class BlobWriter:
    """Takes the bytes of one blob; visible to others only after `commit`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._hasher = hashlib.sha256()
        self._size = 0
        self._path = layout.ingest / os.urandom(12).hex()
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            # Shared with other writers: the collector, which wants it alone, never sees the file before its lock.
            with locks.shared(self._layout.lock("gc")):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise errors.from_os(error, "write a blob") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, data: bytes | memoryview, *, hashed: bool = True) -> None:
        """Add bytes; `hashed=False` is for callers that verify themselves and end with `accept`."""
        if hashed:
            self._hasher.update(data)
        self._size += len(data)
        try:
            durable.write_all(self._descriptor, data)
        except OSError as error:
            raise errors.from_os(error, "write a blob") from error

    def commit(self, expected: Digest | None = None, size: int | None = None) -> tuple[Digest, int]:
        """Make it a blob; raises `Corrupt`, and keeps nothing, when digest or size are not the expected ones."""
        digest = Digest("sha256", self._hasher.hexdigest())
        if expected is not None and expected.algorithm != "sha256":
            digest = self._rehashed(expected.algorithm)
        digests.check(
            expected or digest, digest, self._size if size is None else size, self._size, f"blob {expected or digest}"
        )
        self.accept(digest)
        return digest, self._size

    def accept(self, digest: Digest) -> None:
        """Make it the blob of a digest that the caller has verified."""
        try:
            durable.sync_directory(self.place(digest))
        except OSError as error:
            raise errors.from_os(error, f"write blob {digest}") from error

    def place(self, digest: Digest) -> Path:
        """As `accept`, but leaves it to the caller to sync the directory, which it gives."""
        target = self._layout.blob(digest)
        try:
            os.fchmod(self._descriptor, 0o444)
            durable.stamp(self._descriptor)  # compared with the beginning of leases
            os.fsync(self._descriptor)
            if digest.algorithm != "sha256":
                os.makedirs(target.parent, exist_ok=True)
            os.rename(self._path, target)
        except OSError as error:
            raise errors.from_os(error, f"write blob {digest}") from error
        os.close(self._descriptor)
        self._descriptor = -1
        return target.parent

    def _rehashed(self, algorithm: str) -> Digest:
        hasher = hashlib.new(algorithm)
        position = 0
        while chunk := os.pread(self._descriptor, digests.CHUNK, position):
            hasher.update(chunk)
            position += len(chunk)
        return Digest(algorithm, hasher.hexdigest())


class KeptWriter:
    """Stands for a `BlobWriter` where a partial download keeps the bytes already as they are read."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Bytes that are wrong are of no use to a further attempt; those that came before a break are.
        if isinstance(value, errors.Corrupt | errors.InvalidArchive):
            self._partial.discard()

    def write(self, data: bytes | memoryview, *, hashed: bool = True) -> None:
        """Nothing: they are kept."""

    def accept(self, digest: Digest) -> None:
        """Make it the blob of a digest that the caller has verified."""
        self._partial.commit(digest)


def _digest_of(data: bytes, algorithm: str) -> Digest:
    return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())


def _names(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return ()


def _missing(digest: Digest) -> errors.NotFound:
    return errors.NotFound(f"blob {digest} is not in the store", hint="Pull or load the image again.")
