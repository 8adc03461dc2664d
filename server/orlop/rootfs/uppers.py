"""The upper directory of a container that exists, taken as a layer of its own while the container keeps what it has."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orlop.core import errors
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.rootfs.feeding import make_pipe
from orlop.rootfs.workshop import Workshop
from orlop.store.layers import Layer
from orlop.store.store import Store


def freeze(store: Store, workshop: Workshop, upper: Path, stubs: Mapping[str, Any], job: Job) -> Layer | None:
    """Copy what `upper` (overlay form) changes into a layer; None when it changes nothing.

    `stubs` records mount points that somebody made in it (`runtime.init.stubs`): they are left out, and so are
    sockets. One pass: one task writes the canonical tar, another unpacks and hashes it. Nobody else writes to `upper`
    meanwhile, or `Corrupt` is raised for a file that changed.
    """
    read, write = make_pipe()
    with store.layers.new() as pending:
        writer = _Writer(workshop, {"root": str(upper), "stubs": dict(stubs)}, write, job)
        writer.start()
        try:
            result = workshop.call("apply", {"root": str(pending.diff)}, job, fds=(read,))
        except errors.InvalidArchive:
            os.close(read)
            writer.finish()  # why the archive is incomplete comes first
            raise
        except BaseException:
            os.close(read)
            writer.join()
            raise
        os.close(read)
        if not writer.finish():
            return None
        diff_id = Digest("sha256", result["digest"])
        return store.layers.by_diff_id(diff_id) or pending.commit(
            size=result["size"], diff_id=diff_id, tar_size=result["tar_size"]
        )


class _Writer(threading.Thread):
    """Has the tar written into a pipe, and closes it at the end."""

    def __init__(self, workshop: Workshop, params: dict[str, Any], write: int, job: Job) -> None:
        super().__init__(name="freeze", daemon=True)
        self._workshop = workshop
        self._params = params
        self._write = write
        self._job = job
        self._entries = 0
        self._error: errors.OrlopError | None = None

    def run(self) -> None:
        """Write it."""
        try:
            self._entries = self._workshop.call("tar", self._params, self._job, fds=(self._write,))["entries"]
        except errors.OrlopError as error:
            self._error = error
        finally:
            os.close(self._write)

    def finish(self) -> int:
        """Wait for the end; the number of entries that were written. Raises what went wrong."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._entries
