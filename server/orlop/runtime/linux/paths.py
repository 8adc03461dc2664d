"""Names inside a tree that nobody trusts: every lookup stays below the tree's root, whatever the links in it say."""

from __future__ import annotations

import errno
import os
import stat

from orlop.runtime.linux import syscalls

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


def open_inside(root_fd: int, path: str, flags: int = os.O_PATH) -> int:
    """Open `path` as a process chrooted to `root_fd` would; raises `OSError`."""
    return syscalls.openat2(root_fd, path or ".", flags, resolve=_IN_ROOT)


def open_directory(root_fd: int, path: str) -> int:
    """Open a directory that is really there: no component may be a symbolic link; raises `OSError`."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    return syscalls.openat2(
        root_fd, path.lstrip("/") or ".", flags, resolve=syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    )


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Like `mkdir -p` inside the root, following its links; returns the directory, opened with O_PATH.

    Raises `NotADirectoryError` when something else is in the way.
    """
    try:
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    parent_fd = make_directories(root_fd, parent or "/", mode)
    try:
        try:
            os.mkdir(name, mode, dir_fd=parent_fd)
        except FileExistsError:
            return _behind_link(root_fd, path, parent_fd, name, mode)
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    finally:
        os.close(parent_fd)


def _behind_link(root_fd: int, path: str, parent_fd: int, name: str, mode: int) -> int:
    """The name exists: another process made it, or it is a link to something that does not exist yet."""
    if not stat.S_ISLNK(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode):
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    link = os.readlink(name, dir_fd=parent_fd)
    target = link if link.startswith("/") else f"{location(root_fd, parent_fd)}/{link}"
    # A circle of links was refused by the kernel before (ELOOP), so each round makes something and this ends.
    return make_directories(root_fd, target, mode)


def location(root_fd: int, fd: int) -> str:
    """The absolute name of `fd` inside the root, as the kernel knows it now."""
    root = os.readlink(f"/proc/self/fd/{root_fd}").rstrip("/")
    inside = os.readlink(f"/proc/self/fd/{fd}")
    if inside in (root, "/"):
        return "/"
    if root and not inside.startswith(f"{root}/"):
        raise OSError(errno.EXDEV, "outside of the root", inside)
    return inside[len(root) :]
