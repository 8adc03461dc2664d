"""Leases: what a running operation holds, so that no collection takes it away; they end with their process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import attrs

from orlop.store import process
from orlop.store.database import Connection, Database
from orlop.store.process import Process


@attrs.frozen
class Held:
    """What all live leases protect: items by name, and everything newer than `since` (infinity when there is none)."""

    items: frozenset[str]
    since: float


class Leases:
    """Makes leases. Thread-safe; any number of processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, kind: str, ids: Iterable[object] = ()) -> Lease:
        """A context that protects layers (by id or diff ID), blobs, images and manifests (by digest).

        It also protects, without naming them, layers and blobs that came, and cache records that were used, since it
        began; a build or a pull needs nothing else. `kind` ("build", "pull") is for people who look.
        """
        return Lease(self._database, kind, tuple(map(str, ids)))


class Lease:
    """One lease; ends when its context is left or its process dies."""

    def __init__(self, database: Database, kind: str, items: tuple[str, ...]) -> None:
        self._database = database
        self._kind = kind
        self._items = items
        self._id = os.urandom(8).hex()

    def __enter__(self) -> Self:
        me = process.current()
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO leases (id, kind, pid, start, boot, created) VALUES (?, ?, ?, ?, ?, ?)",
                (self._id, self._kind, me.pid, me.start, me.boot, time.time()),
            )
            _insert(connection, self._id, self._items)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._database.write() as connection:
            _end(connection, self._id)

    def add(self, *ids: object) -> None:
        """Protect more; look afterwards whether it is still there, for it may have gone just before."""
        with self._database.write() as connection:
            _insert(connection, self._id, tuple(map(str, ids)))


def held(connection: Connection) -> Held:
    """What the live leases protect."""
    items: set[str] = set()
    since = float("inf")
    for lease, _, created in _alive(connection):
        since = min(since, created)
        items.update(row[0] for row in connection.execute("SELECT item FROM lease_items WHERE lease = ?", (lease,)))
    return Held(frozenset(items), since)


def end_dead(connection: Connection) -> None:
    """Delete the leases of processes that are gone."""
    alive = {lease for lease, _, _ in _alive(connection)}
    for (lease,) in connection.execute("SELECT id FROM leases").fetchall():
        if lease not in alive:
            _end(connection, lease)


def _alive(connection: Connection) -> list[tuple[str, str, float]]:
    rows = connection.execute("SELECT id, kind, created, pid, start, boot FROM leases").fetchall()
    return [(row[0], row[1], row[2]) for row in rows if process.is_alive(Process(*row[3:]))]


def _insert(connection: Connection, lease: str, items: tuple[str, ...]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO lease_items (lease, item) VALUES (?, ?)", [(lease, item) for item in items]
    )


def _end(connection: Connection, lease: str) -> None:
    connection.execute("DELETE FROM lease_items WHERE lease = ?", (lease,))
    connection.execute("DELETE FROM leases WHERE id = ?", (lease,))
