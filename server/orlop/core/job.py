"""A job is one long operation: it can be cancelled, tells its progress and keeps a log line or two.

Work runs in plain threads; whoever started it holds the token and the sink. Nothing below the front-ends prints.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import attrs

from orlop.core import errors


class CancelToken:
    """Set once, seen by every thread; callbacks let blocking calls be woken."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether someone asked to stop."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Ask to stop; returns normally if that was asked before."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Run `callback` (short, no blocking) at cancel, at once if already cancelled; returns how to take it back."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return lambda: self._forget(callback)
        callback()
        return lambda: None

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake at cancel; tells whether it was cancelled."""
        return self._event.wait(seconds)

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


class Sink(Protocol):
    """Receives what a job tells: typed events of its domain (`builder.events`, `TransferProgress`, `Note`)."""

    def __call__(self, event: Any, /) -> None:
        """Take one event; called from any thread, must not block for long."""


@attrs.frozen(slots=True)
class Note:
    """One line worth telling a person while a job runs ("using the host network: …")."""

    level: str
    message: str


@attrs.frozen(slots=True)
class TransferProgress:
    """Bytes of one piece of content that moved: `done` of `total` (0 when unknown), in a named phase."""

    digest: str
    phase: str
    done: int
    total: int


class Job:
    """What a long function takes as its last parameter."""

    def __init__(self, sink: Sink | None = None, token: CancelToken | None = None) -> None:
        self.token = token or CancelToken()
        self._sink = sink

    def checkpoint(self) -> None:
        """Raise `Cancelled` if the job was cancelled; called in every loop."""
        if self.token.cancelled:
            raise errors.Cancelled

    def tell(self, event: Any) -> None:
        """Hand an event to whoever started the job."""
        if self._sink is not None:
            self._sink(event)

    def note(self, message: str, level: str = "info") -> None:
        """Tell a line for people."""
        self.tell(Note(level, message))

    def child(self, sink: Sink) -> Job:
        """The same cancellation with another listener."""
        return Job(sink, self.token)
