"""Rate limits: how much a registry still allows, read from the headers of its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

_FIELD = re.compile(r"\s*(\d{1,12})(?:\s*;\s*w\s*=\s*(\d{1,12}))?")


@attrs.frozen
class RateLimit:
    """`remaining` of `limit` pulls in a window of `window` seconds (0: not told); `source` is an address or account."""

    limit: int
    remaining: int
    window: int
    source: str


def read(headers: Mapping[str, str]) -> RateLimit | None:
    """What an answer says (`ratelimit-limit: 100;w=21600`), or None."""
    limit = _FIELD.match(headers.get("RateLimit-Limit", ""))
    remaining = _FIELD.match(headers.get("RateLimit-Remaining", ""))
    if limit is None or remaining is None:
        return None
    window = limit.group(2) or remaining.group(2) or "0"
    return RateLimit(
        int(limit.group(1)), int(remaining.group(1)), int(window), headers.get("Docker-RateLimit-Source", "")
    )
