"""A container's file system for copying: that of a running one as it is, that of a stopped one mounted for it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from orlop.archive import removal
from orlop.archive.tree import DIRECTORY
from orlop.core import errors
from orlop.rootfs import merged
from orlop.runtime.init import skeleton
from orlop.runtime.linux import mounts, paths, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@contextlib.contextmanager
def visit(place: dict[str, Any], root: int | None) -> Iterator[int]:
    """The root directory, open.

    `root` is that of a running container, as somebody opened it who may. Otherwise `place` has lowers (topmost first),
    upper, work, skeleton and mounts of a stopped one (without `upper` nothing can be written); the caller has one
    thread and gets a mount namespace of its own.
    """
    if root is not None:
        fd = os.open(".", DIRECTORY, dir_fd=root)
        try:
            yield fd
        finally:
            os.close(fd)
        return
    work, upper = place["work"], place.get("upper")
    lowers = merged.visible(place["lowers"])
    if place.get("skeleton") is not None:
        lowers.append(skeleton.make(place["skeleton"]))
    syscalls.unshare(syscalls.CLONE_NEWNS)
    mounts.make_private()
    sources = [(mount, _source(mount)) for mount in place.get("mounts", ())]
    target = work if upper is not None else lowers[0]
    mounts.mount_overlay(target, tuple(lowers), upper, work if upper is not None else None, volatile=place["volatile"])
    try:
        fd = os.open(target, DIRECTORY)
        try:
            for mount, source in sources:
                if source is not None:
                    _attach(fd, mount["target"], source)
            yield fd
        finally:
            os.close(fd)
    finally:
        syscalls.umount(target, syscalls.MNT_DETACH)
    if upper is not None:
        for name in os.listdir(work):
            removal.remove_tree(f"{work}/{name}")


def split(root: int, path: str, *, follow: bool) -> tuple[int, bytes]:
    """The directory that holds what is at `path`, open, and its name there; links stay inside the root.

    A link at the very end is followed only if asked, or when a slash stands behind it. Raises `NotFound`.
    """
    try:
        if follow or path.endswith(("/", "/.", "/..")) or path in ("", ".", ".."):
            fd = paths.open_inside(root, path or "/")
            try:
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    return os.open(".", DIRECTORY, dir_fd=fd), b"."
                path = paths.location(root, fd)
            finally:
                os.close(fd)
        parent, _, leaf = path.rstrip("/").rpartition("/")
        fd = paths.open_inside(root, parent or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            found = os.open(".", DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        try:
            os.stat(leaf, dir_fd=found, follow_symlinks=False)
        except BaseException:
            os.close(found)
            raise
        return found, os.fsencode(leaf)
    except OSError as error:
        raise _missing(path, error) from error


def locate(root: int, path: str) -> dict[str, Any]:
    """What a copy to `path` meets: {"found", "directory", "path": real path or, without its directory, None}."""
    try:
        fd = paths.open_inside(root, path or "/")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise _missing(path, error) from error
        parent, _, leaf = path.rstrip("/").rpartition("/")
        try:
            above = paths.open_inside(root, parent or "/", os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return {"found": False, "directory": False, "path": None}
        try:
            return {
                "found": False, "directory": False, "path": f"{paths.location(root, above).rstrip('/')}/{leaf}",
            }  # fmt: skip
        finally:
            os.close(above)
    try:
        directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        return {"found": True, "directory": directory, "path": paths.location(root, fd)}
    finally:
        os.close(fd)


def _missing(path: str, error: OSError) -> errors.OrlopError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return errors.NotFound(f"no such file or directory in the container: {path}")
    return errors.from_os(error, f"look up {path}")


def _source(mount: dict[str, Any]) -> int | None:
    """A volume of the container; None for one that lives only while it runs, or is gone."""
    if mount["kind"] != "bind":
        return None
    try:
        fd = mounts.clone(mount["source"], recursive="bind" not in mount["options"])
    except errors.OrlopError:
        return None
    mounts.restrict(fd, tuple(mount["options"]))
    return fd


def _attach(root: int, target: str, source: int) -> None:
    try:
        mounts.attach(source, root, target)
    except OSError:
        return  # its mount point was never made: the container has not run yet
    finally:
        os.close(source)
