"""Turns the bytes that are read from a stream into progress."""

from __future__ import annotations

import io
from typing import IO

from orlop.core import content
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job, TransferProgress

COPYING = "copying"
EXISTS = "exists"
DONE = "done"
_STEP = 256 << 10


class Meter(io.RawIOBase):
    """Reads `source`, tells the job about it at most a hundred times, and wakes with `Cancelled` at every read.

    Closing it closes the source.
    """

    def __init__(self, source: IO[bytes], descriptor: Descriptor, job: Job) -> None:
        super().__init__()
        self.partial = content.partial_of(source)
        self._source = source
        self._descriptor = descriptor
        self._job = job
        self._step = max(_STEP, descriptor.size // 100)
        self._done = 0
        self._told = 0
        tell(job, descriptor, COPYING, 0)

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, empty at the end."""
        self._job.checkpoint()
        data = self._source.read(size)
        self._count(len(data))
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer as far as bytes come; tells how many."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()

    def _count(self, count: int) -> None:
        self._done += count
        if self._done - self._told >= self._step:
            self._told = self._done
            tell(self._job, self._descriptor, COPYING, self._done)


def tell(job: Job, descriptor: Descriptor, phase: str, done: int) -> None:
    """Tell the progress of one piece of content."""
    job.tell(TransferProgress(str(descriptor.digest), phase, done, descriptor.size))
