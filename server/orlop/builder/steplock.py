"""One step at a time per key, across threads and processes: the second of two equal builds waits and takes the result.

A lock is a file under the store's `locks/`, removed by its last holder. A process that dies lets go by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from orlop.core.job import Job

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def held(folder: Path, key: str, job: Job) -> Iterator[None]:
    """Hold the lock of `key`; waits, and wakes with `Cancelled` when the job is cancelled."""
    path = folder / f"step-{key[:40]}"
    descriptor = _acquire(path, job)
    try:
        yield
    finally:
        # Removed before it is let go, so that whoever waits on the old file sees that its name is gone.
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path, job: Job) -> int:
    while True:
        job.checkpoint()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(descriptor, path):
                return descriptor
        except BlockingIOError:
            job.token.wait(_POLL_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)
