"""Tells a transfer's events to the client: of each layer no more than a person can see move."""

from __future__ import annotations

import threading
import time
from typing import Any

from orlop.core.job import TransferProgress
from orlop.rpc import convert
from orlop.rpc.dispatch import Call

INTERVAL_SECONDS = 0.1


class TransferTeller:
    """A job's sink. A layer's events in the same phase are told ten times a second at most; phases never get lost."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._guard = threading.Lock()
        self._last: dict[str, tuple[str, float]] = {}

    def __call__(self, event: Any, /) -> None:
        """Send the event unless its layer had one just now."""
        if isinstance(event, TransferProgress) and not self._is_due(event):
            return
        wire = convert.transfer_event(event)
        if wire is not None:
            self._call.stream.push(wire)

    def _is_due(self, event: TransferProgress) -> bool:
        now = time.monotonic()
        with self._guard:
            phase, told = self._last.get(event.digest, ("", 0.0))
            if phase == event.phase and now - told < INTERVAL_SECONDS and event.done != event.total:
                return False
            self._last[event.digest] = (event.phase, now)
        return True
