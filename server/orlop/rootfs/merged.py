"""What the layers of a snapshot show together, worked out in user space: lookups, listings and paths with links.

The rules are overlayfs' own (kernel, Documentation/filesystems/overlayfs.rst): the topmost layer that has a name
decides, directories merge downwards until an opaque one or something else is met, a whiteout hides. No mount is
needed, and the real file behind a name is known, so that it can be linked. Layers are frozen and private, hence paths
made of names that were seen to be directories are safe to use.
"""

from __future__ import annotations

import errno
import os

from orlop.archive import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT, FILE, DIRECTORY, LINK = 0o170000, 0o100000, 0o040000, 0o120000
_MAX_LINKS = 40


class Folder:
    """A directory of the snapshot: its path in the upper layer, if any, and in the lower ones, topmost first."""

    __slots__ = ("_names", "children", "lowers", "name", "parent", "upper")

    def __init__(self, parent: Folder | None, name: str, upper: str | None, lowers: list[str]) -> None:
        self.parent = parent
        self.name = name
        self.upper = upper
        self.lowers = lowers
        self.children: dict[str, Folder] = {}
        self._names: dict[str, bool] | None = None

    @property
    def path(self) -> str:
        """Its absolute path in the snapshot, without links."""
        parts: list[str] = []
        here: Folder = self
        while here.parent is not None:
            parts.append(here.name)
            here = here.parent
        return "/" + "/".join(reversed(parts))

    @property
    def places(self) -> list[str]:
        """All its paths, topmost first."""
        return self.lowers if self.upper is None else [self.upper, *self.lowers]

    def status(self) -> os.stat_result:
        """The attributes it has in the snapshot: those of its topmost place."""
        return os.lstat(self.upper if self.upper is not None else self.lowers[0])

    def lower_names(self) -> dict[str, bool]:
        """Every name the lower layers show here, and whether it is a directory; read once."""
        if self._names is None:
            self._names = {}
            for place in self.lowers:
                with os.scandir(place) as scan:
                    for item in scan:
                        if item.name not in self._names:
                            self._names[item.name] = item.is_dir(follow_symlinks=False)
        return self._names


class File:
    """Anything but a directory: its real path in the layer it comes from, and its status."""

    __slots__ = ("path", "status")

    def __init__(self, path: str, status: os.stat_result) -> None:
        self.path = path
        self.status = status


class Missing:
    """Nothing is at a path: `folder` is the deepest directory on the way, `name` is not in it.

    `last` tells whether the path ends with that name.
    """

    __slots__ = ("folder", "last", "name")

    def __init__(self, folder: Folder, name: str, *, last: bool) -> None:
        self.folder = folder
        self.name = name
        self.last = last


class Located:
    """A file with the directory and the name it was found under, all links followed."""

    __slots__ = ("file", "folder", "name")

    def __init__(self, folder: Folder, name: str, file: File) -> None:
        self.folder = folder
        self.name = name
        self.file = file


class View:
    """The snapshot of `lowers` (topmost first) with an optional `upper` that only the caller changes."""

    def __init__(self, lowers: list[str], upper: str | None = None) -> None:
        self.root = Folder(None, "", upper, visible(lowers))

    def forget(self) -> None:
        """Somebody else wrote to the upper layer: look at everything anew."""
        self.root = Folder(None, "", self.root.upper, self.root.lowers)

    def find(self, folder: Folder, name: str) -> Folder | File | None:
        """What the snapshot shows under `name` in a directory; None for nothing."""
        known = folder.children.get(name)
        if known is not None:
            return known
        lowers: list[str] = []
        upper: str | None = None
        places = folder.places
        last = len(places) - 1
        for number, place in enumerate(places):
            path = f"{place}/{name}"
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            if status.st_mode & FORMAT != DIRECTORY:
                if lowers or upper is not None:
                    break
                return None if overlay.is_whiteout(status) else File(path, status)
            if number == 0 and folder.upper is not None:
                upper = path
            else:
                lowers.append(path)
            if number != last and overlay.is_opaque(path):
                break
        if not lowers and upper is None:
            return None
        found = folder.children[name] = Folder(folder, name, upper, lowers)
        return found

    def entries(self, folder: Folder) -> Iterator[tuple[str, Folder | File]]:
        """Everything a directory shows, by name."""
        places = folder.places
        if len(places) == 1:
            yield from self._entries_of_one(folder, places[0])
            return
        names: set[str] = set()
        for place in places:
            names.update(os.listdir(place))
        for name in sorted(names):
            found = self.find(folder, name)
            if found is not None:
                yield name, found

    def resolve(
        self, path: str, *, make: Callable[[Folder, str], Folder] | None = None, make_last: bool = False
    ) -> Folder | Located | Missing:
        """Walk a path as a process whose root this is: `..` stays inside, links are followed inside.

        Missing directories on the way are made by `make(folder, name)` if given, the last one only with `make_last`.
        Raises `NotADirectoryError` if a file is on the way, `OSError` (ELOOP) for a circle of links.
        """
        here = self.root
        pending = _parts(path)
        must_be_directory = path.endswith(("/", "/."))
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                here = here.parent or here
                continue
            found = self.find(here, name)
            if isinstance(found, Folder):
                here = found
            elif found is None:
                if make is None or not (pending or make_last):
                    return Missing(here, name, last=not pending)
                here = make(here, name)
            elif found.status.st_mode & FORMAT == LINK:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(found.path)
                if target.startswith("/"):
                    here = self.root
                pending.extend(_parts(target))
            elif pending or must_be_directory:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), f"{here.path.rstrip('/')}/{name}")
            else:
                return Located(here, name, found)
        return here

    def read(self, path: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a regular file, None if there is none at that path."""
        try:
            found = self.resolve(path)
        except OSError:
            return None
        if not isinstance(found, Located) or found.file.status.st_mode & FORMAT != FILE:
            return None
        with open(found.file.path, "rb") as file:
            return file.read(limit)

    @staticmethod
    def _entries_of_one(folder: Folder, place: str) -> Iterator[tuple[str, Folder | File]]:
        """One layer alone: what its directory lists is what there is."""
        with os.scandir(place) as scan:
            items = sorted(scan, key=lambda item: item.name)
        upper = folder.upper is not None
        for item in items:
            status = item.stat(follow_symlinks=False)
            path = f"{place}/{item.name}"
            if status.st_mode & FORMAT == DIRECTORY:
                child = folder.children.get(item.name)
                if child is None:
                    child = Folder(folder, item.name, path if upper else None, [] if upper else [path])
                    folder.children[item.name] = child
                yield item.name, child
            elif not overlay.is_whiteout(status):
                yield item.name, File(path, status)


def visible(lowers: list[str]) -> list[str]:
    """The layers without those below one that hides all: overlayfs itself ignores that mark on a layer's root."""
    for number, lower in enumerate(lowers[:-1]):
        if overlay.is_opaque(lower):
            return lowers[: number + 1]
    return lowers


def _parts(path: str) -> list[str]:
    """The components of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
