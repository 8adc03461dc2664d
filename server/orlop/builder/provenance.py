"""Which layers of a state decide what is at a path, so that a copy from a rebuilt stage can be known to give the same.

A frozen layer never changes. If the layers that hold, hide or replace anything at the copied paths are those of an
earlier copy, the files are the same, whatever else the stage has done since; nothing needs to be read to know that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from orlop.builder import globs

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


def deciding(layers: Sequence[tuple[str, Path]], sources: Iterable[str]) -> tuple[str, ...] | None:
    """The ids of the deciding layers, of `layers` as (id, tree) from the lowest; None when that cannot be told cheaply.

    `sources` are cleaned paths relative to the root; of a pattern the part before the first wildcard counts. Links are
    not followed: where one is in the way, the answer is None.
    """
    found: set[str] = set()
    for source in sources:
        path = _fixed(source)
        if not path:
            return None
        for name, tree in layers:
            decides = _decides(str(tree), path)
            if decides is None:
                return None
            if decides:
                found.add(name)
    return tuple(name for name, _ in layers if name in found)


def _fixed(source: str) -> list[str]:
    parts: list[str] = []
    for part in source.split("/"):
        if globs.has_wildcard(part):
            break
        parts.append(part)
    return [part for part in parts if part]


def _decides(tree: str, parts: list[str]) -> bool | None:
    here = tree
    for part in parts:
        here = f"{here}/{part}"
        try:
            status = os.lstat(here)
        except FileNotFoundError:
            above = os.path.dirname(here)
            return above != tree and _is_opaque(above)
        except OSError:
            return None
        if stat.S_ISLNK(status.st_mode):
            return None
        if not stat.S_ISDIR(status.st_mode):
            return True
    return True


def _is_opaque(folder: str) -> bool:
    """Whether the directory hides those of the same name below; when in doubt it does."""
    for name in _OPAQUE:
        try:
            if os.getxattr(folder, name, follow_symlinks=False) == b"y":
                return True
        except OSError as error:
            if isinstance(error, PermissionError):
                return True
    return False
