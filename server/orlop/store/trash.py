"""The trash: things leave the store by one rename, and are deleted later, when nobody waits."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from orlop.core import errors
from orlop.core.job import Job
from orlop.store import locks
from orlop.store.layout import Layout, new_id


class Trash:
    """Takes and deletes. Thread-safe; one process at a time deletes. `remove_tree` deletes trees of other owners."""

    def __init__(self, layout: Layout, remove_tree: Callable[[Path], None]) -> None:
        self._folder = layout.trash
        self._lock = layout.lock("trash")
        self._remove_tree = remove_tree

    def take(self, path: Path) -> bool:
        """Move it here; False when it was not there."""
        try:
            os.rename(path, self._folder / new_id())
        except FileNotFoundError:
            return False
        return True

    def delete(self, path: Path) -> None:
        """Take it and delete it before returning: for where the room is needed now."""
        taken = self._folder / new_id()
        try:
            os.rename(path, taken)
        except FileNotFoundError:
            return
        self._remove(taken)

    def is_empty(self) -> bool:
        """Whether nothing waits to be deleted."""
        return not os.listdir(self._folder)

    def empty(self, job: Job) -> None:
        """Delete what is here; what cannot be deleted now stays for the next time."""
        lock = locks.try_exclusive(self._lock)
        if lock is None:
            return
        try:
            for name in os.listdir(self._folder):
                job.checkpoint()
                self._remove(self._folder / name)
        finally:
            os.close(lock)

    def _remove(self, path: Path) -> None:
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                self._remove_tree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            return
        except (OSError, errors.OrlopError) as error:
            warn("cannot delete %s yet: %s", path, error)


def warn(message: str, *arguments: object) -> None:
    """Tell the log what will be tried again, so that no caller hears of it."""
    # Costs milliseconds of a start, and hardly any process needs it.
    import logging  # noqa: PLC0415

    logging.getLogger(__name__).warning(message, *arguments)


def remove_plainly(path: Path) -> None:
    """Delete a tree whose files all belong to this user; directories without write permission too."""
    import shutil  # noqa: PLC0415 - costs milliseconds of a start

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(folder: Path) -> None:
    os.chmod(folder, 0o700)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _open_up(Path(entry.path))
