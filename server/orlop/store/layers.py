"""Layers: unpacked trees in overlay form, each holding only what it changes itself; frozen once committed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import Digest
from orlop.core.digest import parse as parse_digest
from orlop.store import durable, locks
from orlop.store.database import Connection, Database
from orlop.store.layout import Layout, new_id
from orlop.store.trash import Trash

COLUMNS = "id, diff_id, tar_size, size"
DESCRIPTION = "layer.json"


@attrs.frozen
class Layer:
    """One frozen layer.

    `size` is the sum of its regular files in bytes, hard links once (Docker's SIZE). `diff_id` and `tar_size` describe
    its canonical uncompressed tar; None while nobody has needed them.
    """

    id: str
    diff_id: Digest | None
    tar_size: int | None
    size: int


class Layers:
    """The layers of the store. Thread-safe; any number of processes.

    A layer is there when it has a row and a directory. `boot` is the id of this boot: a layer that another boot wrote
    and nobody synced may be torn, so it counts as absent.
    """

    def __init__(self, layout: Layout, database: Database, trash: Trash, boot: str) -> None:
        self._layout = layout
        self._database = database
        self._trash = trash
        self._boot = boot

    def path(self, layer: str) -> Path:
        """The layer's tree, for use as an overlay lower; nothing may ever write there."""
        return self._layout.layers / layer / "diff"

    def new(self) -> PendingLayer:
        """A context in which a layer is made; left without `commit`, it goes to the trash."""
        return PendingLayer(self._layout, self._trash, self._insert)

    def get(self, layer: str) -> Layer:
        """The layer of that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM layers WHERE id = ? AND (boot IS NULL OR boot = ?)",  # noqa: S608 - a constant
                (layer, self._boot),
            ).fetchone()
        if row is None or not self._is_there(layer):
            raise errors.NotFound(
                f"layer {layer} is not in the store", hint="Pull or build the image that uses it again."
            )
        return from_row(row)

    def by_diff_id(self, diff_id: Digest) -> Layer | None:
        """A layer whose uncompressed tar has that digest."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM layers WHERE diff_id = ? AND (boot IS NULL OR boot = ?) ORDER BY created",  # noqa: S608 - a constant
                (str(diff_id), self._boot),
            ).fetchall()
        return next((from_row(row) for row in rows if self._is_there(row[0])), None)

    def set_diff_id(self, layer: str, diff_id: Digest, tar_size: int) -> Layer:
        """Note the digest and the size of the canonical tar; raises `Conflict` when another digest is known."""
        known = self.get(layer)
        if known.diff_id not in (None, diff_id):
            raise errors.Conflict(f"layer {layer} already has the digest {known.diff_id}, not {diff_id}")
        with self._database.write() as connection:
            connection.execute(
                "UPDATE layers SET diff_id = ?, tar_size = ? WHERE id = ?", (str(diff_id), tar_size, layer)
            )
        return attrs.evolve(known, diff_id=diff_id, tar_size=tar_size)

    def set_compressed(self, diff_id: Digest, descriptor: Descriptor) -> None:
        """Note that a blob is a compressed form of that layer, whether the blob is kept or not."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO compressed (diff_id, digest, media_type, size) VALUES (?, ?, ?, ?)",
                (str(diff_id), str(descriptor.digest), str(descriptor.media_type), descriptor.size),
            )

    def compressed(self, diff_id: Digest) -> tuple[Descriptor, ...]:
        """The known compressed forms, smallest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT media_type, digest, size FROM compressed WHERE diff_id = ? ORDER BY size", (str(diff_id),)
            ).fetchall()
        return tuple(Descriptor(media_type, parse_digest(digest), size) for media_type, digest, size in rows)

    def uncompressed(self, blob: Digest) -> Digest | None:
        """The diff ID of a blob that is known to be a compressed form."""
        with self._database.read() as connection:
            row = connection.execute("SELECT diff_id FROM compressed WHERE digest = ?", (str(blob),)).fetchone()
        return parse_digest(row[0]) if row else None

    def _insert(self, layer: Layer) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO layers (id, diff_id, tar_size, size, created, boot) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    layer.id, None if layer.diff_id is None else str(layer.diff_id), layer.tar_size, layer.size,
                    time.time(), self._boot,
                ),
            )  # fmt: skip

    def _is_there(self, layer: str) -> bool:
        return os.path.isdir(self.path(layer))


class PendingLayer:
    """A layer being made: fill `diff` (through an overlay with `work`, or directly), then `commit`.

    Lives as `layers/.new-<id>` under a lock that dies with this process; without its holder it is garbage.
    """

    def __init__(self, layout: Layout, trash: Trash, insert: Callable[[Layer], None]) -> None:
        self.id = new_id()
        self._layout = layout
        self._trash = trash
        self._insert = insert
        self._folder = layout.layers / f".new-{self.id}"
        self._lock = -1

    @property
    def diff(self) -> Path:
        """The tree; valid until `commit`."""
        return self._folder / "diff"

    @property
    def work(self) -> Path:
        """An empty directory on the same file system, for overlay's own use."""
        return self._folder / "work"

    def __enter__(self) -> Self:
        try:
            # Shared with other writers: the collector, which wants it alone, never sees the folder before its lock.
            with locks.shared(self._layout.lock("gc")):
                os.mkdir(self._folder, 0o700)
                self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            os.mkdir(self.work, 0o700)
            os.mkdir(self.diff)
            # The top directory of the lowest layer is the container's `/`, whatever the umask here.
            os.chmod(self.diff, 0o755)  # noqa: S103 - nobody else can reach it
        except OSError as error:
            self.__exit__(None, None, None)
            raise errors.from_os(error, "make a layer") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                # On a full disk even the database cannot tell what went wrong, and pruning cannot help.
                (self._trash.delete if isinstance(value, errors.DiskFull) else self._trash.take)(self._folder)
            os.close(self._lock)
            self._lock = -1

    def commit(self, *, size: int, diff_id: Digest | None = None, tar_size: int | None = None) -> Layer:
        """Freeze it: from now on others see it. One rename and one small write; its files are synced with the image."""
        layer = Layer(self.id, diff_id, tar_size, size)
        target = self._layout.layers / self.id
        try:
            self._drop_work()
            os.rename(self._folder, target)
            # Until the row is there, the lock inside tells the collector that somebody is at it.
            self._folder = target
            self._insert(layer)
            os.unlink(target / "lock")
        except OSError as error:
            raise errors.from_os(error, f"commit layer {self.id}") from error
        os.close(self._lock)
        self._lock = -1
        return layer

    def _drop_work(self) -> None:
        # What overlay leaves when all went well: a directory of mode 0, and in it the mark of a volatile mount.
        with contextlib.suppress(OSError):
            os.chmod(self.work / "work", 0o700)
        for name in ("work/incompat/volatile", "work/incompat", "work"):
            with contextlib.suppress(OSError):
                os.rmdir(self.work / name)
        try:
            os.rmdir(self.work)
        except FileNotFoundError:
            pass
        except OSError:
            self._trash.take(self.work)


def from_row(row: tuple[str, str | None, int | None, int]) -> Layer:
    """The layer of a row of `COLUMNS`."""
    return Layer(row[0], None if row[1] is None else parse_digest(row[1]), row[2], row[3])


def unsynced(connection: Connection, boot: str) -> tuple[str, ...]:
    """The layers of this boot whose files may not be on disk yet."""
    return tuple(row[0] for row in connection.execute("SELECT id FROM layers WHERE boot = ?", (boot,)))


def mark_synced(connection: Connection, layers: Iterable[str]) -> None:
    """Note that their files are on disk."""
    connection.executemany("UPDATE layers SET boot = NULL WHERE id = ?", [(layer,) for layer in layers])


def describe(folder: Path, layer: Layer) -> None:
    """Write beside the tree, once, what the database knows of it, so that a lost database can be made again."""
    file = folder / DESCRIPTION
    if os.path.exists(file):
        return
    data = {"diffId": str(layer.diff_id), "tarSize": layer.tar_size, "size": layer.size}
    durable.write_file(file, json.dumps(data).encode(), sync=False)
