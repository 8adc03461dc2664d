"""Tells listeners that the store changed, whoever changed it: this process, another window, a terminal.

The kernel reports writes to the store's revision file, and to that of containers which change by themselves (inotify,
through libc), so nothing polls.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import threading
from collections.abc import Callable

from orlop.runtime.shim.state import CHANGED
from orlop.store.store import Store

_IN_MODIFY, _IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x8, 0x80, 0x100, 0x200
_IN_CLOEXEC = 0o2000000
_GATHER_SECONDS = 0.1

Listener = Callable[[int], None]


class StoreWatch:
    """One thread that sleeps in the kernel; `listener` gets the newest revision, at most ten times a second."""

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store = store
        self._listener = listener
        self._changed = store.root / "containers" / CHANGED
        self._seen = self._look()
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._inotify = self._open()
        self._thread = threading.Thread(target=self._watch, name="store-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; returns once the thread is gone."""
        os.write(self._stop_write, b"x")
        self._thread.join(timeout=2)
        for descriptor in (self._inotify, self._stop_read, self._stop_write):
            os.close(descriptor)

    def _open(self) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        inotify = int(libc.inotify_init1(_IN_CLOEXEC))
        if inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        mask = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
        self._changed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._changed.touch(mode=0o600)
        for path in (*self._store.journal.watched(), self._changed):
            if libc.inotify_add_watch(inotify, os.fsencode(path), mask) < 0:
                code = ctypes.get_errno()
                os.close(inotify)
                raise OSError(code, "inotify_add_watch", str(path))
        return inotify

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._inotify, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            # Writes come in bursts: wait a moment, then read all that has gathered.
            if select.select([self._stop_read], [], [], _GATHER_SECONDS)[0]:
                return
            os.read(self._inotify, 1 << 16)
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._listener(seen[0])

    def _look(self) -> tuple[int, bytes]:
        """The newest change that a process of ours has noted, and the newest of a container by itself."""
        with contextlib.suppress(OSError):
            return self._store.journal.revision(), self._changed.read_bytes()
        return self._store.journal.revision(), b""
