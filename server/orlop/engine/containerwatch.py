"""Tells listeners that containers changed, whoever changed them: their own shims (an end, a restart), another window.

A shim knows nothing of the store and its journal, so the files of the containers are watched themselves. Nothing polls.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from orlop.core import errors
from orlop.engine import inotify
from orlop.engine.inotify import Inotify
from orlop.runtime import container
from orlop.runtime.container import Container
from orlop.runtime.shim import state

_MASK = inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE
_GATHER_SECONDS = 0.05

# The containers that ended since the last call.
Listener = Callable[[tuple[Container, ...]], None]
_Mark = dict[str, int]


class ContainerWatch:
    """One thread that sleeps in the kernel; `root` is the directory of all containers."""

    def __init__(self, root: Path, listener: Listener) -> None:
        self._root = root
        self._listener = listener
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._inotify = Inotify()
        self._inotify.add(root, _MASK)
        self._marks = self._look()
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._watch, name="container-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; returns once the thread is gone."""
        os.write(self._stop_write, b"x")
        self._thread.join(timeout=2)
        self._inotify.close()
        for descriptor in (self._stop_read, self._stop_write):
            os.close(descriptor)

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._inotify.fileno(), self._stop_read], [], [])
            # What belongs together comes together: wait a moment, then look once.
            if self._stop_read in ready or select.select([self._stop_read], [], [], _GATHER_SECONDS)[0]:
                return
            self._inotify.drain()
            marks = self._look()
            if marks == self._marks:
                continue
            before, self._marks = self._marks, marks
            ended = [
                self._read(name) for name, mark in marks.items() if _end(mark) not in (0, _end(before.get(name, {})))
            ]
            self._listener(tuple(each for each in ended if each is not None and not each.alive))

    def _look(self) -> dict[str, _Mark]:
        """Every container by what its files of state say when they were written; new ones are watched from now on."""
        found: dict[str, _Mark] = {}
        with os.scandir(self._root) as scan:
            names = [item.name for item in scan if not item.name.startswith(".") and item.is_dir(follow_symlinks=False)]
        for name in names:
            bundle = self._root / name
            with contextlib.suppress(OSError, ValueError):
                self._inotify.add(bundle, _MASK)
                with os.scandir(bundle) as scan:
                    files = [item for item in scan if item.name.endswith(".json") and not item.name.startswith(".")]
                    found[name] = {item.name: _mark(item) for item in files}
        return found

    def _read(self, name: str) -> Container | None:
        with contextlib.suppress(errors.Corrupt):
            return container.read(self._root / name)
        return None


def _mark(file: os.DirEntry[str]) -> int:
    """When it was written; checks of its health count only where they change what is said of a container."""
    if file.name == state.HEALTH:
        return hash((state.read(file.path) or {}).get("status"))
    return file.stat().st_mtime_ns


def _end(mark: _Mark) -> int:
    """When the end of the last run was written down; 0 while there is none."""
    return mark.get(state.EXIT, 0)
