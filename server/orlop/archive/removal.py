"""Removes trees of any depth and any owner with few descriptors, never following a link."""

from __future__ import annotations

import os

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FORMAT, _REGULAR, _IS_DIRECTORY = 0o170000, 0o100000, 0o040000


def remove(parent: int, name: bytes) -> tuple[int, int]:
    """Remove a file or a tree below the open directory `parent`; returns normally if there is nothing.

    Answers the bytes of the regular files whose last name went, and the count of directories. Nobody else may change
    the tree meanwhile.
    """
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return 0, 0
    if status.st_mode & _FORMAT != _IS_DIRECTORY:
        os.unlink(name, dir_fd=parent)
        return (status.st_size if status.st_mode & _FORMAT == _REGULAR and status.st_nlink == 1 else 0), 0
    return _remove_tree(parent, name)


def remove_tree(path: str | bytes) -> None:
    """Remove the file or tree at `path`; returns normally if there is nothing."""
    directory, name = os.path.split(os.fsencode(path).rstrip(b"/"))
    fd = os.open(directory or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(fd, name)
    finally:
        os.close(fd)


def _remove_tree(parent: int, name: bytes) -> tuple[int, int]:
    """Depth first with one descriptor at a time: down by name, up by `..`, so that no depth is too deep."""
    directories = 0
    names = [name]
    here = _enter(name, parent)
    try:
        children, size = _empty(here)
        pending = [children]
        while names:
            if pending[-1]:
                child = pending[-1].pop()
                below = _enter(child, here)
                os.close(here)
                here = below
                children, freed = _empty(here)
                names.append(child)
                pending.append(children)
                size += freed
                continue
            pending.pop()
            done = names.pop()
            directories += 1
            above = os.open("..", _DIRECTORY, dir_fd=here) if names else os.dup(parent)
            os.close(here)
            here = above
            os.rmdir(done, dir_fd=here)
    finally:
        os.close(here)
    return size, directories


def _enter(name: bytes, parent: int) -> int:
    """Open a directory, with the right to write it regained if its mode denies that to its owner."""
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        # The caller owns it or the next call fails; in a private tree the name cannot become a link in between.
        os.chmod(name, 0o700, dir_fd=parent)
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    if os.geteuid() and os.fstat(fd).st_mode & 0o700 != 0o700:
        os.fchmod(fd, 0o700)
    return fd


def _empty(fd: int) -> tuple[list[bytes], int]:
    """Unlink all but directories; the names of those, and the bytes that went."""
    size = 0
    children: list[bytes] = []
    with os.scandir(fd) as scan:
        listing = [(os.fsencode(item.name), item.is_dir(follow_symlinks=False)) for item in scan]
    for name, is_directory in listing:
        if is_directory:
            children.append(name)
            continue
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        os.unlink(name, dir_fd=fd)
        if status.st_mode & _FORMAT == _REGULAR and status.st_nlink == 1:
            size += status.st_size
    return children, size
