"""Unpacks the tar of one layer into an empty directory, in the form that overlayfs wants it.

OCI image-spec, layer.md. The directory is position-independent: whiteouts and opaque marks are kept as such, so the
same tree serves under any other layer. Runs in a single-threaded process, root of its user namespace.
"""

from __future__ import annotations

import errno
import os

from orlop.archive import entry as entries
from orlop.archive import overlay
from orlop.archive.members import Members
from orlop.archive.tarstream import TarReader
from orlop.archive.tree import DIRECTORY, MAX_PATH, Tree
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from orlop.archive.entry import Entry

_FORMAT, _IS_DIRECTORY, _CHARACTER = 0o170000, 0o040000, 0o020000


class Limits:
    """What one layer may cost: members (with the parents it leaves out) and bytes, of the tar and of what it makes."""

    __slots__ = ("entries", "size")

    def __init__(self, entries: int = 4_000_000, size: int = 1 << 41) -> None:
        self.entries = entries
        self.size = size


class ApplyOptions:
    """How to unpack.

    `userxattr`: mark opaque directories for an overlay mounted with that option (user namespaces need it). `devices`:
    try to make device nodes. `owners`: give files to the owners the tar names; False where only one ID is mapped.
    """

    __slots__ = ("devices", "limits", "owners", "userxattr")

    def __init__(
        self, *, userxattr: bool = False, devices: bool = True, owners: bool = True, limits: Limits | None = None
    ) -> None:
        self.userxattr = userxattr
        self.devices = devices
        self.owners = owners
        self.limits = limits or Limits()


class Applied:
    """What was unpacked: bytes of regular files (hard links once), entries, what the host did not allow.

    `opaque_root`: the layer hides everything below it. Overlayfs ignores that mark on a layer's root, so whoever
    mounts must leave out the layers below.
    """

    __slots__ = ("devices_skipped", "entries", "opaque_root", "size", "xattrs_skipped")

    def __init__(self, size: int, entries: int, devices_skipped: int, xattrs_skipped: int, opaque_root: bool) -> None:
        self.size = size
        self.entries = entries
        self.devices_skipped = devices_skipped
        self.xattrs_skipped = xattrs_skipped
        self.opaque_root = opaque_root


def apply(source: IO[bytes], root: str, options: ApplyOptions) -> Applied:
    """Unpack the uncompressed tar `source` into the directory `root`, and read it to its end.

    `root` exists, is empty and private to the caller, who syncs it, and throws it away if this raises:
    `InvalidArchive` for what is corrupt or hostile, `Unavailable` for IDs that the host does not map, `DiskFull`.
    Sets the umask of the process for the time being.
    """
    reader = TarReader(source, limit=options.limits.size)
    umask = os.umask(0)
    fd = os.open(root, DIRECTORY)
    try:
        layer = _Layer(fd, reader, options)
        try:
            return layer.unpack()
        finally:
            layer.tree.close()
    except OSError as error:
        raise errors.from_os(error, "unpack a layer") from error
    finally:
        os.close(fd)
        os.umask(umask)


class _Layer:
    __slots__ = ("_limits", "_members", "_reader", "_root_opaque", "_root_seen", "_userxattr", "_whiteouts", "tree")

    def __init__(self, root: int, reader: TarReader, options: ApplyOptions) -> None:
        self._reader = reader
        self._limits = options.limits
        self._userxattr = options.userxattr
        self._members = Members(reader, owners=options.owners, devices=options.devices, exact=False)
        self._whiteouts = False
        self._root_opaque = False
        self.tree = Tree(root, implicit_mtime=0, opaque=self._mark)
        _neutralize(root)

    def unpack(self) -> Applied:
        count = 0
        tree, members = self.tree, self._members
        clean, make_file, file = entries.clean, members.file, entries.FILE
        size_limit, entry_limit = self._limits.size, self._limits.entries
        # The parent of the last entry, as long as its descriptor is open: tars go directory by directory.
        last, parent, closed = b"", tree.root, tree.closed
        for entry in self._reader:
            count += 1
            if count + tree.made > entry_limit:
                raise errors.InvalidArchive(f"layer has more than {entry_limit} entries")
            if members.size + entry.size > size_limit:
                raise entries.invalid(entry.name, f"the layer would be larger than {size_limit} bytes")
            path = clean(entry.name)
            directory, _, name = path.rpartition(b"/")
            try:
                if not path:
                    self._root(entry)
                    continue
                if b".wh." in path and self._reserved(entry, directory, name):
                    continue
                if directory != last or closed != tree.closed:
                    parent, real = tree.open(directory)
                    closed = tree.closed
                    # A path through links is looked up each time, for they may change: no name has two slashes.
                    last = directory if real is directory else b"//"
                    if real is not directory:
                        directory, path = real, real + b"/" + name if real else name
                if len(path) > MAX_PATH:
                    raise entries.invalid(entry.name, f"its path is longer than {MAX_PATH} bytes")
                if entry.kind is file and not tree.removed:
                    try:
                        make_file(parent, name, entry)
                    except FileExistsError:
                        self._other(parent, directory, name, path, entry)
                else:
                    self._other(parent, directory, name, path, entry)
            except OSError as error:
                raise _blame(error, entry) from error
        tree.finish()
        self._reader.drain()
        return Applied(members.size, count, members.devices_skipped, members.xattrs_skipped, self._root_opaque)

    def _other(self, parent: int, directory: bytes, name: bytes, path: bytes, entry: Entry) -> None:
        """Any entry, in the way that copes with whatever has its name already."""
        tree, members = self.tree, self._members
        kind = entry.kind
        if kind == entries.DIRECTORY:
            self._directory(parent, name, path, entry)
            return
        if kind == entries.HARDLINK:
            self._link(directory, name, path, entry)
        else:
            create = members.file if kind == entries.FILE else _creator(members, kind)
            try:
                create(parent, name, entry)
            except FileExistsError:
                members.size -= tree.clear(parent, name, path)
                create(tree.open(directory)[0], name, entry)
        tree.forget(path)

    def _directory(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        fresh, replaces = True, False
        try:
            os.mkdir(name, entry.mode & 0o1777, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            fresh = status.st_mode & _FORMAT != _IS_DIRECTORY
            if fresh:
                # What was here, a whiteout or a file, hid the lower directory of that name: this one must as well.
                replaces = True
                self._members.size -= self.tree.clear(parent, name, path)
                os.mkdir(name, entry.mode & 0o1777, dir_fd=parent)
        if replaces or not fresh or not self._members.plain_directory(entry):
            fd = self.tree.open(path)[0]
            self._members.directory(fd, entry, fresh=fresh)
            if replaces:
                self._mark(fd)
        self.tree.note(path, entry.mode, entry.mtime_ns)

    def _link(self, directory: bytes, name: bytes, path: bytes, entry: Entry) -> None:
        target_directory, _, target = entries.clean(entry.linkname).rpartition(b"/")
        found = self.tree.existing(target_directory) if target else None
        if found is None:
            raise _missing_target(entry)
        source = os.dup(found[0])
        try:
            if self._whiteouts and overlay.is_whiteout(os.stat(target, dir_fd=source, follow_symlinks=False)):
                raise _missing_target(entry)
            parent = self.tree.open(directory)[0]
            if _linked(source, target, parent, name):
                return
            self._members.size -= self.tree.clear(parent, name, path)
            _linked(source, target, self.tree.open(directory)[0], name)
        except FileNotFoundError as error:
            raise _missing_target(entry) from error
        except PermissionError as error:
            raise entries.invalid(entry.name, f"hard link to {entries.shown(entry.linkname)}, a directory") from error
        finally:
            os.close(source)

    def _root(self, entry: Entry) -> None:
        if entry.kind != entries.DIRECTORY:
            raise entries.invalid(entry.name, f"the root of a layer cannot be a {entry.kind}")
        self._members.directory(self.tree.root, entry, fresh=False)
        self.tree.note(b"", entry.mode, entry.mtime_ns)

    def _reserved(self, entry: Entry, directory: bytes, name: bytes) -> bool:
        """Take care of a whiteout or a mark; False if `.wh.` only happens to be inside an ordinary name."""
        for part in directory.split(b"/"):
            if part.startswith(overlay.RESERVED_PREFIX):
                return True
            if part.startswith(overlay.WHITEOUT_PREFIX):
                raise entries.invalid(entry.name, "a whiteout cannot be a directory")
        if not name.startswith(overlay.WHITEOUT_PREFIX):
            return False
        if name == overlay.OPAQUE_NAME:
            self._hide_lower(directory)
        elif not name.startswith(overlay.RESERVED_PREFIX):
            hidden = name[len(overlay.WHITEOUT_PREFIX) :]
            if hidden in (b"", b".", b".."):
                raise entries.invalid(entry.name, "a whiteout that names no file")
            self._whiteout(directory, hidden)
        return True

    def _whiteout(self, directory: bytes, name: bytes) -> None:
        """Hide the lower file of this name; what this very layer has under it stays, whatever the order."""
        parent, _ = self.tree.open(directory)
        if overlay.is_opaque(parent):
            return
        try:
            os.mknod(name, _CHARACTER, 0, dir_fd=parent)
            self._whiteouts = True
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if status.st_mode & _FORMAT == _IS_DIRECTORY:
                path = directory + b"/" + name if directory else name
                self._hide_lower(path)
        except PermissionError as error:
            raise errors.Unavailable(
                "cannot mark a file as deleted: the kernel allows no whiteouts here",
                hint="Use Linux 5.8 or newer, or run as root.",
            ) from error

    def _hide_lower(self, directory: bytes) -> None:
        """Make a directory opaque; whiteouts in it would show up as devices, and hide nothing any more."""
        fd, real = self.tree.open(directory)
        if overlay.is_opaque(fd):
            return
        self._mark(fd)
        if not real:
            self._root_opaque = True
        if self._whiteouts:
            with os.scandir(fd) as scan:
                names = [os.fsencode(item.name) for item in scan if _is_other(item)]
            for name in names:
                if overlay.is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False)):
                    os.unlink(name, dir_fd=fd)

    def _mark(self, fd: int) -> None:
        overlay.mark_opaque(fd, self._userxattr)


def _linked(source: int, target: bytes, parent: int, name: bytes) -> bool:
    """Link, never through a symbolic link; False if another file has the name."""
    try:
        os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        return os.path.samestat(there, os.stat(target, dir_fd=source, follow_symlinks=False))
    return True


def _missing_target(entry: Entry) -> errors.InvalidArchive:
    return entries.invalid(entry.name, f"hard link to {entries.shown(entry.linkname)}, which is not in this layer")


def _creator(members: Members, kind: str) -> Callable[[int, bytes, Entry], None]:
    return members.symlink if kind == entries.SYMLINK else members.special


def _is_other(item: os.DirEntry[str]) -> bool:
    return not (item.is_file(follow_symlinks=False) or item.is_dir(follow_symlinks=False) or item.is_symlink())


def _blame(error: OSError, entry: Entry) -> OSError | errors.OrlopError:
    """Name limits of the file system are the archive's fault; everything else is the host's."""
    if error.errno in (errno.ENAMETOOLONG, errno.EFBIG, errno.EILSEQ, errno.EINVAL):
        return entries.invalid(entry.name, f"this file system cannot hold it ({(error.strerror or '').lower()})")
    return error


def _neutralize(root: int) -> None:
    """Make new files get exactly the group and mode they are made with."""
    mode = os.fstat(root).st_mode & 0o7777
    if mode & 0o6000:
        os.fchmod(root, mode & 0o1777)
    try:  # noqa: SIM105 - the lean worker has no contextlib
        os.removexattr(root, "system.posix_acl_default")
    except OSError:
        pass
