"""Names of users and groups as a root file system defines them; its files are data, never code."""

from __future__ import annotations

import os

from orlop.core import errors
from orlop.runtime.linux import paths

_MOST_BYTES = 4 << 20


def resolve(root: int, text: str) -> tuple[int, int, list[str]]:
    """The ids of `user[:group]` and warnings; unknown names are 0, as in Docker's COPY, but said."""
    user, colon, group = text.partition(":")
    warnings: list[str] = []
    uid, gid = _user(root, user, warnings) if user else (0, 0)
    if colon and group:
        gid = _group(root, group, warnings)
    return uid, gid, warnings


def _user(root: int, name: str, warnings: list[str]) -> tuple[int, int]:
    if name.isdigit():
        return _checked(name), _checked(name)
    for row in _rows(root, "/etc/passwd"):
        if len(row) > 3 and row[0] == name and row[2].isdigit() and row[3].isdigit():
            return int(row[2]), int(row[3])
    warnings.append(f"user {name!r} is not in the image's /etc/passwd: root is taken instead")
    return 0, 0


def _group(root: int, name: str, warnings: list[str]) -> int:
    if name.isdigit():
        return _checked(name)
    for row in _rows(root, "/etc/group"):
        if len(row) > 2 and row[0] == name and row[2].isdigit():
            return int(row[2])
    warnings.append(f"group {name!r} is not in the image's /etc/group: root is taken instead")
    return 0


def _checked(text: str) -> int:
    number = int(text)
    if number > 4294967294:
        raise errors.Invalid(f"invalid id {text}: ids end at 4294967294")
    return number


def _rows(root: int, path: str) -> list[list[str]]:
    try:
        fd = paths.open_inside(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    with open(fd, "rb") as file:
        text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    return [line.split(":") for line in text.splitlines()]
