"""A snapshot as a mounted directory, for what must go through the kernel's own merge."""

from __future__ import annotations

import contextlib
import os

from orlop.archive import removal
from orlop.rootfs import merged
from orlop.runtime.linux import mounts, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def writable(target: dict[str, Any]) -> Iterator[int]:
    """The root of a snapshot (`lowers` topmost first, `upper`, `work`), open; what is written lands in upper.

    The caller has one thread and gets a mount namespace of its own. Afterwards nothing is mounted any more. Without
    lowers the upper directory itself is the snapshot.
    """
    lowers = merged.visible(target["lowers"])
    if not lowers:
        root = os.open(target["upper"], _OPEN)
        try:
            yield root
        finally:
            os.close(root)
        return
    work = target["work"]
    syscalls.unshare(syscalls.CLONE_NEWNS)
    mounts.make_private()
    # Mounted upon its own work directory: that is surely there, and needs no other name any more.
    mounts.mount_overlay(work, tuple(lowers), target["upper"], work, volatile=True)
    try:
        root = os.open(work, _OPEN)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        syscalls.umount(work, 0)
    for name in os.listdir(work):
        removal.remove_tree(f"{work}/{name}")
