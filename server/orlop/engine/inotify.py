"""Sleeping in the kernel until something in a directory or a file changes: inotify(7) through libc."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
_CLOEXEC = 0o2000000
_NONBLOCK = 0o4000
_MOST = 1 << 16


class Inotify:
    """One inotify descriptor; closing it ends every watch."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(_CLOEXEC | _NONBLOCK))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")

    def fileno(self) -> int:
        """For `select`: readable when something happened."""
        return self._fd

    def add(self, path: Path, mask: int) -> None:
        """Watch a path too; raises `OSError`."""
        if self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))

    def drain(self) -> None:
        """Forget what has happened so far."""
        try:
            while os.read(self._fd, _MOST):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """End."""
        os.close(self._fd)
