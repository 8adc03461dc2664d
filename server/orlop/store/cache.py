"""The build cache: which layer a step made, by the key of everything the step depends on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from orlop.store.database import Connection, Database
from orlop.store.layout import Layout

_COLUMNS = "key, layer, description, created, last_used, size, data"


@attrs.frozen
class CacheRecord:
    """One remembered step; times are unix seconds, `size` bytes, `data` free JSON. `layer_id` None: it made none."""

    key: str
    layer_id: str | None
    description: str
    created: float
    last_used: float
    size: int
    data: Mapping[str, Any]


class BuildCache:
    """The records. Thread-safe; any number of processes.

    A record keeps its layer until it is pruned. Writes cost one small transaction that is not synced: a loss of power
    may forget the newest records, never tear one.
    """

    def __init__(self, layout: Layout, database: Database, boot: str) -> None:
        self._layout = layout
        self._database = database
        self._boot = boot

    def get(self, key: str) -> CacheRecord | None:
        """The record, if its layer still exists; that it was used now is noted, which protects it in a build."""
        while (record := self._look(key)) is not None:
            now = time.time()
            with self._database.write() as connection:
                # Since the look a collection may have taken the record and its layer, or another build put a new one.
                same = connection.execute(
                    "UPDATE cache SET last_used = ? WHERE key = ? AND layer IS ?", (now, key, record.layer_id)
                )
                if same.rowcount == 1:
                    return attrs.evolve(record, last_used=now)
        return None

    def put(self, record: CacheRecord) -> None:
        """Remember a step; a record of the same key is replaced."""
        with self._database.write() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO cache ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                (
                    record.key, record.layer_id, record.description, record.created, record.last_used, record.size,
                    json.dumps(dict(record.data), separators=(",", ":")),
                ),
            )  # fmt: skip
            # From now on the record keeps the layer; once it goes, the layer may go without any grace.
            connection.execute("UPDATE layers SET claimed = 1 WHERE id = ?", (record.layer_id,))

    def list(self) -> tuple[CacheRecord, ...]:
        """All records, last used first."""
        with self._database.read() as connection:
            return select(connection)

    def remove(self, keys: Iterable[str]) -> None:
        """Forget records; their layers go with the next collection."""
        with self._database.write() as connection:
            connection.executemany("DELETE FROM cache WHERE key = ?", [(key,) for key in keys])

    def _look(self, key: str) -> CacheRecord | None:
        with self._database.read() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM cache WHERE key = ? AND (layer IS NULL OR EXISTS"  # noqa: S608 - a constant
                " (SELECT 1 FROM layers WHERE layers.id = cache.layer AND (boot IS NULL OR boot = ?)))",
                (key, self._boot),
            ).fetchone()
        if row is None or (row[1] is not None and not os.path.isdir(self._layout.layers / row[1] / "diff")):
            return None
        return _record(row)


def select(connection: Connection) -> tuple[CacheRecord, ...]:
    """All records within a transaction, last used first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM cache ORDER BY last_used DESC, key")  # noqa: S608 - a constant
    return tuple(map(_record, rows))


def _record(row: tuple[str, str | None, str, float, float, int, str]) -> CacheRecord:
    return CacheRecord(*row[:6], json.loads(row[6]))
