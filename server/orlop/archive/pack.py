"""Packs what is at a place of an ordinary file system, such as a mounted root, into a tar, under any name."""

from __future__ import annotations

import os
import stat

from orlop.archive.diff import Walk, Written
from orlop.archive.tarwriter import TarWriter
from orlop.archive.tree import DIRECTORY
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def pack(parent: int, leaf: bytes, name: bytes, out: Callable[[bytes], object]) -> Written:
    """Hand a tar of `leaf`, an entry of the open directory `parent` (or `.` for itself), to `out` in large pieces.

    In the tar it is called `name`; with the name `.` a directory's entries stand for themselves. A symbolic link is
    packed as one. What changes meanwhile is packed as it was found.
    """
    try:
        if not stat.S_ISDIR(os.stat(leaf, dir_fd=parent, follow_symlinks=False).st_mode):
            return Walk(parent, TarWriter(out, lambda _: name), patient=True).write_one(leaf)
        fd = os.open(leaf, DIRECTORY, dir_fd=parent)
        try:
            return Walk(fd, TarWriter(out, _below(name)), whole=True, patient=True).write()
        finally:
            os.close(fd)
    except OSError as error:
        raise errors.from_os(error, f"pack {os.fsdecode(leaf)}") from error


def _below(name: bytes) -> Callable[[bytes], bytes]:
    if name == b".":
        return lambda path: path
    return lambda path: name if path == b"." else name + b"/" + path
