"""Partial downloads: what came of a blob is kept, so that the next attempt, in whatever process, goes on from there."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import Digest
from orlop.core.job import Job, TransferProgress
from orlop.store import durable, locks
from orlop.store.layout import Layout

# What nobody went on with for so long, nobody will.
KEEP_SECONDS = 7 * 86400
_POLL_SECONDS = 0.05
_WAITING = "waiting"


@attrs.frozen
class Leftover:
    """A partial download that nobody holds; `changed` is the time (unix seconds) of its last byte."""

    name: str
    size: int
    changed: float


class Partials:
    """The partial downloads of a store. Thread-safe; any number of processes.

    A download is held by a lock on its file, so that whoever wants the same blob waits, and then finds it whole or
    goes on with it.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def open(self, descriptor: Descriptor, job: Job) -> PartialBlob:
        """Hold what is there of a blob, all of it if somebody else brought it meanwhile; waits, wakes with `Cancelled`.

        Raises `DiskFull`, `Unavailable`.
        """
        path = self._layout.partial / descriptor.digest.hex
        told = False
        while True:
            job.checkpoint()
            try:
                descriptor_of_file = self._open(path)
            except OSError as error:
                raise errors.from_os(error, f"keep the download of {descriptor.digest}") from error
            if locks.lock_now(descriptor_of_file):
                if _is(descriptor_of_file, path):
                    break
                # Its holder made it a blob, or threw it away, while we waited for the lock.
                os.close(descriptor_of_file)
                continue
            os.close(descriptor_of_file)
            if not told:
                told = True
                job.tell(TransferProgress(str(descriptor.digest), _WAITING, 0, descriptor.size))
            job.token.wait(_POLL_SECONDS)
        whole = self._whole(descriptor)
        if whole is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.close(descriptor_of_file)
            return PartialBlob(self._layout, path, whole, committed=True)
        partial = PartialBlob(self._layout, path, descriptor_of_file)
        if partial.size > descriptor.size:
            partial.discard()
        os.utime(descriptor_of_file)
        return partial

    def leftovers(self, *, before: float | None = None) -> Iterator[Leftover]:
        """Those that nobody holds and that did not change since `before` (unix seconds; None: seven days ago)."""
        border = time.time() - KEEP_SECONDS if before is None else before
        for name in self._names():
            path = self._layout.partial / name
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                if status.st_mtime < border and not locks.is_held(path):
                    yield Leftover(name, status.st_size, status.st_mtime)

    def delete(self, name: str) -> None:
        """Delete one unless somebody holds it; returns normally if it is not there."""
        path = self._layout.partial / name
        with contextlib.suppress(FileNotFoundError):
            held = locks.try_exclusive(path) if os.path.exists(path) else None
            if held is not None:
                os.unlink(path)
                os.close(held)

    def _open(self, path: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(path.parent, mode=0o700, exist_ok=True)
            return os.open(path, flags, 0o600)

    def _whole(self, descriptor: Descriptor) -> int | None:
        try:
            found = os.open(self._layout.blob(descriptor.digest), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if os.fstat(found).st_size == descriptor.size:
            return found
        os.close(found)
        return None

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._layout.partial)
        except FileNotFoundError:
            return []


class PartialBlob:
    """Implements `core.content.Partial` over a locked file; for one thread at a time."""

    def __init__(self, layout: Layout, path: Path, descriptor: int, *, committed: bool = False) -> None:
        self._layout = layout
        self._path = path
        self._descriptor = descriptor
        self._committed = committed
        self._size = os.fstat(descriptor).st_size

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self._size

    def read_at(self, position: int, count: int) -> bytes:
        """Bytes that are there, fewer at the end."""
        try:
            return os.pread(self._descriptor, count, position)
        except OSError as error:
            raise errors.from_os(error, f"read the download {self._path.name}") from error

    def append(self, data: bytes) -> None:
        """Keep the next bytes; raises `DiskFull`, and then keeps none of them."""
        if self._committed:
            raise errors.Conflict(f"cannot add to blob {self._path.name}: it is whole")
        try:
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            durable.write_all(self._descriptor, data)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise errors.from_os(error, f"keep the download {self._path.name}") from error
        self._size += len(data)

    def commit(self, digest: Digest) -> None:
        """Make it the blob of a digest that the caller has verified; returns normally if it is that already."""
        if self._committed:
            return
        target = self._layout.blob(digest)
        try:
            # Its age counts from now on, for whatever deletes old blobs.
            durable.stamp(self._descriptor)
            os.fsync(self._descriptor)
            os.makedirs(target.parent, exist_ok=True)
            os.rename(self._path, target)
            # Not before: whoever waits for the download opens it by its old name, for writing.
            os.fchmod(self._descriptor, 0o444)
            durable.sync_directory(target.parent)
        except OSError as error:
            raise errors.from_os(error, f"write blob {digest}") from error
        self._committed = True

    def discard(self) -> None:
        """Forget the bytes: they are not those of the blob."""
        if not self._committed:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            self._size = 0

    def close(self) -> None:
        """Let go; what is empty goes away, the rest waits for the next attempt."""
        if self._descriptor < 0:
            return
        if not self._committed and self._size == 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        os.close(self._descriptor)
        self._descriptor = -1


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
