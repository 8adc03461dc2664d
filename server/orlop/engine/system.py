"""The host and the store as a whole: info, usage, doctor, prune."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from orlop import __version__
from orlop.core.job import Job
from orlop.engine import imagefilters
from orlop.engine.imagefilters import Filters
from orlop.engine.removal import told
from orlop.engine.settings import Settings
from orlop.runtime.probe import Report, probe
from orlop.store.cache import CacheRecord
from orlop.store.store import Store

if TYPE_CHECKING:
    from orlop.store.usage import Usage


@attrs.frozen
class Info:
    """Who answers, and what this host allows."""

    version: str
    root: Path
    rootless: bool
    can_run: bool
    reason: str | None
    hint: str | None


@attrs.frozen
class UsageRow:
    """One kind of thing in the store; sizes in bytes. `type` is images, containers or build-cache."""

    type: str
    total: int
    active: int
    size: int
    reclaimable: int


@attrs.frozen
class Pruned:
    """What went, or would go: Docker's lines about images (see `Removed`), the build cache's keys with their steps.

    `files` are lines about the layers, blobs and leftovers that hold the bytes; `reclaimed` counts all of them.
    """

    images: tuple[tuple[str, str], ...]
    cache: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    reclaimed: int


class System:
    """The use-cases that are about no single image or container."""

    def __init__(self, settings: Settings, store: Store, rootless: bool) -> None:
        self._settings = settings
        self._store = store
        self._rootless = rootless
        self._report: Report | None = None

    def info(self) -> Info:
        """The facts; whether containers can run is tried once."""
        report = self.doctor()
        return Info(
            version=__version__,
            root=self._settings.root,
            rootless=self._rootless,
            can_run=report.can_run,
            reason=report.reason,
            hint=report.hint,
        )

    def doctor(self, *, again: bool = False) -> Report:
        """Every check, by doing it; remembered for the life of this process."""
        if self._report is None or again:
            self._report = probe()
        return self._report

    def measure(self, running: Collection[str] = ()) -> Usage:
        """Every size there is; `running` are IDs of the containers that run."""
        return self._store.usage(running=running)

    def cache(self) -> tuple[CacheRecord, ...]:
        """The records of the build cache, last used first."""
        return self._store.cache.list()

    def usage(self, running: Collection[str] = ()) -> tuple[UsageRow, ...]:
        """As `docker system df`; `running` are IDs of the containers that run."""
        usage = self.measure(running)
        return tuple(
            UsageRow(kind, row.total, row.active, row.size, row.reclaimable)
            for kind, row in (
                ("images", usage.images),
                ("containers", usage.containers),
                ("build-cache", usage.cache),
            )
        )

    def prune(
        self,
        *,
        all_unused: bool,
        only_cache: bool,
        dry_run: bool,
        job: Job,
        filters: Filters = (),
        ended: frozenset[str] = frozenset(),
    ) -> Pruned:
        """Remove what nothing uses: nameless images (or all unused ones) that the filters keep, and the build cache.

        Cached steps whose layers images have stay as well, unless all that is unused goes.

        `ended` are IDs of containers that count as removed already. The cache knows only the filter `until`.
        """
        now = datetime.now(UTC)
        images = () if only_cache else self._store.images.list()
        chosen = imagefilters.select(
            tuple(image for image in images if all_unused or not image.references),
            filters, self._store.images.find, now,
        )  # fmt: skip
        borders = [
            (now - imagefilters.moment(value, now)).total_seconds() for name, value in filters if name == "until"
        ]
        collected = self._store.collect(
            job,
            dry_run=dry_run,
            images=frozenset(str(image.id) for image in chosen),
            ended=ended,
            all_unused=all_unused and not only_cache and not filters,
            cache=not any(name.startswith("label") for name, _ in filters),
            cache_unshared=not all_unused,
            cache_younger_than=max(borders, default=0.0),
        )
        return Pruned(
            told(chosen, collected),
            tuple((item.name, item.text) for item in collected.items if item.kind == "cache"),
            tuple(collected.lines(("layer", "blob", "leftover"))),
            collected.reclaimed,
        )
