"""Garbage collection: mark what images, containers, leases and the build cache use; what remains goes to the trash."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import attrs

from orlop.core import digest as digests
from orlop.core.job import Job
from orlop.store import filehashes, imagerows, journal, leases, locks, users
from orlop.store.blobs import Blobs
from orlop.store.cache import CacheRecord
from orlop.store.cache import select as select_cache
from orlop.store.database import Connection, Database
from orlop.store.journal import Journal
from orlop.store.layout import Layout
from orlop.store.leases import Held
from orlop.store.partials import Partials
from orlop.store.trash import Trash

_UNITS = ("B", "kB", "MB", "GB", "TB")


@attrs.frozen(kw_only=True)
class Policy:
    """What may go beside garbage.

    `dangling`: images without a tag. `all_unused`: every image that no container uses. `cache`: build cache, of which
    records used within `cache_younger_than` seconds and the newest `cache_keep` bytes stay, and with `cache_unshared`
    those whose layer an image has. Content that nothing has ever claimed stays for `grace` seconds. `images` are IDs of
    further images that go; `ended` are containers that count as removed already.
    """

    dangling: bool = False
    all_unused: bool = False
    cache: bool = False
    cache_younger_than: float = 0.0
    cache_keep: int = 0
    cache_unshared: bool = False
    grace: float = 3600.0
    images: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()


@attrs.frozen
class Item:
    """One thing that goes; `kind` is image, tag, layer, blob, cache or leftover; `size` in bytes, of its own."""

    kind: str
    name: str
    size: int
    text: str = ""


@attrs.frozen
class Collected:
    """What went, or would go; `reclaimed` is the sum of the sizes in bytes."""

    items: tuple[Item, ...]

    @property
    def reclaimed(self) -> int:
        """Bytes given back."""
        return sum(item.size for item in self.items)

    @property
    def layers(self) -> frozenset[str]:
        """The ids of the layers."""
        return frozenset(item.name for item in self.items if item.kind == "layer")

    def lines(self, kinds: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A line for each thing, or each of some kinds, for people."""
        return tuple(_line(item) for item in self.items if not kinds or item.kind in kinds)


@attrs.frozen
class _Plan:
    images: tuple[Item, ...]
    tags: tuple[Item, ...]
    cache: tuple[Item, ...]
    layers: tuple[Item, ...]
    lost_layers: tuple[str, ...]
    blobs: tuple[Item, ...]
    folders: tuple[Item, ...]
    ingests: tuple[Item, ...]
    partials: tuple[Item, ...]

    def items(self) -> tuple[Item, ...]:
        files = (*self.blobs, *self.folders, *self.ingests, *self.partials)
        return (*self.tags, *self.images, *self.cache, *self.layers, *files)


@attrs.frozen
class _Marks:
    """What is used: images by ID, layers by id, and what leases hold."""

    images: frozenset[str]
    held: Held
    layers: frozenset[str]


class Collector:
    """Collects in one store. Thread-safe; processes take turns."""

    def __init__(self, layout: Layout, database: Database, blobs: Blobs, trash: Trash, log: Journal, boot: str) -> None:
        self._layout = layout
        self._database = database
        self._blobs = blobs
        self._trash = trash
        self._journal = log
        self._boot = boot

    def plan(self, policy: Policy, job: Job) -> Collected:
        """What `collect` would take; changes nothing."""
        with locks.exclusive(self._layout.lock("gc"), job), self._database.read() as connection:
            return Collected(self._mark(connection, policy, time.time(), job).items())

    def collect(self, policy: Policy, job: Job) -> Collected:
        """Take it. The rows go in one transaction, then files by rename; a kill in between leaves only garbage."""
        now = time.time()
        with locks.exclusive(self._layout.lock("gc"), job):
            with self._database.write(durable=True) as connection:
                plan = self._mark(connection, policy, now, job)
                self._delete_rows(connection, plan, now)
                revision = journal.note(connection, journal.IMAGES) if plan.images else 0
            self._move_files(plan)
        if revision:
            self._journal.announce(revision)
        return Collected(plan.items())

    def _mark(self, connection: Connection, policy: Policy, now: float, job: Job) -> _Plan:
        held = leases.held(connection)
        uses = [use for use in users.read_all(self._layout) if use.container not in policy.ended]
        job.checkpoint()
        doomed = self._doomed_images(connection, policy, held, frozenset().union(*(use.images for use in uses)))
        images = frozenset(row[0] for row in connection.execute("SELECT id FROM images")) - doomed
        records = self._kept_records(connection, policy, held, images, now)
        used = frozenset(
            layer for image, layer in connection.execute("SELECT image, layer FROM image_layers") if image in images
        ).union(*(use.layers for use in uses), (record.layer_id for record in records if record.layer_id))
        marks = _Marks(images, held, used)
        layers, lost = self._doomed_layers(connection, policy, marks, now)
        job.checkpoint()
        kept = {record.key for record in records}
        return _Plan(
            images=tuple(Item("image", image, 0) for image in sorted(doomed)),
            tags=tuple(self._names(connection, doomed)),
            cache=tuple(
                Item("cache", record.key, 0, record.description)
                for record in select_cache(connection) if record.key not in kept
            ),
            layers=layers,
            lost_layers=lost,
            blobs=tuple(self._doomed_blobs(connection, policy, marks, now, job)),
            folders=tuple(self._stray_folders(connection)),
            ingests=tuple(self._stray_ingests()),
            partials=tuple(self._old_partials(policy, now)),
        )  # fmt: skip

    def _doomed_images(
        self, connection: Connection, policy: Policy, held: Held, in_use: frozenset[str]
    ) -> frozenset[str]:
        if not (policy.dangling or policy.all_unused or policy.images):
            return frozenset()
        named = {row[0] for row in connection.execute("SELECT image FROM refs")}
        return frozenset(
            image
            for image, manifest, added in connection.execute("SELECT id, manifest, added FROM images")
            if (policy.all_unused or image in policy.images or (policy.dangling and image not in named))
            and image not in in_use
            and held.items.isdisjoint((image, manifest))
            and added < held.since
        )

    def _kept_records(
        self, connection: Connection, policy: Policy, held: Held, images: frozenset[str], now: float
    ) -> tuple[CacheRecord, ...]:
        """Records whose layer exists and that the policy leaves; the budget counts bytes no image has anyway."""
        sizes = dict(connection.execute("SELECT id, size FROM layers WHERE boot IS NULL OR boot = ?", (self._boot,)))
        shared = {
            layer for image, layer in connection.execute("SELECT image, layer FROM image_layers") if image in images
        }
        of_images = frozenset(shared)
        kept: list[CacheRecord] = []
        total = 0
        for record in select_cache(connection):
            if record.layer_id is not None and (
                record.layer_id not in sizes or not os.path.isdir(self._layout.layers / record.layer_id)
            ):
                continue
            own = 0 if record.layer_id is None or record.layer_id in shared else sizes[record.layer_id]
            young = record.last_used >= min(held.since, now - policy.cache_younger_than)
            wanted = policy.cache_unshared and record.layer_id in of_images
            if not policy.cache or young or wanted or (policy.cache_keep and total + own <= policy.cache_keep):
                kept.append(record)
                total += own
                shared.update(filter(None, (record.layer_id,)))
        return tuple(kept)

    def _doomed_layers(
        self, connection: Connection, policy: Policy, marks: _Marks, now: float
    ) -> tuple[tuple[Item, ...], tuple[str, ...]]:
        items: list[Item] = []
        lost: list[str] = []
        young = min(now - policy.grace, marks.held.since)
        for layer, diff_id, size, created, claimed, boot in connection.execute(
            "SELECT id, diff_id, size, created, claimed, boot FROM layers"
        ):
            if not os.path.isdir(self._layout.layers / layer):
                lost.append(layer)
            elif boot not in (None, self._boot):
                items.append(Item("layer", layer, size, "not whole"))
            elif (
                layer not in marks.layers
                and marks.held.items.isdisjoint((layer, diff_id))
                and created < (marks.held.since if claimed else young)
            ):
                items.append(Item("layer", layer, size))
        return tuple(items), tuple(lost)

    def _doomed_blobs(
        self, connection: Connection, policy: Policy, marks: _Marks, now: float, job: Job
    ) -> Iterator[Item]:
        used: set[str] = set(marks.held.items)
        gone: set[str] = set()
        for table in ("image_blobs", "manifests", "repo_digests"):
            for image, digest in connection.execute(f"SELECT image, digest FROM {table}"):  # noqa: S608 - constants
                (used if image in marks.images else gone).add(digest)
        released = dict(connection.execute("SELECT digest, time FROM released"))
        young = min(now - policy.grace, marks.held.since)
        for blob in self._blobs.all():
            job.checkpoint()
            name = str(blob.digest)
            if name in used:
                continue
            if name in gone or blob.changed <= released.get(name, 0.0) or blob.changed < young:
                yield Item("blob", name, blob.size)

    def _stray_folders(self, connection: Connection) -> Iterator[Item]:
        """Layers in the making whose maker is gone, and trees that never got a row."""
        for name in os.listdir(self._layout.layers):
            folder = self._layout.layers / name
            if locks.is_held(folder / "lock"):
                continue
            known = connection.execute("SELECT 1 FROM layers WHERE id = ?", (name,)).fetchone()
            if name.startswith(".new-") or known is None:
                yield Item("leftover", name, 0, "unfinished layer")

    def _stray_ingests(self) -> Iterator[Item]:
        for name in os.listdir(self._layout.ingest):
            path = self._layout.ingest / name
            with contextlib.suppress(FileNotFoundError):
                size = os.stat(path).st_size
                if not locks.is_held(path):
                    yield Item("leftover", name, size, "unfinished download")

    def _old_partials(self, policy: Policy, now: float) -> Iterator[Item]:
        """Downloads that nobody went on with for a week; all that stand still, when all that is unused goes."""
        for left in Partials(self._layout).leftovers(before=now if policy.all_unused else None):
            yield Item("leftover", left.name, left.size, "partial download")

    def _names(self, connection: Connection, doomed: frozenset[str]) -> Iterator[Item]:
        for name, image in connection.execute("SELECT name, image FROM refs ORDER BY name"):
            if image in doomed:
                yield Item("tag", name, 0)

    def _delete_rows(self, connection: Connection, plan: _Plan, now: float) -> None:
        for item in plan.images:
            imagerows.delete(connection, digests.parse(item.name), now)
        connection.executemany("DELETE FROM cache WHERE key = ?", [(item.name,) for item in plan.cache])
        gone = [(layer,) for layer in (*(item.name for item in plan.layers), *plan.lost_layers)]
        connection.executemany("DELETE FROM compressed WHERE diff_id = (SELECT diff_id FROM layers WHERE id = ?)", gone)
        connection.executemany("DELETE FROM layers WHERE id = ?", gone)
        connection.executemany("DELETE FROM released WHERE digest = ?", [(item.name,) for item in plan.blobs])
        leases.end_dead(connection)
        filehashes.forget_old(connection)

    def _move_files(self, plan: _Plan) -> None:
        for item in (*plan.layers, *plan.folders):
            self._trash.take(self._layout.layers / item.name)
        for item in plan.ingests:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._layout.ingest / item.name)
        for item in plan.partials:
            Partials(self._layout).delete(item.name)
        for item in plan.blobs:
            self._blobs.delete(digests.parse(item.name))


def _line(item: Item) -> str:
    name = digests.parse(item.name).short if ":" in item.name and item.kind != "tag" else item.name
    size = f"({_human(item.size)})" if item.size else ""
    return " ".join(filter(None, (item.kind, name, item.text, size)))


def _human(size: int) -> str:
    value = float(size)
    for unit in _UNITS[:-1]:
        if value < 1000:
            return f"{value:.4g}{unit}"
        value /= 1000
    return f"{value:.4g}{_UNITS[-1]}"
