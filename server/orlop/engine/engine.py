"""The composition root: the only place that constructs things and knows how they hang together."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.engine.builds import Builds
from orlop.engine.containers import Containers
from orlop.engine.events import StoreWatch
from orlop.engine.images import Images
from orlop.engine.settings import Settings
from orlop.engine.system import System
from orlop.rootfs.workshop import Workshop
from orlop.store.store import Store


class Engine:
    """One store, one workshop, and the use-cases over them; any number of engines may share a store."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._workshop = Workshop(settings.root)
        self.store = Store(settings.root, remove_tree=self._remove_tree)
        self.containers = Containers(self.store, self._workshop, settings)
        self.images = Images(self.store, self._workshop, self._users_of)
        self.builds = Builds(self.store, self._workshop, settings)
        self.system = System(settings, self.store, rootless=os.geteuid() != 0)

    def watch(self, listener: Callable[[int], None]) -> StoreWatch:
        """Call `listener` with the new revision whenever anyone changes the store."""
        return StoreWatch(self.store, listener)

    def close(self) -> None:
        """End the helper processes; nothing is lost if this never runs."""
        self.containers.close()
        # The store first: what it still deletes may need a worker.
        self.store.close()
        self._workshop.close()

    def _remove_tree(self, path: Path) -> None:
        self._workshop.call("remove", {"path": str(path)}, Job())

    def _users_of(self, image: Digest) -> tuple[str, ...]:
        return self.containers.using(image)
