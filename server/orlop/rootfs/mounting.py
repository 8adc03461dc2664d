"""Snapshots as directories: mounts the overlay of some layers in the caller's own mount namespace."""

from __future__ import annotations

import os

from orlop.runtime.linux import mounts, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class snapshot:  # noqa: N801 - read as a verb: `with snapshot(...) as root`
    """A writable snapshot as an open directory: `lowers` (top first), `upper`, `work`; what is written lands in upper.

    Without lowers the upper directory itself is the snapshot. The process must be single-threaded and short-lived:
    it gets a mount namespace of its own, which ends with it.
    """

    def __init__(self, target: dict[str, Any]) -> None:
        self._target = target
        self._fd = -1

    def __enter__(self) -> int:
        target = self._target
        if not target["lowers"]:
            self._fd = os.open(target["upper"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        else:
            self._fd = _mounted(target["lowers"], target["upper"], target["work"])
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class reading:  # noqa: N801 - read as a verb: `with reading(lowers) as root`
    """A snapshot as an open directory that nobody writes; the same conditions."""

    def __init__(self, lowers: list[str]) -> None:
        self._lowers = lowers
        self._fd = -1

    def __enter__(self) -> int:
        if len(self._lowers) == 1:
            self._fd = os.open(self._lowers[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        else:
            self._fd = _mounted(self._lowers, None, None)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


_PRIVATE: list[bool] = []


def _mounted(lowers: list[str], upper: str | None, work: str | None) -> int:
    """Mount upon a directory of the overlay itself: it is surely there, and needs no other name any more."""
    if not _PRIVATE:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        mounts.make_private()
        _PRIVATE.append(True)
    target = work if work is not None else lowers[0]
    mounts.mount_overlay(target, tuple(lowers), upper, work, volatile=upper is not None)
    return os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
