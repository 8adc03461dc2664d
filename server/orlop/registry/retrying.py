"""Retrying: which answers are worth another attempt, and how long to wait before it."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Mapping

import attrs

STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# Some registries ask for microseconds; a moment is the least that helps.
_FLOOR = 1.0
_CAP = 30.0


@attrs.frozen
class Policy:
    """How often and how patiently; `longest` is the longest wait, in seconds, that a registry may ask for."""

    attempts: int = 5
    backoff: float = 1.0
    longest: float = 60.0
    chance: Callable[[], float] = random.random

    def wait(self, attempt: int, headers: Mapping[str, str] | None = None) -> float | None:
        """Seconds to wait after the failure of `attempt` (from 1); None when it is of no use to go on."""
        if attempt >= self.attempts:
            return None
        asked = None if headers is None else retry_after(headers)
        if asked is not None and asked > self.longest:
            return None
        # Up to half as much again, so that many clients do not come back at once.
        usual = min(_CAP, self.backoff * 2.0 ** (attempt - 1)) * (1 + self.chance() / 2)
        return usual if asked is None else asked + usual * self.chance() / 4


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """The seconds that `Retry-After` asks for (a number or a date), at least one; None when it asks nothing."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return max(_FLOOR, float(text[:9]))
    try:
        return max(_FLOOR, email.utils.parsedate_to_datetime(text).timestamp() - now())
    except (ValueError, TypeError, OverflowError):
        return _FLOOR


def human(seconds: float) -> str:
    """Such a time for people: `40 s`, `5 min`, `2 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
