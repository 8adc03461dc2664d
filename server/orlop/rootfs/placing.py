"""Puts files and directories into the upper layer of a snapshot, with the owners and modes that COPY gives them.

It writes to the upper directory itself, with no overlay mounted: COPY only adds names and replaces files by files, so
the upper layer never needs a whiteout, and what the lower ones show is looked up (`merged`). A lower directory that
gets a new name is first repeated in the upper layer with its attributes, as the kernel's copy-up does.
Files of frozen layers become hard links where nothing about them changes: overlayfs copies such a file before anybody
writes to it, and nothing here ever opens an existing file for writing.
"""

from __future__ import annotations

import errno
import os

from orlop.core import errors
from orlop.rootfs import transfer
from orlop.rootfs.merged import DIRECTORY, FILE, FORMAT, LINK, Folder
from orlop.rootfs.trees import LayerTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orlop.rootfs.merged import View
    from orlop.rootfs.modes import Mode
    from orlop.rootfs.trees import ContextTree

    Tree = ContextTree | LayerTree

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SOCKET, _FIFO, _CHARACTER = 0o140000, 0o010000, 0o020000
_SET_GID, _SPECIAL = 0o2000, 0o7000
_NO_LINK = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class Place:
    """A directory of the upper layer that is being filled: its descriptor, and whether new files inherit from it."""

    __slots__ = ("fd", "folder", "inherits")

    def __init__(self, folder: Folder) -> None:
        assert folder.upper is not None
        self.folder = folder
        self.fd = os.open(folder.upper, _OPEN)
        self.inherits = bool(os.fstat(self.fd).st_mode & _SET_GID)

    def close(self) -> None:
        """Close the directory."""
        os.close(self.fd)


class Placing:
    """One copy into a snapshot.

    `owner` None keeps the source's, `owners` False leaves everything to the current user (one mapped id). `warn` is
    told what could not be copied. `size` counts the bytes of new regular files, hard links once;
    it is right only while nothing is `replaced`.
    """

    def __init__(
        self, view: View, *, owner: tuple[int, int] | None, mode: Mode | None, owners: bool, warn: Callable[[str], None]
    ) -> None:
        self._view = view
        self._owner = owner
        self._mode = mode
        self._owners = owners
        self._warn = warn
        self._me = (os.geteuid(), os.getegid())
        self._match = 0
        # Which match and which layer an inode was linked from, and where the copies of hard-linked files are.
        self._linked: dict[tuple[int, int], tuple[int, str]] = {}
        self._copies: dict[tuple[int, int, str], str] = {}
        self.size = 0
        self.replaced = False

    def next_match(self) -> None:
        """Another source starts: only files of one source are hard links of each other."""
        self._match += 1
        self._copies.clear()

    def make(self, folder: Folder, name: str) -> Folder:
        """A missing directory on the way to the destination: 0755 and root's, unless --chmod and --chown say more."""
        self.materialize(folder)
        path = f"{folder.upper}/{name}"
        mode = self._mode.of(DIRECTORY | 0o755) if self._mode is not None else 0o755
        os.mkdir(path, 0o755)
        self._own(path, self._owner or (0, 0), name)
        os.chmod(path, mode)
        made = folder.children[name] = Folder(folder, name, path, [])
        return made

    def materialize(self, folder: Folder) -> None:
        """Have the directory in the upper layer, with the attributes it shows."""
        if folder.upper is not None:
            return
        assert folder.parent is not None
        self.materialize(folder.parent)
        path = f"{folder.parent.upper}/{folder.name}"
        os.mkdir(path, 0o700)
        take_attributes(path, folder.lowers[0], owners=self._owners)
        folder.upper = path

    def directory(self, path: str) -> Folder:
        """The directory at a path of the snapshot, made if it is missing; raises `BuildFailed` for anything else."""
        try:
            found = self._view.resolve(path, make=self.make, make_last=True)
        except NotADirectoryError as error:
            raise not_a_directory(error.filename) from error
        if not isinstance(found, Folder):
            raise not_a_directory(path)
        return found

    def tree(self, source: Tree, folder: Folder) -> None:
        """Copy what is in a directory into another one."""
        place: Place | None = None
        try:
            for name, status, handle in source.items():
                if place is None:
                    self.materialize(folder)
                    place = Place(folder)
                if status.st_mode & FORMAT == DIRECTORY:
                    self._directory(source, name, status, handle, place)
                else:
                    self.file(source, name, status, handle, place, name)
        finally:
            if place is not None:
                place.close()

    def file(self, source: Tree, name: str, status: os.stat_result, handle: Any, place: Place, new_name: str) -> None:
        """Copy anything but a directory to `new_name`, in place of a file that is there."""
        if new_name.startswith(".wh."):
            self._warn(f"{_join(place.folder, new_name)} was left out: no layer can have a file of that name")
            return
        if place.folder.lowers and place.folder.lower_names().get(new_name):
            raise _onto_directory(place.folder, new_name)
        kind = status.st_mode & FORMAT
        if (
            isinstance(source, LayerTree)
            and self._keeps(status)
            and self._link(source, name, status, handle, place, new_name)
        ):
            return
        if status.st_nlink > 1:
            copied = (status.st_dev, status.st_ino, source.layer(name, handle))
            first = self._copies.get(copied)
            if first is not None:
                self._replacing(place, new_name, lambda: os.link(first, new_name, dst_dir_fd=place.fd))
                return
            self._copies[copied] = f"{place.folder.upper}/{new_name}"
        if kind == FILE:
            self._regular(source, name, status, handle, place, new_name)
        elif kind == LINK:
            text = source.link(name, handle)
            self._replacing(place, new_name, lambda: os.symlink(text, new_name, dir_fd=place.fd))
            self._finish(place, new_name, status)
        else:
            self._special(place, new_name, status)

    def inline(self, place: Place, name: str, data: bytes) -> None:
        """A file whose content stands in the Dockerfile: 0644 and root's, unless said otherwise."""
        if place.folder.lowers and place.folder.lower_names().get(name):
            raise _onto_directory(place.folder, name)
        fd: int = self._replacing(place, name, lambda: os.open(name, _CREATE, 0o644, dir_fd=place.fd))
        try:
            transfer.write(fd, data)
            self._own(fd, self._owner or (0, 0), name)
            os.fchmod(fd, self._mode.of(FILE | 0o644) if self._mode is not None else 0o644)
        finally:
            os.close(fd)
        self.size += len(data)

    def _directory(self, source: Tree, name: str, status: os.stat_result, handle: Any, place: Place) -> None:
        folder = self._enter(place, name)
        try:
            below = source.below(name, handle)
        except (FileNotFoundError, NotADirectoryError):
            return
        path = folder.upper
        assert path is not None
        try:
            self.tree(below, folder)
            transfer.attributes(below.itself(), path)
        finally:
            below.close()
        self._own(path, self._owner or (status.st_uid, status.st_gid), name)
        os.chmod(path, self._mode.of(status.st_mode) if self._mode is not None else status.st_mode & 0o7777)
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _enter(self, place: Place, name: str) -> Folder:
        """The directory of that name in the destination, in the upper layer; made if there is none."""
        parent = place.folder
        found = parent.children.get(name)
        if found is None:
            if not parent.lowers:
                # Nothing lies below: only this copy can have made something of that name.
                try:
                    os.mkdir(name, 0o755, dir_fd=place.fd)
                except FileExistsError:
                    pass
                else:
                    found = parent.children[name] = Folder(parent, name, f"{parent.upper}/{name}", [])
                    return found
            seen = self._view.find(parent, name)
            if seen is None:
                os.mkdir(name, 0o755, dir_fd=place.fd)
                found = parent.children[name] = Folder(parent, name, f"{parent.upper}/{name}", [])
                return found
            if not isinstance(seen, Folder):
                raise not_a_directory(_join(parent, name))
            found = seen
        self.materialize(found)
        return found

    def _keeps(self, status: os.stat_result) -> bool:
        """Whether the copy has the very owner and mode of its source."""
        if self._owners and self._owner is not None and self._owner != (status.st_uid, status.st_gid):
            return False
        kind = status.st_mode & FORMAT
        if kind == LINK:
            return True
        return kind == FILE and (self._mode is None or self._mode.of(status.st_mode) == status.st_mode & 0o7777)

    def _link(
        self, source: LayerTree, name: str, status: os.stat_result, handle: Any, place: Place, new_name: str
    ) -> bool:
        """Link a frozen file; False if it must be copied: two files that merely share their bytes stay two."""
        key = (status.st_dev, status.st_ino)
        origin = (self._match, source.layer(name, handle))
        known = self._linked.setdefault(key, origin)
        if known != origin:
            return False
        path = source.real(name, handle)

        def create() -> None:
            os.link(path, new_name, dst_dir_fd=place.fd, follow_symlinks=False)

        try:
            self._replacing(place, new_name, create)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return False
        if known is origin and status.st_mode & FORMAT == FILE:
            self.size += status.st_size
        return True

    def _regular(
        self, source: Tree, name: str, status: os.stat_result, handle: Any, place: Place, new_name: str
    ) -> None:
        try:
            reading = source.file(name, handle)
        except OSError as error:
            raise errors.from_os(error, f"read {name}") from error
        try:
            status = os.fstat(reading)
            mode = self._mode.of(status.st_mode) if self._mode is not None else status.st_mode & 0o7777
            owner = self._owner or (status.st_uid, status.st_gid)
            fd: int = self._replacing(
                place, new_name, lambda: os.open(new_name, _CREATE, mode & 0o777, dir_fd=place.fd)
            )
            try:
                transfer.content(reading, fd, status)
                if owner != self._me or place.inherits:
                    self._own(fd, owner, new_name)
                transfer.attributes(reading, fd)
                if mode & _SPECIAL:
                    os.fchmod(fd, mode)
                os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
            finally:
                os.close(fd)
        finally:
            os.close(reading)
        self.size += status.st_size

    def _special(self, place: Place, name: str, status: os.stat_result) -> None:
        kind = status.st_mode & FORMAT
        if kind == _SOCKET:
            # A socket means nothing without the process that listens; its place is kept, as BuildKit does.
            os.close(self._replacing(place, name, lambda: os.open(name, _CREATE, 0o600, dir_fd=place.fd)))
        elif kind == _FIFO:
            self._replacing(place, name, lambda: os.mkfifo(name, 0o600, dir_fd=place.fd))
        elif kind == _CHARACTER and not status.st_rdev:
            self._warn(f"{_join(place.folder, name)} was left out: in a layer this device means a deleted file")
            return
        else:
            try:
                self._replacing(place, name, lambda: os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=place.fd))
            except PermissionError:
                self._warn(f"the device {_join(place.folder, name)} was left out: this user cannot make devices")
                return
        self._finish(place, name, status)

    def _finish(self, place: Place, name: str, status: os.stat_result) -> None:
        """Owner, mode and time of what was made without a descriptor."""
        owner = self._owner or (status.st_uid, status.st_gid)
        if owner != self._me or place.inherits:
            self._own(name, owner, name, place.fd)
        if status.st_mode & FORMAT != LINK:
            mode = self._mode.of(status.st_mode) if self._mode is not None else status.st_mode & 0o7777
            os.chmod(name, mode, dir_fd=place.fd)
        os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=place.fd, follow_symlinks=False)

    def _replacing(self, place: Place, name: str, create: Callable[[], Any]) -> Any:
        """Create something exclusively; a file of that name in the upper layer gives way, a directory never does."""
        try:
            return create()
        except FileExistsError:
            status = os.stat(name, dir_fd=place.fd, follow_symlinks=False)
            if status.st_mode & FORMAT == DIRECTORY:
                raise _onto_directory(place.folder, name) from None
            os.unlink(name, dir_fd=place.fd)
            gone = f"{place.folder.upper}/{name}"
            self._copies = {key: path for key, path in self._copies.items() if path != gone}
            self.replaced = True
            return create()

    def _own(self, target: int | str, owner: tuple[int, int], name: str, dir_fd: int | None = None) -> None:
        if not self._owners:
            return
        try:
            if dir_fd is None:
                os.chown(target, *owner)
            else:
                os.chown(target, *owner, dir_fd=dir_fd, follow_symlinks=False)
        except OSError as error:
            raise out_of_range(error, name, *owner) from error


def take_attributes(path: str, model: str, *, owners: bool) -> None:
    """Give a new directory owner, mode, attributes and time of another one."""
    status = os.stat(model)
    if owners and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(path, status.st_uid, status.st_gid)
    transfer.attributes(model, path)
    os.chmod(path, status.st_mode & 0o7777)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))


def take_root(upper: str, lowers: list[str], *, owners: bool) -> None:
    """Make the root of a new layer look like that of the layers below, which it hides; call before it is filled."""
    try:
        os.removexattr(upper, "system.posix_acl_default")
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    if lowers:
        take_attributes(upper, lowers[0], owners=owners)


def not_a_directory(path: str) -> errors.BuildFailed:
    """A directory is wanted where a file is."""
    return errors.BuildFailed(
        f"cannot copy to non-directory: {path}", hint="Choose another destination, or remove the file first."
    )


def out_of_range(error: OSError, name: str, uid: int, gid: int) -> errors.OrlopError:
    """An owner that cannot be given."""
    if error.errno != errno.EINVAL:
        return errors.from_os(error, f"give {name} to {uid}:{gid}")
    return errors.Unavailable(
        f"cannot give {name} to {uid}:{gid}: that id is outside the range of this user",
        hint="Extend the ranges in /etc/subuid and /etc/subgid.",
    )


def _onto_directory(folder: Folder, name: str) -> errors.BuildFailed:
    return errors.BuildFailed(
        f"cannot replace to directory {_join(folder, name)} with file",
        hint="Choose another destination, or remove the directory first.",
    )


def _join(folder: Folder, name: str) -> str:
    return f"{folder.path.rstrip('/')}/{name}"
