"""Where a copy takes its files from: a selection of the build context, or what layers show.

Both kinds list (name, status, handle) and answer questions about what they listed.
"""

from __future__ import annotations

import os

from orlop.rootfs.merged import File, Folder
from orlop.runtime.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from orlop.rootfs.gomatch import Excludes
    from orlop.rootfs.merged import View

    Wanted = dict[str, "Wanted"]

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CONFINED = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


class ContextTree:
    """A directory of the build context; of it only what is `wanted`, names with what is wanted below them.

    The host may change it at any time: links are never followed, what is gone is left out.
    """

    __slots__ = ("_wanted", "fd")

    def __init__(self, fd: int, wanted: Wanted) -> None:
        self.fd = fd
        self._wanted = wanted

    @classmethod
    def open(cls, root: int, path: str, entries: list[str]) -> ContextTree:
        """The directory at `path` (relative, without links) below `root`; `entries` are paths, parents first."""
        wanted: Wanted = {}
        below: dict[str, Wanted] = {"": wanted}
        for entry in entries:
            parent, _, name = entry.rpartition("/")
            below[entry] = below[parent][name] = {}
        return cls(syscalls.openat2(root, path or ".", _DIRECTORY, resolve=_CONFINED), wanted)

    def items(self) -> Iterator[tuple[str, os.stat_result, Any]]:
        """The wanted files and directories that are there."""
        fd = self.fd
        for name, below in self._wanted.items():
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield name, status, below

    def file(self, name: str, _: Any) -> int:
        """Open a regular file."""
        return os.open(name, READ, dir_fd=self.fd)

    def link(self, name: str, _: Any) -> str:
        """The text of a symbolic link."""
        return os.readlink(name, dir_fd=self.fd)

    def itself(self) -> int | str:
        """The directory, for reading its attributes."""
        return self.fd

    def layer(self, _: str, __: Any) -> str:
        """Files of one context belong together."""
        return ""

    def below(self, name: str, wanted: Any) -> ContextTree:
        """One of its directories."""
        return ContextTree(os.open(name, _DIRECTORY, dir_fd=self.fd), wanted)

    def close(self) -> None:
        """Close the directory."""
        os.close(self.fd)


class LayerTree:
    """A directory of a snapshot that nobody changes, so that its files may be linked instead of copied.

    What `excludes` leaves out is judged by paths relative to where the copy starts.
    """

    __slots__ = ("_depth", "_excludes", "_folder", "_prefix", "_view")

    def __init__(self, view: View, folder: Folder, prefix: str = "", excludes: Excludes | None = None) -> None:
        self._view = view
        self._folder = folder
        self._depth = len(folder.path.rstrip("/"))
        self._prefix = prefix
        self._excludes = excludes

    def items(self) -> Iterator[tuple[str, os.stat_result, Any]]:
        """What the layers show, by name."""
        for name, found in self._view.entries(self._folder):
            if self._excludes is not None and self._leaves_out(name, found):
                continue
            yield name, found.status() if isinstance(found, Folder) else found.status, found

    def file(self, _: str, found: File) -> int:
        """Open a regular file."""
        return os.open(found.path, READ)

    def link(self, _: str, found: File) -> str:
        """The text of a symbolic link."""
        return os.readlink(found.path)

    def real(self, _: str, found: File) -> str:
        """The file in its layer."""
        return found.path

    def itself(self) -> int | str:
        """The directory, for reading its attributes."""
        return self._folder.places[0]

    def layer(self, name: str, found: File) -> str:
        """The layer that a file comes from: files of two layers are never one file to a container."""
        return found.path[: -(self._depth + 1 + len(name))]

    def below(self, name: str, found: Folder) -> LayerTree:
        """One of its directories."""
        return LayerTree(self._view, found, f"{self._prefix}{name}/", self._excludes)

    def close(self) -> None:
        """Nothing is open."""

    def _leaves_out(self, name: str, found: File | Folder) -> bool:
        """A directory that is left out is there all the same if something below it was taken back."""
        excludes = self._excludes
        if excludes is None or not excludes.leaves_out(self._prefix + name):
            return False
        if not isinstance(found, Folder) or not excludes.take_back:
            return True
        return not any(True for _ in self.below(name, found).items())


class OneFile:
    """A single file as a source: `handle` is what its tree listed it with."""

    __slots__ = ("handle", "name", "status", "tree")

    def __init__(self, tree: ContextTree | LayerTree, name: str, status: os.stat_result, handle: Any) -> None:
        self.tree = tree
        self.name = name
        self.status = status
        self.handle = handle


def context_file(root: int, path: str) -> OneFile:
    """The file at `path` (relative, without links) of the context that is open as `root`."""
    parent, _, name = path.rpartition("/")
    tree = ContextTree.open(root, parent, [])
    return OneFile(tree, name, os.stat(name, dir_fd=tree.fd, follow_symlinks=False), None)


def layer_file(view: View, folder: Folder, name: str, file: File) -> OneFile:
    """A file that was found in layers."""
    return OneFile(LayerTree(view, folder), name, file.status, file)
