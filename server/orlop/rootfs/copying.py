"""COPY and ADD: puts files of the build context, of other snapshots or of the Dockerfile itself into a snapshot.

The rules are BuildKit's: a directory's content is copied, not the directory; links in the path of a source or of the
destination are followed inside their root, links inside a copied tree are copied; what exists already keeps its owner
and mode at the top and takes those of the source below.
"""

from __future__ import annotations

import contextlib
import errno
import os

from orlop.core import errors
from orlop.rootfs import gomatch, mounting, people
from orlop.rootfs.modes import Mode
from orlop.runtime.linux import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FORMAT, _FILE, _DIR, _LINK = 0o170000, 0o100000, 0o040000, 0o120000
_SOCKET, _FIFO, _CHARACTER, _BLOCK = 0o140000, 0o010000, 0o020000, 0o060000
_PIECE = 1 << 20


def copy(params: dict[str, Any], root: int) -> list[str]:
    """Copy as `params` say into the snapshot whose root directory is open as `root`; returns warnings.

    `destination` is absolute, a trailing slash means a directory. `context` is a host directory with `matches`
    (path, name, dir, entries: exactly what to take), or `source` are the layers (top first) of a snapshot with
    `sources` as patterns. `inline` are (name, text) files. `chown`, `chmod` as written.
    """
    uid, gid, warnings = people.resolve(root, params["chown"]) if params["chown"] else (0, 0, [])
    keep = params["source"] is not None and not params["chown"]
    target = _Target(root, params["destination"], None if keep else (uid, gid), Mode.parse(params["chmod"]))
    for name, text in params["inline"]:
        target.write(name, text.encode("utf-8", "surrogateescape"))
    if params["context"] is not None:
        source = os.open(params["context"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for match in params["matches"]:
            target.take(source, match["path"], match["name"], match["entries"] if match["dir"] else None)
        os.close(source)
    elif params["source"] is not None:
        with mounting.reading(params["source"]) as source:
            for pattern in params["sources"]:
                for path, name in _found(source, pattern):
                    entries = _walk(source, path, params["excludes"])
                    target.take(source, path, name, entries)
    return warnings


class _Target:
    """Where things go, with whose owner and mode; hard links of one copy stay linked."""

    def __init__(self, root: int, destination: str, owner: tuple[int, int] | None, mode: Mode | None) -> None:
        self._root = root
        self._destination = destination
        self._owner = owner
        self._mode = mode
        self._links: dict[tuple[int, int], tuple[int, str]] = {}
        self._as_directory = destination.endswith("/")

    def write(self, name: str, data: bytes) -> None:
        """Put a file of the Dockerfile itself."""
        parent, name = self._place(name)
        self._clear(parent, name)
        fd = os.open(name, _CREATE, 0o644, dir_fd=parent)
        with open(fd, "wb") as file:
            file.write(data)
        self._finish(parent, name, 0o100644, (0, 0), None)
        os.close(parent)

    def take(self, source: int, path: str, name: str, entries: list[str] | None) -> None:
        """Copy one match: a file, or the `entries` (paths below it, parents first) of a directory."""
        try:
            fd = paths.open_inside(source, path)
        except OSError as error:
            raise errors.from_os(error, f"copy /{path}") from error
        try:
            status = os.fstat(fd)
            if entries is not None and status.st_mode & _FORMAT == _DIR:
                self._take_directory(fd, status, entries)
                return
            parent, final = self._place(name)
            self._copy_file_at(fd, status, parent, final)
            os.close(parent)
        finally:
            os.close(fd)

    def _take_directory(self, fd: int, status: os.stat_result, entries: list[str]) -> None:
        source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        top = self._top_directory(status)
        folders = {"": top}
        sources = {"": source}
        later: list[tuple[int, os.stat_result]] = []
        for entry in entries:
            above, _, name = entry.rpartition("/")
            here, there = sources[above], folders[above]
            try:
                found = os.stat(name, dir_fd=here, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_mode & _FORMAT == _DIR:
                sources[entry] = os.open(name, _DIRECTORY, dir_fd=here)
                folders[entry] = self._enter(there, name, found, entry)
                later.append((folders[entry], found))
            else:
                self._copy_entry(here, there, name, found)
        for folder, found in later:
            os.utime(folder, ns=(found.st_mtime_ns, found.st_mtime_ns))
        for descriptor in {*folders.values(), *sources.values()}:
            os.close(descriptor)

    def _top_directory(self, status: os.stat_result) -> int:
        """The directory that the destination names; made like the source if it is new, untouched if it is there."""
        path = self._destination
        try:
            fd = paths.open_inside(self._root, path)
        except FileNotFoundError:
            made = self._make_directories(path)
            fd = os.open(f"/proc/self/fd/{made}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            os.close(made)
            if not self._as_directory:
                self._stamp(fd, status)
            return fd
        try:
            if os.fstat(fd).st_mode & _FORMAT != _DIR:
                raise errors.BuildFailed(
                    f"cannot copy to non-directory: {path}",
                    hint="Choose another destination, or remove the file first.",
                )
            return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(fd)

    def _enter(self, parent: int, name: str, status: os.stat_result, shown: str) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            raise errors.BuildFailed(
                f"cannot copy to non-directory: {self._destination.rstrip('/')}/{shown}",
                hint="Choose another destination, or remove the file first.",
            ) from error
        self._stamp(fd, status)
        return fd

    def _stamp(self, fd: int, status: os.stat_result) -> None:
        owner = self._owner or (status.st_uid, status.st_gid)
        os.chown(fd, *owner)
        mode = self._mode.of(status.st_mode) if self._mode else status.st_mode & 0o7777
        os.chmod(fd, mode)

    def _place(self, name: str) -> tuple[int, str]:
        """The directory and the name that a single file goes to."""
        path = self._destination
        if not self._as_directory:
            try:
                fd = paths.open_inside(self._root, path)
            except FileNotFoundError:
                fd = -1
            except NotADirectoryError as error:
                raise errors.BuildFailed(f"cannot copy to {path}: a file is in the way") from error
            if fd >= 0:
                is_directory = os.fstat(fd).st_mode & _FORMAT == _DIR
                real = paths.location(self._root, fd)
                os.close(fd)
                path = f"{real}/" if is_directory else real
        if path.endswith("/"):
            folder, final = path, name
        else:
            folder, _, final = path.rpartition("/")
        made = self._make_directories(folder or "/")
        fd = os.open(f"/proc/self/fd/{made}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.close(made)
        return fd, final

    def _make_directories(self, path: str) -> int:
        made: list[tuple[int, str]] = []

        def remember(parent: int, name: str) -> None:
            made.append((os.dup(parent), name))

        try:
            fd = paths.make_directories(self._root, path, 0o755, remember)
        except NotADirectoryError as error:
            raise errors.BuildFailed(
                f"cannot copy to non-directory: {path}", hint="Choose another destination, or remove the file first."
            ) from error
        for parent, name in made:
            os.chown(name, *(self._owner or (0, 0)), dir_fd=parent, follow_symlinks=False)
            os.chmod(name, self._mode.of(0o40755) if self._mode else 0o755, dir_fd=parent)
            os.close(parent)
        return fd

    def _copy_file_at(self, fd: int, status: os.stat_result, parent: int, name: str) -> None:
        """A single file whose source is already open (O_PATH)."""
        kind = status.st_mode & _FORMAT
        self._clear(parent, name)
        if kind == _FILE:
            source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._copy_bytes(source, parent, name, status)
            os.close(source)
        else:
            self._make_special(parent, name, status)
        self._finish(parent, name, status.st_mode, (status.st_uid, status.st_gid), status.st_mtime_ns)

    def _copy_entry(self, here: int, there: int, name: str, status: os.stat_result) -> None:
        kind = status.st_mode & _FORMAT
        identity = (status.st_dev, status.st_ino)
        self._clear(there, name)
        if kind == _LINK:
            os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
        elif kind == _FILE:
            if status.st_nlink > 1 and identity in self._links:
                first, first_name = self._links[identity]
                os.link(first_name, name, src_dir_fd=first, dst_dir_fd=there, follow_symlinks=False)
                return
            source = os.open(name, _READ, dir_fd=here)
            self._copy_bytes(source, there, name, status)
            os.close(source)
            if status.st_nlink > 1:
                self._links[identity] = (os.dup(there), name)
        else:
            self._make_special(there, name, status)
        self._finish(there, name, status.st_mode, (status.st_uid, status.st_gid), status.st_mtime_ns)

    def _copy_bytes(self, source: int, parent: int, name: str, status: os.stat_result) -> None:
        target = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            _transfer(source, target, status.st_size)
            # Before the attributes: a change of owner takes file capabilities away.
            self._own(target, name, (status.st_uid, status.st_gid))
            _copy_xattrs(source, target)
        finally:
            os.close(target)

    @staticmethod
    def _make_special(parent: int, name: str, status: os.stat_result) -> None:
        kind = status.st_mode & _FORMAT
        if kind == _SOCKET:
            os.close(os.open(name, _CREATE, 0o600, dir_fd=parent))
        elif kind == _FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
        else:
            try:
                os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=parent)
            except PermissionError as error:
                raise errors.Unavailable(
                    f"cannot copy the device {name}: this user may not make devices",
                    hint="Leave it out with .dockerignore, or build as root.",
                ) from error

    def _clear(self, parent: int, name: str) -> None:
        """Make room: a file gives way to a file, a directory never does."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except IsADirectoryError as error:
            raise errors.BuildFailed(
                f"cannot replace to directory {self._destination.rstrip('/')}/{name} with file",
                hint="Choose another destination, or remove the directory first.",
            ) from error

    def _own(self, fd: int, name: str, owner: tuple[int, int]) -> None:
        uid, gid = self._owner or owner
        try:
            os.chown(fd, uid, gid)
        except OSError as error:
            raise _out_of_range(error, name, uid, gid) from error

    def _finish(self, parent: int, name: str, mode: int, owner: tuple[int, int], mtime_ns: int | None) -> None:
        uid, gid = self._owner or owner
        try:
            if mode & _FORMAT != _FILE or mtime_ns is None:
                os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise _out_of_range(error, name, uid, gid) from error

        if mode & _FORMAT != _LINK:
            os.chmod(name, self._mode.of(mode) if self._mode else mode & 0o7777, dir_fd=parent)
        if mtime_ns is not None:
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=parent, follow_symlinks=False)


def _out_of_range(error: OSError, name: str, uid: int, gid: int) -> errors.OrlopError:
    if error.errno != errno.EINVAL:
        return errors.from_os(error, f"give {name} to {uid}:{gid}")
    return errors.Unavailable(
        f"cannot give {name} to {uid}:{gid}: that id is outside the range of this user",
        hint="Extend the ranges in /etc/subuid and /etc/subgid.",
    )


def _found(root: int, pattern: str) -> list[tuple[str, str]]:
    """The (path, name) that a source names in a snapshot; a pattern may name nothing, a plain path may not."""
    if not gomatch.has_pattern(pattern):
        try:
            os.close(paths.open_inside(root, pattern or "."))
        except OSError as error:
            raise errors.BuildFailed(
                f'failed to calculate checksum of ref: "/{pattern}": not found',
                hint="Check the path in the stage or image that is copied from.",
            ) from error
        return [(pattern or ".", pattern.rpartition("/")[2])]
    found = [""]
    for part in pattern.split("/"):
        found = [f"{path}/{name}".lstrip("/") for path in found for name in _matching(root, path, part)]
    return [(path, path.rpartition("/")[2]) for path in found]


def _matching(root: int, folder: str, part: str) -> list[str]:
    try:
        fd = paths.open_inside(root, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        names = sorted(os.listdir(fd))
    finally:
        os.close(fd)
    return [name for name in names if gomatch.match(part, name)]


def _walk(root: int, path: str, excludes: list[str]) -> list[str] | None:
    """The entries below a directory, parents first; None for a file."""
    fd = paths.open_inside(root, path)
    try:
        if os.fstat(fd).st_mode & _FORMAT != _DIR:
            return None
        top = f"/proc/self/fd/{fd}"
        entries: list[str] = []
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(f"{top}/{folder}") as scan:
                items = sorted(scan, key=lambda item: item.name)
            for item in items:
                entry = f"{folder}/{item.name}" if folder else item.name
                if excludes and gomatch.excluded(excludes, entry):
                    continue
                entries.append(entry)
                if item.is_dir(follow_symlinks=False):
                    pending.append(entry)
        return entries
    finally:
        os.close(fd)


def _transfer(source: int, target: int, size: int) -> None:
    left = size
    while left:
        try:
            done = os.copy_file_range(source, target, left)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            break
        if done == 0:
            return
        left -= done
    while chunk := os.read(source, _PIECE):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def _copy_xattrs(source: int, target: int) -> None:
    """Those that travel with a file; where the file system has none there is nothing to keep."""
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay.")):
            try:
                os.setxattr(target, name, os.getxattr(source, name))
            except OSError:
                continue
