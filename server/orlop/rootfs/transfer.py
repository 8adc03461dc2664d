"""Moves the bytes and attributes of one file to another, in the kernel where it can."""

from __future__ import annotations

import errno
import os

from orlop.archive import overlay

_PIECE = 1 << 20
_SMALL = 64 << 10
_ELSEWHERE = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)


def content(source: int, target: int, status: os.stat_result) -> None:
    """Copy all bytes of a file into a new, empty one; holes stay holes, blocks are shared where the kernel can."""
    size = status.st_size
    if size <= _SMALL:
        data = os.read(source, _SMALL)
        if data:
            write(target, data)
        if len(data) == _SMALL:
            _rest(source, target)
        return
    if status.st_blocks * 512 < size:
        _with_holes(source, target, size)
        return
    _range(source, target, size)


def write(target: int, data: bytes) -> None:
    """Write every byte."""
    written = os.write(target, data)
    while written < len(data):
        written += os.write(target, data[written:])


def attributes(source: int | str, target: int | str) -> None:
    """Copy the extended attributes that travel with a file, as far as the file systems have them."""
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in overlay.contents(names) if names else ():
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError:
            continue


def _range(source: int, target: int, left: int) -> None:
    while left > 0:
        try:
            done = os.copy_file_range(source, target, left)
        except OSError as error:
            if error.errno not in _ELSEWHERE:
                raise
            _rest(source, target)
            return
        if done == 0:
            return
        left -= done


def _rest(source: int, target: int) -> None:
    while data := os.read(source, _PIECE):
        write(target, data)


def _with_holes(source: int, target: int, size: int) -> None:
    os.ftruncate(target, size)
    offset = 0
    while offset < size:
        try:
            start = os.lseek(source, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        offset = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(target, start, os.SEEK_SET)
        left = offset - start
        while left > 0:
            data = os.read(source, min(_PIECE, left))
            if not data:
                return
            write(target, data)
            left -= len(data)
