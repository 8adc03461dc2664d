"""Names inside a tree that nobody trusts: every lookup stays below the tree's root, whatever the links in it say."""

from __future__ import annotations

import errno
import os

from orlop.runtime.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Made = Callable[[int, str], None]

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


def make_directories(root_fd: int, path: str, mode: int = 0o755, made: Made | None = None) -> int:
    """Like `mkdir -p` inside the root, following its links; returns the directory, opened with O_PATH.

    `made` is told (parent descriptor, name) before each directory is made. Raises `NotADirectoryError` when something
    else is in the way.
    """
    try:
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    parent_fd = make_directories(root_fd, parent or "/", mode, made)
    try:
        link = _link_text(parent_fd, name)
        if link is not None:
            # A circle of links was refused by the kernel before (ELOOP), so each round makes something and this ends.
            return make_directories(root_fd, _follow(root_fd, parent_fd, link), mode, made)
        if made is not None:
            made(parent_fd, name)
        os.mkdir(name, mode, dir_fd=parent_fd)
        return open_inside(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    finally:
        os.close(parent_fd)


def make_file(root_fd: int, path: str, made: Made | None = None) -> int:
    """Open the file at `path` with O_PATH, made with its directories when missing; links stay inside the root."""
    try:
        return open_inside(root_fd, path)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    parent_fd = make_directories(root_fd, parent or "/", made=made)
    try:
        link = _link_text(parent_fd, name)
        if link is not None:
            return make_file(root_fd, _follow(root_fd, parent_fd, link), made)
        if made is not None:
            made(parent_fd, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent_fd))
        return open_inside(root_fd, path)
    finally:
        os.close(parent_fd)


def location(root_fd: int, fd: int) -> str:
    """The absolute name of `fd` inside the root, as the kernel knows it now."""
    root = os.readlink(f"/proc/self/fd/{root_fd}").rstrip("/")
    inside = os.readlink(f"/proc/self/fd/{fd}")
    if inside in (root, "/"):
        return "/"
    if root and not inside.startswith(f"{root}/"):
        raise OSError(errno.EXDEV, "outside of the root", inside)
    return inside[len(root) :]


def _link_text(parent_fd: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=parent_fd)
    except OSError:
        return None


def _follow(root_fd: int, parent_fd: int, link: str) -> str:
    return link if link.startswith("/") else f"{location(root_fd, parent_fd)}/{link}"
