"""The files of an image archive by name, whether the archive is a folder or a tar; nothing is unpacked."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import IO, Any, Protocol

from orlop.archive import entry as entries
from orlop.archive.tarstream import TarReader
from orlop.core import errors

_MAX_PARTS = 1_000_000
_MAX_LINKS = 8
_BUFFER = 1 << 20


class Parts(Protocol):
    """Reads named files; names are relative, with slashes."""

    def size(self, name: str) -> int | None:
        """The bytes of a file, None if there is no such file."""

    def open(self, name: str) -> IO[bytes]:
        """A file from its start; raises `InvalidArchive` if it is missing. Several may be read at once."""

    def close(self) -> None:
        """Let go of the archive."""


def read(parts: Parts, name: str, limit: int) -> bytes:
    """A whole small file; raises `InvalidArchive` if it is missing or larger than `limit` bytes."""
    size = parts.size(name)
    if size is None:
        raise _missing(name)
    if size > limit:
        raise errors.InvalidArchive(f"{name} in the archive has {size} bytes, more than the limit of {limit}")
    with parts.open(name) as file:
        return file.read(size)


class Folder:
    """The parts are files below a directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def size(self, name: str) -> int | None:
        """The bytes of a regular file."""
        try:
            status = os.stat(os.path.join(self._path, _checked(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise errors.from_os(error, f"read {name}") from error
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def open(self, name: str) -> IO[bytes]:
        """A regular file."""
        try:
            fd = os.open(os.path.join(self._path, _checked(name)), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _missing(name) from error
        except OSError as error:
            raise errors.from_os(error, f"read {name}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise errors.InvalidArchive(f"{name} in the archive is not a file")
        return open(fd, "rb", buffering=_BUFFER)

    def close(self) -> None:
        """Nothing is held."""


class Tar:
    """The parts are members of an uncompressed tar, found once by its headers and read in place.

    Takes over `file`, which can seek. Symbolic and hard links between members are followed, as old archives share
    layers that way. Raises `InvalidArchive` if the tar is damaged.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        try:
            self._scan()
        except OSError as error:
            raise errors.from_os(error, "read the archive") from error

    def size(self, name: str) -> int | None:
        """The bytes of a member."""
        place = self._find(name)
        return None if place is None else place[1]

    def open(self, name: str) -> IO[bytes]:
        """A view of a member; good until the archive is closed."""
        place = self._find(name)
        if place is None:
            raise _missing(name)
        return io.BufferedReader(_Section(self._file.fileno(), *place), _BUFFER)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _scan(self) -> None:
        self._file.seek(0)
        reader = TarReader(self._file, seekable=True)
        for count, entry in enumerate(reader):
            if count >= _MAX_PARTS:
                raise errors.InvalidArchive(f"archive has more than {_MAX_PARTS} members")
            name = _text(entries.clean(entry.name))
            self._places.pop(name, None)
            self._links.pop(name, None)
            if entry.kind == entries.FILE and entry.sparse is None:
                self._places[name] = (reader.offset, entry.size)
            elif entry.kind == entries.HARDLINK:
                self._links[name] = _text(entries.clean(entry.linkname))
            elif entry.kind == entries.SYMLINK:
                # A target outside is no member: whoever asks for it hears that it is missing.
                self._links[name] = os.path.normpath(os.path.join(os.path.dirname(name), _text(entry.linkname)))

    def _find(self, name: str) -> tuple[int, int] | None:
        name = os.path.normpath(name)
        for _ in range(_MAX_LINKS):
            place = self._places.get(name)
            if place is not None:
                return place
            target = self._links.get(name)
            if target is None:
                return None
            name = target
        return None


class _Section(io.RawIOBase):
    """A range of a file, read without moving its position, so that several threads may."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        super().__init__()
        self._fd = fd
        self._offset = offset
        self._end = offset + size
        self._start = offset

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(self._end - self._offset, 0)]
        if not view:
            return 0
        count = os.preadv(self._fd, [view], self._offset)
        if not count:
            raise errors.InvalidArchive("the archive is truncated")
        self._offset += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._offset, os.SEEK_END: self._end}[whence]
        if base + offset < self._start:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._offset = base + offset
        return self._offset - self._start


def _checked(name: str) -> str:
    """A name from an archive's own documents must stay inside the archive."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name or not name:
        raise errors.InvalidArchive(f"archive names the file {name[:100]!r}, which is not inside it")
    return name


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _missing(name: str) -> errors.InvalidArchive:
    return errors.InvalidArchive(f"archive is incomplete: {name[:100]!r} is missing")
