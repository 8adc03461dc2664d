"""The store's revision and what changed since an earlier one; a file tells watchers when to look."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import attrs

from orlop.store.database import Connection, Database

IMAGES = "images"
CONTAINERS = "containers"
CACHE = "cache"
_KEPT = 1000


@attrs.frozen
class Changes:
    """The kinds of things that changed up to `revision`."""

    revision: int
    kinds: frozenset[str]


class Journal:
    """Counts changes; every process sees the same count. Thread-safe."""

    def __init__(self, database: Database, file: Path) -> None:
        self._database = database
        self._file = file

    def revision(self) -> int:
        """The number of the newest change; about 20 microseconds."""
        with self._database.read() as connection:
            return newest(connection)

    def bump(self, kinds: Iterable[str]) -> int:
        """Note a change that is not in the database itself (a container started) and tell watchers."""
        with self._database.write() as connection:
            revision = note(connection, *kinds)
        self.announce(revision)
        return revision

    def since(self, revision: int) -> Changes:
        """What changed after `revision`; everything, when that is too long ago to know."""
        with self._database.read() as connection:
            now = newest(connection)
            rows = connection.execute("SELECT revision, kinds FROM changes WHERE revision > ?", (revision,)).fetchall()
        kinds = frozenset(kind for _, text in rows for kind in text.split(","))
        if len(rows) < now - revision:
            kinds |= {IMAGES, CONTAINERS, CACHE}
        return Changes(now, kinds)

    def watched(self) -> tuple[Path, ...]:
        """Files that are written to after a change; watch them (inotify) instead of polling."""
        return (self._file,)

    def announce(self, revision: int) -> None:
        """Write to the watched file; called after the commit, so that whoever wakes up sees the change."""
        # Only a signal: the number that counts is in the database, so a lost or torn write does no harm.
        with contextlib.suppress(OSError):
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, b"%020d\n" % revision, 0)
            finally:
                os.close(descriptor)


def note(connection: Connection, *kinds: str) -> int:
    """Number a change within a transaction; give the number to `announce` after the commit."""
    cursor = connection.execute("INSERT INTO changes (kinds) VALUES (?)", (",".join(sorted(kinds)),))
    revision = cursor.lastrowid or 0
    if revision % 100 == 0:
        connection.execute("DELETE FROM changes WHERE revision <= ?", (revision - _KEPT,))
    return revision


def newest(connection: Connection) -> int:
    """The number of the newest change, within a transaction."""
    row = connection.execute("SELECT max(revision) FROM changes").fetchone()
    return int(row[0] or 0)


def newest_of(connection: Connection, kind: str) -> int:
    """The number of the newest change of one kind that is still known, or of the oldest known change."""
    rows = connection.execute("SELECT revision, kinds FROM changes ORDER BY revision DESC")
    oldest = 0
    for revision, kinds in rows:
        if kind in kinds.split(","):
            return int(revision)
        oldest = int(revision)
    return oldest
