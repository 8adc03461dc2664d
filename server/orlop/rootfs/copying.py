"""COPY and ADD: files of the build context, of other snapshots or of the Dockerfile itself, into a new layer.

The rules are BuildKit's (its file operations and the copier beneath): a directory's content is copied, not the
directory; links in the path of a source or of the destination are followed inside their root, links inside a copied
tree are copied; the directory that is the destination keeps its owner and mode, directories below take the source's.
"""

from __future__ import annotations

import os

from orlop.core import errors
from orlop.rootfs import gomatch, people, placing, trees
from orlop.rootfs.merged import Folder, Located, Missing, View
from orlop.rootfs.modes import Mode
from orlop.rootfs.placing import Place, Placing
from orlop.rootfs.trees import ContextTree, LayerTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orlop.rootfs.trees import OneFile

    Unpack = Callable[[int, str, tuple[int, int] | None], None]


def copy(params: dict[str, Any], *, owners: bool, warn: Callable[[str], None], unpack: Unpack) -> int | None:
    """Copy as `params` say into the upper layer of `target` (`lowers` topmost first, `upper`).

    `destination` is absolute, a trailing slash means a directory. `context` is a host directory with `matches` (path,
    name, dir, entries: exactly what to take, unpack), or `source` are the layers (topmost first) of a snapshot with
    `sources` as patterns and `excludes` (`excludes.compiled`). `inline` are (name, text) files. `chown`, `chmod` are
    as written. `owners` False: only one id is mapped. `warn` is told what people should know.
    `unpack(archive, path, owner)` unpacks an open file into a directory of the snapshot, while nothing else writes.

    Answers the bytes of the new regular files, or None: they are to be measured. Raises `BuildFailed` in BuildKit's
    words when source or destination do not fit.
    """
    target = params["target"]
    view = View(target["lowers"], target["upper"])
    placing.take_root(target["upper"], view.root.lowers, owners=owners)
    uid, gid, warnings = people.resolve(view.read, params["chown"]) if params["chown"] else (0, 0, [])
    for text in warnings:
        warn(text)
    keep = params["source"] is not None and not params["chown"]
    mode = Mode(params["chmod"]) if params["chmod"] else None
    owner = None if keep else (uid, gid)
    copier = _Copier(view, params["destination"], Placing(view, owner=owner, mode=mode, owners=owners, warn=warn))
    unpacked = False
    for name, text in params["inline"]:
        copier.inline(name, text.encode("utf-8", "surrogateescape"))
    if params["context"] is not None:
        root = os.open(params["context"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for match in params["matches"]:
            if match["dir"]:
                copier.directory(ContextTree.open(root, match["path"], match["entries"]))
            elif match.get("unpack"):
                chown = (uid, gid) if params["chown"] else None
                copier.archive(trees.context_file(root, match["path"]), chown, unpack)
                unpacked = True
            else:
                copier.file(trees.context_file(root, match["path"]), match["name"])
        os.close(root)
    elif params["source"] is not None:
        _from_layers(copier, View(params["source"]), params["sources"], params["excludes"])
    placer = copier.placing
    return None if unpacked or placer.replaced else placer.size


class _Copier:
    """Puts one source after another at the destination."""

    def __init__(self, view: View, destination: str, placing: Placing) -> None:
        self._view = view
        self._destination = destination
        self.placing = placing

    def inline(self, name: str, data: bytes) -> None:
        """Put a file of the Dockerfile itself."""
        folder, name = self._spot(name)
        place = Place(folder)
        try:
            self.placing.inline(place, name, data)
        finally:
            place.close()

    def directory(self, source: ContextTree | LayerTree) -> None:
        """Put what a directory holds."""
        self.placing.next_match()
        try:
            self.placing.tree(source, self.placing.directory(self._destination))
        finally:
            source.close()

    def file(self, source: OneFile, name: str) -> None:
        """Put a single file; `name` is what it is called if the destination is a directory."""
        self.placing.next_match()
        folder, new_name = self._spot(name)
        place = Place(folder)
        try:
            self.placing.file(source.tree, source.name, source.status, source.handle, place, new_name)
        finally:
            place.close()
            source.tree.close()

    def archive(self, source: OneFile, owner: tuple[int, int] | None, unpack: Unpack) -> None:
        """Unpack an archive into the destination, which is a directory however it is written."""
        folder = self.placing.directory(self._destination)
        self.placing.materialize(folder)
        fd = source.tree.file(source.name, source.handle)
        try:
            unpack(fd, folder.path, owner)
        finally:
            os.close(fd)
            source.tree.close()
        # What the archive brought is not known here: look anew.
        self._view.forget()

    def _spot(self, name: str) -> tuple[Folder, str]:
        """The directory, in the upper layer, and the name that a single file goes to."""
        path = self._destination
        if path.endswith(("/", "/.")):
            folder = self.placing.directory(path)
        else:
            try:
                found = self._view.resolve(path, make=self.placing.make)
            except NotADirectoryError as error:
                raise placing.not_a_directory(error.filename) from error
            if isinstance(found, Folder):
                folder = found
            else:
                folder, name = found.folder, found.name
        self.placing.materialize(folder)
        return folder, name


def _from_layers(copier: _Copier, view: View, sources: list[str], rules: list[tuple[bool, str]]) -> None:
    excludes = gomatch.Excludes(rules) if rules else None
    for source in sources:
        for path, found in _matches(view, source):
            name = path.rpartition("/")[2]
            if isinstance(found, Folder):
                copier.directory(LayerTree(view, found, "", excludes))
            elif excludes is None or not excludes.leaves_out(name):
                copier.file(trees.layer_file(view, found.folder, found.name, found.file), name)


def _matches(view: View, source: str) -> list[tuple[str, Folder | Located]]:
    """What a source names in a snapshot; a pattern may name nothing, a plain path may not."""
    if not gomatch.has_pattern(source):
        try:
            found = view.resolve(source)
        except OSError:
            found = None
        if found is None or isinstance(found, Missing):
            raise errors.BuildFailed(
                f'failed to calculate checksum of ref: "/{source}": not found',
                hint="Check the path in the stage or image that is copied from.",
            )
        return [(source, found)]
    try:
        paths = [""]
        for part in source.split("/"):
            paths = [f"{path}/{name}" for path in paths for name in _names(view, path, part)]
    except gomatch.BadPatternError as error:
        raise errors.Invalid(f"invalid pattern {source!r}: {error}", hint="Write [[] for a bracket itself.") from error
    matches: list[tuple[str, Folder | Located]] = []
    for path in paths:
        try:
            found = view.resolve(path)
        except OSError:
            continue
        if not isinstance(found, Missing):
            matches.append((path, found))
    return matches


def _names(view: View, folder: str, part: str) -> list[str]:
    if part in ("", "."):
        return ["."]
    if not gomatch.has_pattern(part):
        return [part]
    pattern = gomatch.Pattern(part)
    try:
        found = view.resolve(folder)
    except OSError:
        return []
    return [name for name, _ in view.entries(found) if pattern.match(name)] if isinstance(found, Folder) else []
