"""Makes one member of a tar in an open directory: its bytes, owner, mode, attributes and time, in the safe order.

Create exclusively, then owner (which clears set-ID bits and capabilities), attributes, set-ID bits, time. Nothing here
ever opens, changes or follows what was there before.
"""

from __future__ import annotations

import errno
import os

from orlop.archive import entry as entries
from orlop.archive import overlay
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orlop.archive.entry import Entry
    from orlop.archive.tarstream import TarReader

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = 0o6000
_KINDS = {entries.CHARACTER: 0o020000, entries.BLOCK: 0o060000, entries.FIFO: 0o010000}
_NOT_HERE = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.E2BIG, errno.ERANGE, errno.EINVAL)


class Members:
    """Creates members with the bytes that `reader` gives.

    `owners` False leaves everything to the current user, for hosts that map only one ID. `devices` False skips device
    nodes, as happens anyway where the kernel forbids them. `exact` sets owner and mode even where a fresh file should
    have them already: for directories that may hand down a group or an access list. Created file modes need umask 0.
    """

    __slots__ = (
        "_devices", "_exact", "_gid", "_owners", "_reader", "_uid", "devices_skipped", "size", "xattrs_skipped",
    )  # fmt: skip

    def __init__(self, reader: TarReader, *, owners: bool, devices: bool, exact: bool) -> None:
        self._reader = reader
        self._owners = owners
        self._devices = devices
        self._exact = exact
        self._uid, self._gid = os.geteuid(), os.getegid()
        self.size = 0
        self.devices_skipped = 0
        self.xattrs_skipped = 0

    def file(self, parent: int, name: bytes, entry: Entry) -> None:
        """Make a regular file; `FileExistsError` if the name is taken."""
        mode = entry.mode
        fd = os.open(name, _CREATE, mode & 0o777, dir_fd=parent)
        try:
            if entry.sparse is not None:
                self._write_sparse(fd, entry)
            else:
                reader = self._reader
                while reader.left:
                    chunk = reader.chunk()
                    written = os.write(fd, chunk)
                    while written < len(chunk):
                        written += os.write(fd, chunk[written:])
            self.size += entry.size
            if self._exact or entry.uid != self._uid or entry.gid != self._gid:
                self._own(fd, entry)
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            if mode & 0o7000 or self._exact:
                os.fchmod(fd, mode)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def symlink(self, parent: int, name: bytes, entry: Entry) -> None:
        """Make a symbolic link with its target verbatim; `FileExistsError` if the name is taken."""
        if not entry.linkname:
            raise entries.invalid(entry.name, "a symbolic link without a target")
        os.symlink(entry.linkname, name, dir_fd=parent)
        self._finish_by_name(parent, name, entry)

    def special(self, parent: int, name: bytes, entry: Entry) -> None:
        """Make a fifo or a device node, or count it as skipped; `FileExistsError` if the name is taken."""
        kind = _KINDS[entry.kind]
        device = 0
        if entry.kind != entries.FIFO:
            device = _device(entry)
            # The node 0:0 would be a whiteout that no archive has said.
            if not self._devices or (entry.kind == entries.CHARACTER and not device):
                self.devices_skipped += 1
                return
        try:
            os.mknod(name, kind | (entry.mode & 0o777), device, dir_fd=parent)
        except PermissionError:
            if entry.kind == entries.FIFO:
                raise
            self.devices_skipped += 1
            return
        self._finish_by_name(parent, name, entry)

    def directory(self, fd: int, entry: Entry, *, fresh: bool) -> None:
        """Give an open directory the owner, mode and attributes of `entry`; set-ID bits and time come at the end."""
        if not fresh or self._exact or entry.uid != self._uid or entry.gid != self._gid:
            self._own(fd, entry)
        if entry.xattrs:
            self._set_xattrs(fd, entry)
        if not fresh or self._exact:
            os.fchmod(fd, entry.mode & ~_SPECIAL_BITS)

    def plain_directory(self, entry: Entry) -> bool:
        """Whether a directory made with this mode by mkdir needs no further call now."""
        return not (self._exact or entry.xattrs or entry.uid != self._uid or entry.gid != self._gid)

    def _write_sparse(self, fd: int, entry: Entry) -> None:
        os.ftruncate(fd, entry.size)
        extents = iter(entry.sparse or ())
        offset = left = 0
        while chunk := self._reader.chunk():
            while chunk:
                if not left:
                    offset, left = next(extents)
                written = os.pwrite(fd, chunk[:left], offset)
                offset += written
                left -= written
                chunk = chunk[written:]

    def _own(self, fd: int, entry: Entry) -> None:
        if not self._owners:
            return
        try:
            os.chown(fd, entry.uid, entry.gid)
        except OSError as error:
            raise _owner_problem(error, entry) from error

    def _finish_by_name(self, parent: int, name: bytes, entry: Entry) -> None:
        """Owner, attributes, mode and time of what was just made and cannot be opened."""
        if self._owners and (self._exact or entry.uid != self._uid or entry.gid != self._gid):
            try:
                os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            except OSError as error:
                raise _owner_problem(error, entry) from error
        if entry.xattrs:
            self._set_xattrs(b"/proc/self/fd/%d/%b" % (parent, name), entry)
        if entry.kind != entries.SYMLINK and (entry.mode & 0o7000 or self._exact):
            os.chmod(name, entry.mode, dir_fd=parent)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _set_xattrs(self, target: int | bytes, entry: Entry) -> None:
        for key, value in entry.xattrs.items():
            if not overlay.is_content(key):
                continue
            try:
                # os.setxattr takes either a descriptor or follow_symlinks=False, never both.
                if isinstance(target, int):
                    os.setxattr(target, key, value)
                else:
                    os.setxattr(target, key, value, follow_symlinks=False)
            except OSError as error:
                too_large = error.errno == errno.ENOSPC and _has_room(target)
                if not too_large and error.errno not in _NOT_HERE:
                    raise
                self.xattrs_skipped += 1


def _device(entry: Entry) -> int:
    if not 0 <= entry.devmajor < 1 << 12 or not 0 <= entry.devminor < 1 << 20:
        raise entries.invalid(entry.name, f"device number {entry.devmajor}:{entry.devminor} is out of range")
    return os.makedev(entry.devmajor, entry.devminor)


def _owner_problem(error: OSError, entry: Entry) -> OSError | errors.OrlopError:
    if error.errno not in (errno.EINVAL, errno.EOVERFLOW):
        return error
    return errors.Unavailable(
        f"cannot give {entries.shown(entry.name)} to owner {entry.uid}:{entry.gid}: the ID is not mapped on this host",
        hint="Extend the ranges of your account in /etc/subuid and /etc/subgid.",
    )


def _has_room(target: int | bytes) -> bool:
    """ENOSPC also means that an attribute is too large for its inode: only a full disk is a reason to stop."""
    where = os.statvfs(target if isinstance(target, int) else os.path.dirname(target))
    return where.f_bavail > 256
