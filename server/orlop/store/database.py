"""The store's SQLite database: connections, transactions, migration, and its errors in our words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from orlop.core import errors
from orlop.core.job import Job
from orlop.store import locks
from orlop.store.schema import STEPS

_BUSY_SECONDS = 60.0
# Bytes; the index of the journal alone takes half of that.
_LEAST_ROOM = 64 << 10
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DENIED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

Connection = sqlite3.Connection


class Database:
    """A pool of connections; each is used by one thread at a time. Thread-safe.

    The journal is a write-ahead log. A transaction survives any crash of the process; only a durable one is on disk
    when it returns (`synchronous=FULL`), the others follow with the next durable one or the next checkpoint.
    """

    def __init__(self, path: Path, lock: Path, steps: tuple[str, ...] = STEPS) -> None:
        self._path = path
        self._idle: list[Connection] = []
        self._guard = threading.Lock()
        self._writer = threading.Lock()
        self._closed = False
        with self._translated():
            connection = self._connect()
            try:
                self._migrate(connection, lock, steps)
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        with self._translated(), self._borrowed() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """One transaction: all of it happens, or, when the block raises, nothing."""
        with self._translated(), self._writer, self._borrowed() as connection:
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def check(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file; empty when nothing is."""
        try:
            with self._borrowed() as connection:
                rows = connection.execute("PRAGMA quick_check(20)").fetchall()
        except sqlite3.DatabaseError as error:
            return (str(error),)
        return tuple(str(row[0]) for row in rows if row[0] != "ok")

    def close(self) -> None:
        """Close what is not in use; connections in use close when they come back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self) -> Connection:
        return sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )

    def _migrate(self, connection: Connection, lock: Path, steps: tuple[str, ...]) -> None:
        if _version(connection) == len(steps):
            return
        with locks.exclusive(lock, Job()):
            version = _version(connection)
            if version > len(steps):
                raise errors.Unavailable(
                    f"cannot open the image store: its database has version {version}, this program knows {len(steps)}",
                    hint="Update Orlop, or choose another store with ORLOP_ROOT.",
                )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            for step in range(version, len(steps)):
                connection.executescript(f"BEGIN IMMEDIATE;{steps[step]};PRAGMA user_version={step + 1};COMMIT;")

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        with self._guard:
            if self._closed:
                raise errors.Conflict("cannot use the image store: it is closed")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        finally:
            with self._guard:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _translate(self, error: sqlite3.Error) -> errors.OrlopError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(self._path)):
            return errors.DiskFull(
                "cannot write the image store's database: no space left on the disk",
                hint="Free space, for example with `orlop system prune`, or move the store with ORLOP_ROOT.",
            )
        if code in _DAMAGED:
            return errors.Corrupt(
                f"cannot read the image store's database {self._path}: {error}",
                hint="Close every window that uses the store, then let Orlop rebuild the database from the images.",
            )
        if code in _DENIED:
            return errors.Unavailable(
                f"cannot open the image store's database {self._path}: {error}",
                hint="Check the owner and the mode of that path, or choose another store with ORLOP_ROOT.",
            )
        if code in _BUSY:
            return errors.Conflict(
                "cannot write the image store: another process keeps it busy",
                hint="Wait until the other operation has finished and try again.",
            )
        if code == sqlite3.SQLITE_IOERR:
            return errors.Unavailable(
                f"cannot use the image store's database {self._path}: {error}",
                hint="Check the disk, or choose another store with ORLOP_ROOT.",
            )
        return errors.OrlopError(f"cannot use the image store's database: {error}")


def _is_full(path: Path) -> bool:
    """Whether the disk has no room left even for the index of the journal, which SQLite calls an input/output error."""
    try:
        status = os.statvfs(path.parent)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _LEAST_ROOM


def _version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
