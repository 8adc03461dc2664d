"""The directories beneath one root, reached by descriptors and never through a link that leaves the root.

Names in a hostile archive cannot point outside: every component is opened relative to its parent without following
links; a link met on the way is resolved here, by hand, against this root (absolute targets and `..` included).
The tree must not be changed by anybody else meanwhile.
"""

from __future__ import annotations

import errno
import os

from orlop.archive import entry as entries
from orlop.archive import overlay
from orlop.archive.removal import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_PATH = 4095

_OPEN = 96
_MAX_LINKS = 40
_FORMAT, _IS_LINK, _IS_DIRECTORY = 0o170000, 0o120000, 0o040000
_SPECIAL_BITS = 0o6000


class Tree:
    """Opens, makes and finally dates directories.

    `root` is an open directory (the tree keeps it, the caller closes it). Missing parents are made 0755; with
    `implicit_mtime` (nanoseconds) they get that time at `finish`. `opaque` marks a directory that takes the place of a
    whiteout; None means that whiteouts have no meaning here.
    """

    __slots__ = ("_fds", "_implicit", "_opaque", "_times", "closed", "made", "removed", "root")

    def __init__(self, root: int, *, implicit_mtime: int | None, opaque: Callable[[int], None] | None) -> None:
        self.root = root
        self.made = 0
        """How many missing parents were made."""
        self.closed = 0
        """Grows whenever a descriptor handed out before is closed."""
        self._implicit = implicit_mtime
        self._opaque = opaque
        self._fds: dict[bytes, int] = {}
        self._times: dict[bytes, tuple[int, int]] = {}
        self.removed = False
        """Whether a directory was removed: its children are remembered still, until they are forgotten."""

    def open(self, path: bytes) -> tuple[int, bytes]:
        """A descriptor of the directory at a clean path, made if missing, and its path without links.

        The descriptor belongs to the tree and stays good until `closed` changes. Raises `InvalidArchive` when
        something else is in the way.
        """
        fd = self._cached(path)
        if fd is not None:
            return fd, path
        if len(path) > MAX_PATH:
            raise entries.invalid(path, f"its path is longer than {MAX_PATH} bytes")
        start = path
        while fd is None:
            start = start.rpartition(b"/")[0]
            fd = self._cached(start)
        rest = path[len(start) + 1 :] if start else path
        for name in rest.split(b"/"):
            here = start + b"/" + name if start else name
            try:
                opened = os.open(name, DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                opened = self._make(fd, name, here)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                return self._resolve(path)
            fd = self._remember(here, opened)
            start = here
        return fd, path

    def existing(self, path: bytes) -> tuple[int, bytes] | None:
        """As `open`, but None if the directory is not there already."""
        fd = self._cached(path)
        if fd is not None:
            return fd, path
        try:
            return self._resolve(path, make=False)
        except FileNotFoundError:
            return None

    def note(self, path: bytes, mode: int, mtime_ns: int) -> None:
        """Remember the mode and the time a directory shall have once everything is in it."""
        self._times[path] = (mode, mtime_ns)

    def forget(self, path: bytes) -> None:
        """What is at `path` is no directory any more."""
        self._times.pop(path, None)

    def clear(self, parent: int, name: bytes, path: bytes) -> int:
        """Remove whatever is at `path`; returns the bytes of the regular files that went for good."""
        size, directories = remove(parent, name)
        if directories:
            self.removed = True
            self._times.pop(path, None)
            self.close()
        return size

    def finish(self) -> None:
        """Give every directory its set-ID bits and its time, in any order: neither touches a parent."""
        for path, (mode, mtime_ns) in self._times.items():
            parent, _, name = path.rpartition(b"/")
            try:
                fd = self._plain(parent) if path else self.root
                if not path:
                    os.utime(fd, ns=(mtime_ns, mtime_ns))
                elif mode & _SPECIAL_BITS:
                    self._date(os.open(name, DIRECTORY, dir_fd=fd), mode, mtime_ns)
                else:
                    os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
        root_mode = self._times.get(b"", (0, 0))[0]
        if root_mode & _SPECIAL_BITS:
            os.fchmod(self.root, root_mode)

    def close(self) -> None:
        """Close every descriptor but the root's."""
        self.closed += 1
        fds, self._fds = self._fds, {}
        for fd in fds.values():
            os.close(fd)

    def _cached(self, path: bytes) -> int | None:
        if not path:
            return self.root
        fd = self._fds.pop(path, None)
        if fd is not None:
            self._fds[path] = fd
        return fd

    def _remember(self, path: bytes, fd: int) -> int:
        fds = self._fds
        if len(fds) >= _OPEN:
            self.closed += 1
            os.close(fds.pop(next(iter(fds))))
        fds[path] = fd
        return fd

    def _make(self, parent: int, name: bytes, path: bytes) -> int:
        os.mkdir(name, 0o755, dir_fd=parent)
        self.made += 1
        if self._implicit is not None:
            self._times[path] = (0o755, self._implicit)
        return os.open(name, DIRECTORY, dir_fd=parent)

    def _plain(self, path: bytes) -> int:
        """Open an existing directory by a path without links."""
        fd = self._cached(path)
        if fd is None:
            fd, start = self.root, b""
            for name in path.split(b"/"):
                start = start + b"/" + name if start else name
                known = self._cached(start)
                fd = self._remember(start, os.open(name, DIRECTORY, dir_fd=fd)) if known is None else known
        return fd

    def _resolve(self, path: bytes, *, make: bool = True) -> tuple[int, bytes]:
        """Walk a path whose links are followed inside the root, as the kernel would with RESOLVE_IN_ROOT."""
        pending = path.split(b"/")[::-1]
        done: list[bytes] = []
        links = 0
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if done:
                    done.pop()
                continue
            fd = self._plain(b"/".join(done))
            here = b"/".join((*done, name))
            if len(here) > MAX_PATH:
                raise entries.invalid(path, f"its path is longer than {MAX_PATH} bytes")
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                if not make:
                    raise
                self._remember(here, self._make(fd, name, here))
                done.append(name)
                continue
            kind = status.st_mode & _FORMAT
            if kind == _IS_DIRECTORY:
                done.append(name)
            elif kind == _IS_LINK:
                links += 1
                if links > _MAX_LINKS:
                    raise entries.invalid(path, "its path has too many symbolic links")
                target = os.readlink(name, dir_fd=fd)
                if target.startswith(b"/"):
                    done.clear()
                pending.extend(target.split(b"/")[::-1])
            elif self._opaque is not None and overlay.is_whiteout(status):
                if not make:
                    raise FileNotFoundError
                os.unlink(name, dir_fd=fd)
                opened = self._remember(here, self._make(fd, name, here))
                self._opaque(opened)
                done.append(name)
            else:
                raise entries.invalid(path, f"{entries.shown(here)} on its way is not a directory")
        canonical = b"/".join(done)
        return self._plain(canonical), canonical

    @staticmethod
    def _date(fd: int, mode: int, mtime_ns: int) -> None:
        try:
            os.fchmod(fd, mode)
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)
