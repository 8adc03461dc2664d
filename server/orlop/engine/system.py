"""The host and the store as a whole: info, usage, doctor, prune."""

from __future__ import annotations

from pathlib import Path

import attrs

from orlop import __version__
from orlop.core.job import Job
from orlop.engine.settings import Settings
from orlop.runtime.probe import Report, probe
from orlop.store.store import Store


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
    """What went (or would go), a line for each thing, and the bytes it gives back."""

    lines: tuple[str, ...]
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

    def usage(self) -> tuple[UsageRow, ...]:
        """As `docker system df`."""
        usage = self._store.usage()
        return tuple(
            UsageRow(kind, row.total, row.active, row.size, row.reclaimable)
            for kind, row in (
                ("images", usage.images),
                ("containers", usage.containers),
                ("build-cache", usage.cache),
            )
        )

    def prune(self, *, all_unused: bool, only_cache: bool, dry_run: bool, job: Job) -> Pruned:
        """Remove what nothing uses: nameless images (or all unused ones) and the build cache."""
        collected = self._store.collect(
            job, dry_run=dry_run, dangling=not only_cache, all_unused=all_unused and not only_cache, cache=True
        )
        return Pruned(tuple(collected.lines()), collected.reclaimed)
