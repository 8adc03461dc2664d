"""Times such as `1m30s`, as Go reads them.

Source: Go's `time.ParseDuration`, which BuildKit uses for HEALTHCHECK; the messages are Go's.
"""

from __future__ import annotations

import re

from orlop.dockerfile.problems import quoted

_UNITS = {
    "ns": 1, "us": 1_000, "\u00b5s": 1_000, "\u03bcs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
_PART = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^0-9.]*)")
_MAX = 2**63 - 1


class DurationError(ValueError):
    """A text that is no time."""


def parse(text: str) -> int:
    """Nanoseconds; raises `DurationError`."""
    rest = text
    sign = 1
    if rest[:1] in ("+", "-"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise _invalid(text)
    total = 0
    at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or not (match.group(1) or match.group(3)):
            raise _invalid(text)
        unit = match.group(4)
        if not unit:
            raise DurationError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS:
            raise DurationError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        # More digits than these exceed what fits, or are below a nanosecond.
        whole, fraction = match.group(1).lstrip("0")[:20], (match.group(3) or "")[:20]
        total += int(whole or "0") * _UNITS[unit] + int(fraction or "0") * _UNITS[unit] // 10 ** len(fraction)
        at = match.end()
    if total > _MAX:
        raise _invalid(text)
    return sign * total


def _invalid(text: str) -> DurationError:
    return DurationError(f"time: invalid duration {quoted(text)}")
