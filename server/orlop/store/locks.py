"""File locks between processes; the kernel lets go of them when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from orlop.core import errors
from orlop.core.job import Job

_POLL_SECONDS = 0.01


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock together with other sharers; waits while somebody holds it alone."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: Path, job: Job, *, seconds: float = 60) -> Iterator[None]:
    """Hold the lock alone; waits, wakes with `Cancelled`, and raises `Conflict` after `seconds`."""
    descriptor = _open(path)
    try:
        _wait(descriptor, path, job, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def hold_shared(path: Path) -> int:
    """Take the lock together with others; closing the descriptor lets go."""
    descriptor = _open(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def try_exclusive(path: Path) -> int | None:
    """The descriptor of the lock when nobody holds it, else None; closing it lets go."""
    descriptor = _open(path)
    if lock_now(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def lock_now(descriptor: int) -> bool:
    """Lock an open file alone; False when somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether somebody holds a lock on this file; False when it does not exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not lock_now(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _wait(descriptor: int, path: Path, job: Job, deadline: float) -> None:
    while not lock_now(descriptor):
        job.checkpoint()
        if time.monotonic() > deadline:
            raise errors.Conflict(
                f"cannot get the lock {path.name} of the image store: another process keeps it",
                hint="Wait until the other operation has finished and try again.",
            )
        job.token.wait(_POLL_SECONDS)
