"""Writes the tar of one layer from its directory: the same tree always gives the same bytes.

Order: a directory, its opaque mark, its files by name, then its subdirectories by name, each in the same way. The root
itself is an entry (`./`) only when its owner, mode or attributes are not the usual ones (0:0, 0755, none), since its
time changes with every file that is made in it. Sockets, and names that a layer cannot have (`.wh.…`), are left out.
OCI image-spec, layer.md#creating; inverse of `apply`.
"""

from __future__ import annotations

import os

from orlop.archive import entry as entries
from orlop.archive import overlay
from orlop.archive.entry import Entry
from orlop.archive.tarwriter import TarWriter
from orlop.archive.tree import DIRECTORY, MAX_PATH
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

_PIECE = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME
_FORMAT, _REGULAR, _LINK, _SOCKET = 0o170000, 0o100000, 0o120000, 0o140000
_KINDS = {0o010000: entries.FIFO, 0o020000: entries.CHARACTER, 0o060000: entries.BLOCK}
_FOREIGN = (".overlay.redirect", ".overlay.metacopy")


class Written:
    """What was written: bytes of regular files (hard links once), entries, bytes of the tar, names left out."""

    __slots__ = ("entries", "size", "skipped", "tar_size")

    def __init__(self, size: int, entries: int, tar_size: int, skipped: int) -> None:
        self.size = size
        self.entries = entries
        self.tar_size = tar_size
        self.skipped = skipped


def write_layer(
    root: str,
    out: Callable[[bytes], object],
    *,
    omit: AbstractSet[bytes] = frozenset(),
    times: Mapping[bytes, int] | None = None,
) -> Written:
    """Hand the tar of the layer at `root` (overlay form, not changing meanwhile) to `out` in large pieces.

    The paths of `omit` are left out, directories of `times` get that time (nanoseconds). Runs in the user namespace
    that owns the tree. Raises `Corrupt` if a file changes while it is read.
    """
    try:
        fd = os.open(root, DIRECTORY)
        try:
            return Walk(fd, TarWriter(out), omit, times).write()
        finally:
            os.close(fd)
    except OSError as error:
        raise errors.from_os(error, "read a layer") from error


class Walk:
    """One walk through a tree, or through a single file of it; entries go to `writer`.

    `whole` writes the root's own entry in any case; `patient` writes a file that shrinks meanwhile with zeros at its
    end instead of refusing it.
    """

    __slots__ = (
        "_entries", "_links", "_omit", "_patient", "_root", "_size", "_skipped", "_times", "_whole", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        root: int,
        writer: TarWriter,
        omit: AbstractSet[bytes] = frozenset(),
        times: Mapping[bytes, int] | None = None,
        *,
        whole: bool = False,
        patient: bool = False,
    ) -> None:
        self._root = root
        self._writer = writer
        self._omit = omit
        self._times = times or {}
        self._whole = whole
        self._patient = patient
        self._links: dict[tuple[int, int], bytes] = {}
        self._size = self._entries = self._skipped = 0

    def write(self) -> Written:
        """Write the tree at the root and the end of the tar."""
        # Every path is opened from the root: one descriptor at a time, however deep the tree.
        pending = [b""]
        while pending:
            path = pending.pop()
            fd = os.open(path, DIRECTORY, dir_fd=self._root) if path else os.dup(self._root)
            try:
                below = self._directory(fd, path)
            finally:
                os.close(fd)
            pending.extend(reversed(below))
        return self._finish()

    def write_one(self, name: bytes) -> Written:
        """Write only the entry `name` of the root, which is no directory, and the end of the tar."""
        if os.stat(name, dir_fd=self._root, follow_symlinks=False).st_mode & _FORMAT == _REGULAR:
            self._file(self._root, name, name)
        else:
            self._other(self._root, name, b"")
        return self._finish()

    def _finish(self) -> Written:
        self._writer.finish()
        return Written(self._size, self._entries, self._writer.size, self._skipped)

    def _directory(self, fd: int, path: bytes) -> list[bytes]:
        """Write a directory and its files; answers the paths of its subdirectories in order."""
        status = os.fstat(fd)
        names = os.listxattr(fd)
        xattrs = _xattrs(fd, names, path) if names else {}
        if path or self._whole or status.st_mode & 0o7777 != 0o755 or status.st_uid or status.st_gid or xattrs:
            entry = _entry(path or b".", entries.DIRECTORY, status, xattrs)
            entry.mtime_ns = self._times.get(path, entry.mtime_ns)
            self._add(entry)
        prefix = path + b"/" if path else b""
        if names and overlay.is_opaque(fd):
            self._add(Entry(prefix + overlay.OPAQUE_NAME, mode=0))
        with os.scandir(fd) as scan:
            listing = [
                (os.fsencode(item.name), item.is_file(follow_symlinks=False), item.is_dir(follow_symlinks=False))
                for item in scan
            ]
        listing.sort()
        below = []
        for name, is_file, is_directory in listing:
            here = prefix + name
            if here in self._omit:
                continue
            if name.startswith(overlay.WHITEOUT_PREFIX):
                self._skipped += 1
            elif len(here) > MAX_PATH:
                raise errors.Corrupt(f"cannot archive {entries.shown(here)}: its path is longer than {MAX_PATH} bytes")
            elif is_directory:
                below.append(here)
            elif is_file:
                self._file(fd, name, here)
            else:
                self._other(fd, name, prefix)
        return below

    def _file(self, parent: int, name: bytes, path: bytes) -> None:
        fd = _open(name, parent)
        try:
            status = os.fstat(fd)
            if status.st_nlink > 1 and self._linked(status, path):
                return
            names = os.listxattr(fd)
            entry = _entry(path, entries.FILE, status, _xattrs(fd, names, path) if names else None)
            entry.size = left = status.st_size
            writer = self._writer
            writer.begin(entry)
            while left:
                chunk = os.read(fd, min(_PIECE, left))
                if not chunk:
                    if not self._patient:
                        break
                    chunk = bytes(min(_PIECE, left))
                left -= len(chunk)
                writer.data(chunk)
            writer.end(entry)
        finally:
            os.close(fd)
        self._entries += 1
        self._size += entry.size

    def _other(self, parent: int, name: bytes, prefix: bytes) -> None:
        path = prefix + name
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        kind = status.st_mode & _FORMAT
        if kind == _SOCKET:
            self._skipped += 1
            return
        if overlay.is_whiteout(status):
            self._add(Entry(prefix + overlay.WHITEOUT_PREFIX + name, mode=0))
            return
        if status.st_nlink > 1 and self._linked(status, path):
            return
        where = b"/proc/self/fd/%d/%b" % (parent, name)
        names = os.listxattr(where, follow_symlinks=False)
        xattrs = _xattrs(where, names, path) if names else None
        if kind == _LINK:
            entry = _entry(path, entries.SYMLINK, status, xattrs)
            entry.mode = 0o777
            entry.linkname = os.readlink(name, dir_fd=parent)
        else:
            entry = _entry(path, _KINDS[kind], status, xattrs)
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        self._add(entry)

    def _linked(self, status: os.stat_result, path: bytes) -> bool:
        """Write a hard link if another name of the same file was written before."""
        key = (status.st_dev, status.st_ino)
        first = self._links.setdefault(key, path)
        if first is path:
            return False
        entry = _entry(path, entries.HARDLINK, status, None)
        entry.linkname = first
        self._add(entry)
        return True

    def _add(self, entry: Entry) -> None:
        self._writer.begin(entry)
        self._writer.end(entry)
        self._entries += 1


def _entry(path: bytes, kind: str, status: os.stat_result, xattrs: dict[bytes, bytes] | None) -> Entry:
    return Entry(
        path, kind, status.st_mode & 0o7777, status.st_uid, status.st_gid, 0, status.st_mtime_ns, xattrs=xattrs
    )  # fmt: skip


def _xattrs(target: int | bytes, names: list[str], path: bytes) -> dict[bytes, bytes]:
    for name in names:
        if name.endswith(_FOREIGN):
            raise errors.Corrupt(
                f"cannot archive {entries.shown(path)}: the kernel keeps part of it in a lower layer",
                hint="Mount overlays with redirect_dir=off and metacopy=off.",
            )
    if isinstance(target, int):
        return {name: os.getxattr(target, name) for name in overlay.contents(names)}
    return {name: os.getxattr(target, name, follow_symlinks=False) for name in overlay.contents(names)}


def _open(name: bytes, parent: int) -> int:
    try:
        return os.open(name, _READ, dir_fd=parent)
    except PermissionError:
        # Only the owner may leave the access time alone.
        return os.open(name, _READ & ~os.O_NOATIME, dir_fd=parent)
