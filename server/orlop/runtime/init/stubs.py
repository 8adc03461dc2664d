"""Mount points made inside the root because nothing was there, and their removal without a trace.

Making one also copies its parent directories up into the upper layer and touches their times; both are undone unless
the container itself changed the directory meanwhile (seen by its ctime).
"""

from __future__ import annotations

import os
import stat

from orlop.runtime.linux import paths, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


class Stubs:
    """Finds or makes mount points below `root_fd`; `upper_fd` is where what is made ends up, None for nowhere."""

    def __init__(self, root_fd: int, upper_fd: int | None) -> None:
        self._root_fd = root_fd
        self._upper_fd = upper_fd
        self._made: list[str] = []
        self._parents: dict[str, dict[str, Any]] = {}

    def target(self, path: str, *, directory: bool) -> int:
        """An O_PATH descriptor of the mount point; raises `OSError` when the tree has something else there."""
        if directory:
            return paths.make_directories(self._root_fd, path, made=self._note)
        return paths.make_file(self._root_fd, path, made=self._note)

    def record(self) -> dict[str, Any]:
        """What `remove` needs, as JSON; taken once everything is made."""
        if self._upper_fd is None:
            return {}
        for parent, facts in self._parents.items():
            facts["ctime"] = _ctime(self._upper_fd, parent)
        return {"made": self._made, "parents": self._parents} if self._made else {}

    def _note(self, parent_fd: int, name: str) -> None:
        if self._upper_fd is None:
            return
        parent = paths.location(self._root_fd, parent_fd)
        self._made.append(f"{parent.rstrip('/')}/{name}")
        ancestor = parent
        while ancestor not in self._parents:
            try:
                status = os.stat(ancestor.lstrip("/") or ".", dir_fd=self._upper_fd, follow_symlinks=False)
            except FileNotFoundError:
                self._parents[ancestor] = {"copied": True, "mtime": 0}
            else:
                self._parents[ancestor] = {"copied": False, "mtime": status.st_mtime_ns}
            if ancestor == "/":
                break
            ancestor = ancestor.rpartition("/")[0] or "/"


def traces(upper: str, record: dict[str, Any]) -> tuple[set[bytes], dict[bytes, int]]:
    """What in the upper directory of a running container is nothing but its mount points.

    Returns the paths (relative) of those that are empty still, with the directories copied up only for them; and, of
    directories that were there, the time (nanoseconds) from before they were touched. What the container itself has
    changed since is none of it.
    """
    omit: set[bytes] = set()
    times: dict[bytes, int] = {}
    if not record:
        return omit, times
    root_fd = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parents: dict[str, dict[str, Any]] = record["parents"]
        made: list[str] = record["made"]
        untouched = [path for path, facts in parents.items() if _ctime(root_fd, path) == facts["ctime"]]
        for path in reversed(made):
            if _holds_nothing(root_fd, path, omit):
                omit.add(_relative(path))
        for path in sorted(untouched, key=len, reverse=True):
            if parents[path]["copied"]:
                if path != "/" and _holds_nothing(root_fd, path, omit):
                    omit.add(_relative(path))
            elif path not in made:
                times[_relative(path)] = parents[path]["mtime"]
    finally:
        os.close(root_fd)
    return omit, times


def remove(upper: str, record: dict[str, Any]) -> None:
    """Take the mount points of a finished container out of its upper directory; what has content stays."""
    if not record:
        return
    root_fd = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parents: dict[str, dict[str, Any]] = record["parents"]
        untouched = {path for path, facts in parents.items() if _ctime(root_fd, path) == facts["ctime"]}
        made: list[str] = record["made"]
        for path in reversed(made):
            _remove_empty(root_fd, path)
        for path in sorted(untouched, key=len, reverse=True):
            if parents[path]["copied"]:
                _remove_empty(root_fd, path)
            elif path not in made:
                _restore_time(root_fd, path, parents[path]["mtime"])
    finally:
        os.close(root_fd)


def _relative(path: str) -> bytes:
    return os.fsencode(path.lstrip("/"))


def _holds_nothing(root_fd: int, path: str, omit: set[bytes]) -> bool:
    """Whether there is an empty file, or a directory with nothing but what is left out."""
    relative = path.lstrip("/")
    try:
        status = _status(root_fd, path)
        if not stat.S_ISDIR(status.st_mode):
            return stat.S_ISREG(status.st_mode) and status.st_size == 0
        fd = syscalls.openat2(root_fd, relative, os.O_RDONLY | os.O_DIRECTORY, resolve=_BENEATH)
    except OSError:
        return False
    try:
        return all(os.fsencode(f"{relative}/{name}") in omit for name in os.listdir(fd))
    finally:
        os.close(fd)


def _remove_empty(root_fd: int, path: str) -> None:
    parent, _, name = path.rpartition("/")
    try:
        parent_fd = syscalls.openat2(root_fd, parent.lstrip("/") or ".", os.O_PATH | os.O_DIRECTORY, resolve=_BENEATH)
    except OSError:
        return
    try:
        status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=parent_fd)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(name, dir_fd=parent_fd)
    except OSError:
        pass
    finally:
        os.close(parent_fd)


def _restore_time(root_fd: int, path: str, mtime: int) -> None:
    try:
        fd = syscalls.openat2(root_fd, path.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_BENEATH)
    except OSError:
        return
    try:
        os.utime(fd, ns=(os.fstat(fd).st_atime_ns, mtime))
    except OSError:
        pass
    finally:
        os.close(fd)


def _ctime(root_fd: int, path: str) -> int:
    try:
        return _status(root_fd, path).st_ctime_ns
    except OSError:
        return -1


def _status(root_fd: int, path: str) -> os.stat_result:
    """What is at the path; a link on the way, which the container may have made meanwhile, is not followed."""
    fd = syscalls.openat2(root_fd, path.lstrip("/") or ".", os.O_PATH | os.O_NOFOLLOW, resolve=_BENEATH)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
