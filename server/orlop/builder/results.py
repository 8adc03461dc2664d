"""The results of steps that one build knows: those of earlier builds, found by key, and its own."""

from __future__ import annotations

import threading

import attrs

from orlop.core import errors
from orlop.store.cache import CacheRecord
from orlop.store.layers import Layer
from orlop.store.store import Store


@attrs.frozen(slots=True)
class Result:
    """What a step gave: its layer, when that was made (seconds since the epoch), and the state it leads to."""

    layer: Layer
    created: float
    state: str


class Results:
    """Thread-safe; with `no_cache` nothing of earlier builds is known, but what this one makes is kept for others."""

    def __init__(self, store: Store, *, no_cache: bool) -> None:
        self._store = store
        self.no_cache = no_cache
        self._lock = threading.Lock()
        self._known: dict[str, Result | None] = {}

    def find(self, key: str, *, again: bool = False) -> Result | None:
        """The result of that key; `again` looks anew where nothing was known before."""
        with self._lock:
            known = self._known.get(key)
            if known is not None or (key in self._known and not again):
                return known
        found = None if self.no_cache else self._read(key)
        with self._lock:
            self._known[key] = found
        return found

    def state(self, key: str) -> str | None:
        """The state that the result of a key leads to, if there is one."""
        found = self.find(key)
        return found.state if found is not None else None

    def keep(self, key: str, result: Result, description: str) -> None:
        """Remember a result; under a key other than its state it counts no bytes of its own."""
        self._store.cache.put(
            CacheRecord(
                key=key,
                layer_id=result.layer.id,
                description=description,
                created=result.created,
                last_used=result.created,
                size=result.layer.size if key == result.state else 0,
                data={} if key == result.state else {"state": result.state},
            )
        )
        if not self.no_cache:
            with self._lock:
                self._known[key] = result

    def _read(self, key: str) -> Result | None:
        record = self._store.cache.get(key)
        if record is None or record.layer_id is None:
            return None
        try:
            layer = self._store.layers.get(record.layer_id)
        except errors.NotFound:
            return None
        return Result(layer, record.created, str(record.data.get("state", key)))
