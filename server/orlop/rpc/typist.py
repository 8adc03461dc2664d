"""What people type on its way to a program: in order, and never keeping the server from reading its pipe."""

from __future__ import annotations

import queue
import threading
from typing import Protocol


class Terminal(Protocol):
    """What is typed at."""

    def send(self, data: bytes) -> None:
        """Type; may wait while the program does not read."""

    def resize(self, columns: int, rows: int) -> None:
        """Another size."""


class Typist:
    """Types at one terminal from a thread of its own, as far as the program reads."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="typist", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        """Have it typed; returns at once."""
        if data:
            self._queue.put(data)

    def resize(self, columns: int, rows: int) -> None:
        """Another size, at once."""
        self._terminal.resize(columns, rows)

    def close_stdin(self) -> None:
        """After what was typed so far, the input ends where the terminal knows such an end."""
        close = getattr(self._terminal, "close_stdin", None)
        if close is not None:
            self._queue.put(None)

    def close(self) -> None:
        """Type no more."""
        self._queue.put(b"")

    def _work(self) -> None:
        while (data := self._queue.get()) != b"":
            if data is None:
                self._terminal.close_stdin()  # type: ignore[attr-defined]
            else:
                self._terminal.send(data)
