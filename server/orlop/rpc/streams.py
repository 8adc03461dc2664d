"""Events of one request on their way to the client: coalesced, in order, before the response, and never flooding.

They travel by `$/progress` under the request's `partialResultToken`, as a list each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from orlop.core.job import CancelToken
from orlop.protocol import wire

INTERVAL_SECONDS = 0.05
FLUSH_CHARACTERS = 16 << 10
MOST_UNACKED = 100_000
MOST_PENDING_BYTES = 4 << 20

Send = Callable[[str | int, list[Any]], None]


class Stream:
    """One request's channel; without a token it swallows what it is given."""

    def __init__(self, token: str | int | None, send: Send, pending: Callable[[], int]) -> None:
        self.token = token
        self._send = send
        self._pending = pending
        self._lock = threading.Lock()
        self._acked = threading.Condition(self._lock)
        self._events: list[Any] = []
        self._characters = 0
        self._unacked = 0
        self._last = 0.0
        self._timer: threading.Timer | None = None

    def push(self, event: Any, characters: int = 0) -> None:
        """Queue a wire event; sent within 50 ms or once 16 KiB of text have gathered."""
        if self.token is None:
            return
        with self._lock:
            self._events.append(wire.unstructure(event))
            self._characters += characters
            if self._characters >= FLUSH_CHARACTERS or time.monotonic() - self._last >= INTERVAL_SECONDS:
                self._flush()
            elif self._timer is None:
                self._timer = threading.Timer(INTERVAL_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def push_text(self, event: Any, characters: int, cancel: CancelToken) -> None:
        """Queue text that a terminal shows; waits while the client has too much of it unshown."""
        self.push(event, characters)
        if self.token is None:
            return
        with self._lock:
            self._unacked += characters
            while self._unacked > MOST_UNACKED and not cancel.cancelled:
                self._acked.wait(0.2)

    @property
    def flooded(self) -> bool:
        """Whether so much waits for the client that text nobody can read any more may be dropped."""
        return self._pending() > MOST_PENDING_BYTES

    def ack(self, characters: int) -> None:
        """The client has shown so much."""
        with self._lock:
            self._unacked = max(0, self._unacked - characters)
            self._acked.notify_all()

    def flush(self) -> None:
        """Send what is queued, now."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last = time.monotonic()
        if self._events and self.token is not None:
            events, self._events, self._characters = self._events, [], 0
            self._send(self.token, events)
