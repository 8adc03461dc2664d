"""Moves a stream into the worker: a pipe, and a thread that decompresses into it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading

from orlop.archive import compression
from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.job import Job

_CAPACITY = 1 << 20


def make_pipe() -> tuple[int, int]:
    """The two ends of a roomy pipe: fewer changes between the processes at its ends."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # more than this user may have: the usual size serves too
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _CAPACITY)
    return read, write


class Feeder(threading.Thread):
    """Writes the plain bytes of `source` to the descriptor `write`, and closes it at the end.

    A reader that stops early is no error of its own.
    """

    def __init__(self, source: compression.Readable, write: int, job: Job) -> None:
        super().__init__(name="feed", daemon=True)
        self._source = source
        self._write = write
        self._job = job
        self._error: BaseException | None = None

    def run(self) -> None:
        """Feed until the end."""
        try:
            with open(self._write, "wb", buffering=0) as sink:
                plain = compression.decompressed(_Lent(self._source))
                while chunk := plain.read(digests.CHUNK):
                    self._job.checkpoint()
                    view = memoryview(chunk)
                    while view:
                        view = view[sink.write(view) :]
        except BrokenPipeError:
            return
        except OSError as error:
            self._error = errors.from_os(error, "read the layer")
        except BaseException as error:  # noqa: BLE001 - raised again by whoever joins
            self._error = error

    def check(self) -> None:
        """Raise what went wrong with the source."""
        if self._error is not None:
            raise self._error


class _Lent:
    """A source that the caller closes."""

    def __init__(self, source: compression.Readable) -> None:
        self.read = source.read
