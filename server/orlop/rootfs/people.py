"""Names of users and groups as a root file system defines them; its files are data, never code."""

from __future__ import annotations

from orlop.core import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[str, int], bytes | None]

_MOST_BYTES = 4 << 20


def resolve(read: Reader, text: str) -> tuple[int, int, list[str]]:
    """The ids of `user[:group]`, and warnings; `read(path, limit)` gives the image's files.

    A user's group is that of its passwd entry, for a number the same number. Unknown names are 0, as in Docker's COPY,
    but that is said. Raises `Invalid` for a number out of range.
    """
    user, colon, group = text.partition(":")
    warnings: list[str] = []
    uid, gid = _user(read, user, warnings) if user else (0, 0)
    if colon and group:
        gid = _group(read, group, warnings)
    ids.check(uid, gid)
    return uid, gid, warnings


def _user(read: Reader, name: str, warnings: list[str]) -> tuple[int, int]:
    number = _number(name)
    if number is not None:
        return number, number
    for row in _rows(read, "/etc/passwd"):
        if len(row) > 3 and row[0] == name and _digits(row[2]) and _digits(row[3]):
            return ids.number(row[2]), ids.number(row[3])
    warnings.append(f"user {name!r} is not in the image's /etc/passwd: root is taken instead")
    return 0, 0


def _group(read: Reader, name: str, warnings: list[str]) -> int:
    number = _number(name)
    if number is not None:
        return number
    for row in _rows(read, "/etc/group"):
        if len(row) > 2 and row[0] == name and _digits(row[2]):
            return ids.number(row[2])
    warnings.append(f"group {name!r} is not in the image's /etc/group: root is taken instead")
    return 0


def _number(text: str) -> int | None:
    if not _digits(text):
        return None
    return ids.number(text)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _rows(read: Reader, path: str) -> list[list[str]]:
    text = (read(path, _MOST_BYTES) or b"").decode("utf-8", "replace")
    return [line.strip().split(":") for line in text.split("\n")]
