"""What a container changed, path by path: `docker diff`, worked out from its upper directory without a mount.

The rules are Docker's (moby, pkg/archive/changes.go): a directory counts as changed when its mode or owner is another
or when something in it changed, a file also when its size or time is another.
"""

from __future__ import annotations

import os

from orlop.archive import overlay
from orlop.rootfs.merged import DIRECTORY, FORMAT, File, Folder, View

ADDED, CHANGED, DELETED = "A", "C", "D"


def changes(lowers: list[str], upper: str, omit: set[bytes]) -> list[list[str]]:
    """Rows of kind and absolute path, sorted by path; `omit` are relative paths that are nobody's change."""
    view = View(lowers)
    rows: list[list[str]] = []
    _compare(view, view.root, upper, "", rows, omit)
    return sorted(rows, key=lambda row: row[1])


def _compare(view: View, old: Folder | None, place: str, path: str, rows: list[list[str]], omit: set[bytes]) -> None:
    """One directory of the upper layer against what lies below it (None: nothing, or hidden)."""
    hidden = old is not None and bool(path) and overlay.is_opaque(place)
    with os.scandir(place) as scan:
        items = [item for item in scan if os.fsencode(f"{path}/{item.name}".lstrip("/")) not in omit]
    if old is not None and hidden:
        present = {item.name for item in items}
        rows += [[DELETED, f"{path}/{name}"] for name, _ in view.entries(old) if name not in present]
    for item in items:
        here = f"{path}/{item.name}"
        status = item.stat(follow_symlinks=False)
        before = view.find(old, item.name) if old is not None else None
        if overlay.is_whiteout(status):
            if before is not None:
                rows.append([DELETED, here])
            continue
        known = before.status() if isinstance(before, Folder) else before.status if before is not None else None
        start = len(rows)
        if item.is_dir(follow_symlinks=False):
            _compare(view, before if isinstance(before, Folder) else None, item.path, here, rows, omit)
        if known is None:
            rows.append([ADDED, here])
        elif len(rows) > start or not _same(known, status, before):
            rows.append([CHANGED, here])


def _same(before: os.stat_result, after: os.stat_result, old: Folder | File | None) -> bool:
    if (before.st_mode, before.st_uid, before.st_gid, before.st_rdev) != (
        after.st_mode, after.st_uid, after.st_gid, after.st_rdev,
    ):  # fmt: skip
        return False
    if after.st_mode & FORMAT == DIRECTORY or isinstance(old, Folder):
        return True
    return before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns
