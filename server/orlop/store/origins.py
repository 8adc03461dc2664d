"""Origins: which repositories of a registry are known to have a blob, so that another one there can mount it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from orlop.core.digest import Digest
from orlop.store.database import Database

_MOST = 3
_DAYS = 180


class Origins:
    """What was pulled from and pushed to where. Thread-safe; any number of processes.

    It is a memory of what was so: repositories lose blobs without telling.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, domain: str, path: str, blobs: Iterable[Digest]) -> None:
        """Remember that the repository `path` of the registry `domain` has these blobs now."""
        now = time.time()
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO origins (domain, digest, path, seen) VALUES (?, ?, ?, ?)",
                [(domain, str(digest), path, now) for digest in blobs],
            )
            connection.execute("DELETE FROM origins WHERE seen < ?", (now - _DAYS * 86400,))

    def of(self, domain: str, blob: Digest) -> tuple[str, ...]:
        """The repositories of that registry that had the blob, the latest first; a few of them at most."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT path FROM origins WHERE domain = ? AND digest = ? ORDER BY seen DESC, path LIMIT ?",
                (domain, str(blob), _MOST),
            ).fetchall()
        return tuple(row[0] for row in rows)

    def forget(self, domain: str, path: str, blob: Digest) -> None:
        """The repository turned out not to have it."""
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM origins WHERE domain = ? AND digest = ? AND path = ?", (domain, str(blob), path)
            )
