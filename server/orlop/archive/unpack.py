"""Unpacks an ordinary tar into a file system that exists, as `tar -x` would: what ADD does with a local archive.

Unlike `apply`, nothing here means "deleted": names that look like whiteouts are left out. Symbolic links on the way to
a member are followed, inside the root only. A directory that is there stays and is filled; anything else of a member's
name is replaced, a link to a directory too, as GNU tar and Docker do.
"""

from __future__ import annotations

import os

from orlop.archive import entry as entries
from orlop.archive import overlay
from orlop.archive.apply import Limits
from orlop.archive.members import Members
from orlop.archive.tarstream import TarReader
from orlop.archive.tree import DIRECTORY, MAX_PATH, Tree
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from orlop.archive.entry import Entry

_FORMAT, _IS_DIRECTORY = 0o170000, 0o040000


class Unpacked:
    """What was unpacked: bytes of regular files, entries, and what was left out."""

    __slots__ = ("devices_skipped", "entries", "size", "whiteouts_skipped", "xattrs_skipped")

    def __init__(self, size: int, entries: int, members: Members, whiteouts_skipped: int) -> None:
        self.size = size
        self.entries = entries
        self.devices_skipped = members.devices_skipped
        self.xattrs_skipped = members.xattrs_skipped
        self.whiteouts_skipped = whiteouts_skipped


def unpack(
    source: IO[bytes],
    root: int | str,
    destination: str | bytes,
    *,
    owner: tuple[int, int] | None = None,
    devices: bool = True,
    owners: bool = True,
    limits: Limits | None = None,
) -> Unpacked:
    """Unpack the uncompressed tar `source` into the directory `destination` of the file system at `root`.

    `root` is an open directory or a path, usually a mounted overlay; nothing outside of it is reached. `destination`
    is made if missing. `owner` takes the place of every owner in the tar. Nobody else may change the tree meanwhile.
    Raises `InvalidArchive`, `Unavailable` for IDs that the host does not map, `DiskFull`; then part of it is there.
    Sets the umask of the process for the time being.
    """
    limits = limits or Limits()
    umask = os.umask(0)
    fd = os.open(root, DIRECTORY) if isinstance(root, str) else os.dup(root)
    try:
        reader = TarReader(source, limit=limits.size)
        tree = Tree(fd, implicit_mtime=None, opaque=None)
        try:
            members = Members(reader, owners=owners, devices=devices, exact=True)
            base = tree.open(entries.clean(os.fsencode(destination)))[1]
            return _Extraction(reader, tree, members, base, owner).run(limits)
        finally:
            tree.close()
    except OSError as error:
        raise errors.from_os(error, "unpack an archive") from error
    finally:
        os.close(fd)
        os.umask(umask)


class _Extraction:
    __slots__ = ("_base", "_members", "_owner", "_reader", "_tree")

    def __init__(
        self, reader: TarReader, tree: Tree, members: Members, base: bytes, owner: tuple[int, int] | None
    ) -> None:
        self._reader = reader
        self._tree = tree
        self._members = members
        self._base = base
        self._owner = owner

    def run(self, limits: Limits) -> Unpacked:
        count = skipped = 0
        for entry in self._reader:
            count += 1
            if count + self._tree.made > limits.entries:
                raise errors.InvalidArchive(f"archive has more than {limits.entries} entries")
            if self._members.size + entry.size > limits.size:
                raise entries.invalid(entry.name, f"the archive would unpack to more than {limits.size} bytes")
            path = entries.clean(entry.name)
            if any(part.startswith(overlay.WHITEOUT_PREFIX) for part in path.split(b"/")):
                skipped += 1
                continue
            if self._owner is not None:
                entry.uid, entry.gid = self._owner
            # The destination itself keeps its owner and mode, whatever the archive says of its own root.
            if path:
                self._entry(self._below(path), entry)
            elif entry.kind != entries.DIRECTORY:
                raise entries.invalid(entry.name, f"the root of an archive cannot be a {entry.kind}")
        self._tree.finish()
        return Unpacked(self._members.size, count, self._members, skipped)

    def _below(self, path: bytes) -> bytes:
        return self._base + b"/" + path if self._base else path

    def _entry(self, path: bytes, entry: Entry) -> None:
        tree, members = self._tree, self._members
        directory, _, name = path.rpartition(b"/")
        parent, real = tree.open(directory)
        path = real + b"/" + name if real else name
        if len(path) > MAX_PATH:
            raise entries.invalid(entry.name, f"its path is longer than {MAX_PATH} bytes")
        if entry.kind == entries.DIRECTORY:
            self._directory(parent, name, path, entry)
            return
        if entry.kind == entries.HARDLINK:
            self._link(real, name, path, entry)
        else:
            create = members.file if entry.kind == entries.FILE else members.special
            create = members.symlink if entry.kind == entries.SYMLINK else create
            try:
                create(parent, name, entry)
            except FileExistsError:
                members.size -= tree.clear(parent, name, path)
                create(tree.open(real)[0], name, entry)
        tree.forget(path)

    def _directory(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        tree, members = self._tree, self._members
        try:
            os.mkdir(name, entry.mode & 0o1777, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if status.st_mode & _FORMAT != _IS_DIRECTORY:
                members.size -= tree.clear(parent, name, path)
                os.mkdir(name, entry.mode & 0o1777, dir_fd=tree.open(path.rpartition(b"/")[0])[0])
        members.directory(tree.open(path)[0], entry, fresh=False)
        tree.note(path, entry.mode, entry.mtime_ns)

    def _link(self, directory: bytes, name: bytes, path: bytes, entry: Entry) -> None:
        target = entries.clean(entry.linkname)
        target_directory, _, target_name = self._below(target).rpartition(b"/")
        found = self._tree.existing(target_directory) if target else None
        missing = entries.invalid(entry.name, f"hard link to {entries.shown(entry.linkname)}, which is not there")
        if found is None:
            raise missing
        source = os.dup(found[0])
        try:
            if found[1] == directory and target_name == name:
                return
            parent = self._tree.open(directory)[0]
            self._members.size -= self._tree.clear(parent, name, path)
            parent = self._tree.open(directory)[0]
            os.link(target_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as error:
            raise missing from error
        except PermissionError as error:
            raise entries.invalid(entry.name, f"hard link to {entries.shown(entry.linkname)}, a directory") from error
        finally:
            os.close(source)
