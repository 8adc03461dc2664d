"""What follows a change within moments, off the caller's path: files to disk, the OCI index, the trash."""

from __future__ import annotations

import threading

from orlop.core import errors
from orlop.core.job import Job
from orlop.store import durable, layers, ociindex
from orlop.store.database import Database
from orlop.store.layout import Layout
from orlop.store.trash import Trash, warn

# Changes come in bursts (a load of many images); one round serves all that gathered meanwhile.
_GATHER_SECONDS = 0.05


class Settler:
    """Runs a thread while there is something to do, and none otherwise. Thread-safe.

    Nothing depends on it for being right: what a killed process left undone, the next round of any process does.
    """

    def __init__(self, layout: Layout, database: Database, trash: Trash, boot: str) -> None:
        self._layout = layout
        self._database = database
        self._trash = trash
        self._boot = boot
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._job = Job()
        self._hurry = threading.Event()

    def request(self) -> None:
        """Have a round done soon."""
        with self._guard:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="store-settle", daemon=True)
                self._thread.start()

    def settle(self, job: Job) -> None:
        """Do a round now: everything that is committed is on disk when it returns."""
        self._sync()
        ociindex.refresh(self._layout, self._database)
        self._trash.empty(job)

    def finish(self, seconds: float) -> None:
        """Let a round that is due end, for at most that long; then stop."""
        self._hurry.set()
        with self._guard:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)
            self._job.token.cancel()
            thread.join(0.2)

    def _work(self) -> None:
        while True:
            self._hurry.wait(_GATHER_SECONDS)
            with self._guard:
                if not self._wanted or self._job.token.cancelled:
                    self._thread = None
                    return
                self._wanted = False
            try:
                self.settle(self._job)
            except errors.Cancelled:
                continue
            except (errors.OrlopError, OSError) as error:
                if self._job.token.cancelled:
                    # The store was closed under a slow sync; whoever opens it next does this round.
                    continue
                warn("cannot settle the image store yet: %s", error)

    def _sync(self) -> None:
        with self._database.read() as connection:
            fresh = layers.unsynced(connection, self._boot)
        if not fresh:
            return
        durable.sync_file_system(self._layout.layers)
        with self._database.write() as connection:
            layers.mark_synced(connection, fresh)
