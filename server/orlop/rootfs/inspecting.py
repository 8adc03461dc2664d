"""What is at a path of a snapshot, as JSON: for people and programs that look into images without starting them."""

from __future__ import annotations

import os

from orlop.rootfs.merged import DIRECTORY, FILE, FORMAT, LINK, File, Folder, Located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orlop.rootfs.merged import View

_KINDS = {
    FILE: "file", DIRECTORY: "directory", LINK: "symlink", 0o140000: "socket", 0o010000: "fifo",
    0o020000: "character", 0o060000: "block",
}  # fmt: skip


def describe(view: View, path: str) -> dict[str, Any]:
    """`{"found": null}` or an entry, links followed inside the snapshot; a directory has `children`, sorted by name.

    An entry has name, kind, mode (permission bits), uid, gid, size (bytes), mtime (nanoseconds), target (of a link).
    """
    try:
        found = view.resolve(path)
    except OSError:
        return {"found": None}
    if isinstance(found, Folder):
        children = [_entry(name, child) for name, child in view.entries(found)]
        return {"found": {**_entry(found.name, found), "path": found.path, "children": children}}
    if isinstance(found, Located):
        folder = found.folder.path.rstrip("/")
        return {"found": {**_entry(found.name, found.file), "path": f"{folder}/{found.name}", "children": None}}
    return {"found": None}


def _entry(name: str, found: Folder | File) -> dict[str, Any]:
    status = found.status() if isinstance(found, Folder) else found.status
    kind = _KINDS[status.st_mode & FORMAT]
    return {
        "name": name,
        "kind": kind,
        "mode": status.st_mode & 0o7777,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "size": status.st_size if kind == "file" else 0,
        "mtime": status.st_mtime_ns,
        "target": os.readlink(found.path) if kind == "symlink" and isinstance(found, File) else None,
    }
