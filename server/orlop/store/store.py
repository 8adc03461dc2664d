"""The image store: the one object through which a process uses a store on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orlop.core import errors
from orlop.core.job import Job
from orlop.store import locks, process
from orlop.store.blobs import Blobs
from orlop.store.cache import BuildCache
from orlop.store.database import Database
from orlop.store.filehashes import FileHashes
from orlop.store.images import Images
from orlop.store.journal import Journal
from orlop.store.layers import Layers
from orlop.store.layout import Layout
from orlop.store.leases import Leases
from orlop.store.origins import Origins
from orlop.store.partials import Partials
from orlop.store.settling import Settler
from orlop.store.trash import Trash, remove_plainly

# Collecting, measuring and verifying are imported when they are used: they cost a tenth of a short process's start.
if TYPE_CHECKING:
    from orlop.store.gc import Collected
    from orlop.store.usage import Usage
    from orlop.store.verify import Damage, Verifier

_Result = TypeVar("_Result")


class Store:
    """Opens or makes a store. Thread-safe; any number of processes share one.

    Opening looks at nothing but the versions. Raises `Unavailable` when the place cannot be written, `Corrupt` when
    the database is damaged (`recovery.rebuild` makes a new one). `remove_tree` deletes trees with owners of their own.
    """

    def __init__(self, root: Path, *, remove_tree: Callable[[Path], None] = remove_plainly) -> None:
        self.layout = Layout(root.absolute())
        self.layout.prepare()
        self.root = self.layout.root
        boot = process.boot_id()
        try:
            # Shared as long as the store is open: whoever rebuilds the database wants it alone.
            self._open_lock = locks.hold_shared(self.layout.lock("open"))
        except OSError as error:
            raise errors.from_os(error, f"open the image store {self.root}") from error
        self.trash = Trash(self.layout, remove_tree)
        try:
            database = self._with_room(lambda: Database(self.layout.database, self.layout.lock("migrate")), Job())
        except BaseException:
            os.close(self._open_lock)
            raise
        self._database = database
        self._settler = Settler(self.layout, database, self.trash, boot)
        self.blobs = Blobs(self.layout)
        self.partials = Partials(self.layout)
        self.journal = Journal(database, self.layout.revision)
        self.layers = Layers(self.layout, database, self.trash, boot)
        self.images = Images(self.layout, database, self.blobs, self.journal, boot, self._settler.request)
        self.cache = BuildCache(self.layout, database, boot)
        self.leases = Leases(database)
        self.origins = Origins(database)
        self.files = FileHashes(database)
        self._boot = boot

    def close(self, *, wait: float = 1.0) -> None:
        """Let what follows the last changes end, for at most `wait` seconds; nothing is lost if this never runs."""
        if self._open_lock < 0:
            return
        self._settler.finish(wait)
        self._database.close()
        os.close(self._open_lock)
        self._open_lock = -1

    def settle(self, job: Job) -> None:
        """Sync committed layers, write the OCI index, empty the trash; otherwise a thread does it within moments."""
        self._settler.settle(job)

    def collect(
        self,
        job: Job,
        *,
        dry_run: bool = False,
        dangling: bool = False,
        all_unused: bool = False,
        cache: bool = False,
        cache_younger_than: float = 0.0,
        cache_keep: int = 0,
        cache_unshared: bool = False,
        grace: float = 3600.0,
        images: frozenset[str] = frozenset(),
        ended: frozenset[str] = frozenset(),
    ) -> Collected:
        """Remove garbage, and what the flags name (see `gc.Policy`); tell what went, or with `dry_run` would go.

        Plain garbage is what no image, container, lease or cache record uses. Answers once everything is out of the
        way; the deleting itself follows in a thread, or with `settle`.
        """
        from orlop.store import gc  # noqa: PLC0415

        policy = gc.Policy(
            dangling=dangling,
            all_unused=all_unused,
            cache=cache,
            cache_younger_than=cache_younger_than,
            cache_keep=cache_keep,
            cache_unshared=cache_unshared,
            grace=grace,
            images=images,
            ended=ended,
        )
        collector = gc.Collector(self.layout, self._database, self.blobs, self.trash, self.journal, self._boot)
        if dry_run:
            return collector.plan(policy, job)
        collected = self._with_room(lambda: collector.collect(policy, job), job)
        self._settler.request()
        return collected

    def usage(self, *, running: Collection[str] = ()) -> Usage:
        """Sizes by kind and by image; `running` are the ids of containers that run."""
        from orlop.store import usage  # noqa: PLC0415

        return usage.measure(self.layout, self._database, self.blobs, running)

    def verify(self, job: Job) -> tuple[Damage, ...]:
        """Every damage there is; reads all blobs."""
        return self._verifier().verify(job)

    def repair(self, damage: tuple[Damage, ...], job: Job) -> None:
        """Make what is damaged count as absent."""
        self._verifier().repair(damage, job)
        self._settler.request()

    def _with_room(self, act: Callable[[], _Result], job: Job) -> _Result:
        """Do it; on a full disk a second time, with the room that the trash takes."""
        try:
            return act()
        except errors.DiskFull:
            if self.trash.is_empty():
                raise
        self.trash.empty(job)
        return act()

    def _verifier(self) -> Verifier:
        from orlop.store.verify import Verifier  # noqa: PLC0415

        return Verifier(self.layout, self._database, self.blobs, self.trash, self.journal, self._boot)
