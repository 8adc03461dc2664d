"""Tells listeners that the store changed, whoever changed it: this process, another window, a terminal.

The kernel reports writes to the store's revision file (inotify, through libc), so nothing polls.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from orlop.engine import inotify
from orlop.engine.inotify import Inotify
from orlop.store.store import Store

_GATHER_SECONDS = 0.1

Listener = Callable[[int], None]


class StoreWatch:
    """One thread that sleeps in the kernel; `listener` gets the new revision, at most ten times a second."""

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store = store
        self._listener = listener
        self._revision = store.journal.revision()
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._inotify = self._open()
        self._thread = threading.Thread(target=self._watch, name="store-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; returns once the thread is gone."""
        os.write(self._stop_write, b"x")
        self._thread.join(timeout=2)
        self._inotify.close()
        for descriptor in (self._stop_read, self._stop_write):
            os.close(descriptor)

    def _open(self) -> Inotify:
        found = Inotify()
        mask = inotify.MODIFY | inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE
        try:
            for path in self._store.journal.watched():
                found.add(path, mask)
        except OSError:
            found.close()
            raise
        return found

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._inotify.fileno(), self._stop_read], [], [])
            if self._stop_read in ready:
                return
            # Writes come in bursts: wait a moment, then read all that has gathered.
            if select.select([self._stop_read], [], [], _GATHER_SECONDS)[0]:
                return
            self._inotify.drain()
            revision = self._store.journal.revision()
            if revision != self._revision:
                self._revision = revision
                self._listener(revision)
