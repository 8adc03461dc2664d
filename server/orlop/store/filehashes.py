"""Hashes of files outside the store, remembered by what stat says of them, so that unchanged files are not read."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping

from orlop.store.database import Connection, Database

StatKey = tuple[int, int, int, int, int]

_IN_MEMORY = 20_000
_BATCH = 500
_DAYS = 30
_SECONDS_A_DAY = 86400


class FileHashes:
    """Keys are (device, inode, size, mtime in ns, ctime in ns), values hex digests. Thread-safe; many processes.

    One hash an inode is kept: that of the newest stat. Hashes not asked for in 30 days are forgotten.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._memory: OrderedDict[StatKey, str] = OrderedDict()

    def get_many(self, keys: Iterable[StatKey]) -> dict[StatKey, str]:
        """The hashes that are known."""
        known: dict[StatKey, str] = {}
        unknown: defaultdict[int, list[StatKey]] = defaultdict(list)
        with self._guard:
            memory = self._memory
            for key in keys:
                value = memory.get(key)
                if value is None:
                    unknown[key[0]].append(key)
                else:
                    known[key] = value
        if unknown:
            found = self._read(unknown)
            self._remember(found)
            known.update(found)
        return known

    def put_many(self, hashes: Mapping[StatKey, str]) -> None:
        """Remember hashes."""
        today = _today()
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO files (dev, ino, size, mtime, ctime, hash, day) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*_stored(key), bytes.fromhex(value), today) for key, value in hashes.items()],
            )
        self._remember(hashes)

    def _read(self, unknown: Mapping[int, list[StatKey]]) -> dict[StatKey, str]:
        found: dict[StatKey, str] = {}
        stale: list[tuple[int, int, int]] = []
        today = _today()
        with self._database.read() as connection:
            for device, keys in unknown.items():
                for batch in _batches(keys):
                    wanted = {_stored(key): key for key in batch}
                    for row in _select(connection, device, [key[1] for key in wanted]):
                        key = wanted.get(row[:5])
                        if key is not None:
                            found[key] = row[5].hex()
                            if row[6] != today:
                                stale.append((today, row[0], row[1]))
        if stale:
            with self._database.write() as connection:
                connection.executemany("UPDATE files SET day = ? WHERE dev = ? AND ino = ?", stale)
        return found

    def _remember(self, hashes: Mapping[StatKey, str]) -> None:
        with self._guard:
            self._memory.update(hashes)
            while len(self._memory) > _IN_MEMORY:
                self._memory.popitem(last=False)


def forget_old(connection: Connection) -> None:
    """Delete what nobody has asked for in a long time."""
    connection.execute("DELETE FROM files WHERE day < ?", (_today() - _DAYS,))


def _select(connection: Connection, device: int, inodes: list[int]) -> list[tuple[int, int, int, int, int, bytes, int]]:
    marks = ",".join("?" * len(inodes))
    query = f"SELECT dev, ino, size, mtime, ctime, hash, day FROM files WHERE dev = ? AND ino IN ({marks})"  # noqa: S608 - question marks
    return connection.execute(query, (_signed(device), *inodes)).fetchall()


def _batches(keys: list[StatKey]) -> Iterable[list[StatKey]]:
    return (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))


def _stored(key: StatKey) -> StatKey:
    return (_signed(key[0]), _signed(key[1]), *key[2:])


def _signed(number: int) -> int:
    """SQLite's integers have 63 bits and a sign; devices and inodes have 64 bits."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _today() -> int:
    return int(time.time()) // _SECONDS_A_DAY
