"""Who runs inside: user, groups and home of the image's own passwd and group files, read as plain data.

The C library's name service would load code from the image (CVE-2019-14271), so it is never asked.
"""

from __future__ import annotations

import os
import stat

from orlop.core import errors, ids
from orlop.runtime.linux import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LARGEST_FILE = 16 << 20


class Identity:
    """Numbers to become, and what HOME is for them."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def resolve(user: str, extra_groups: Sequence[str] = (), root: str = "/") -> Identity:
    """The identity of `""`, `name`, `uid`, `name:group`, `uid:gid` … in the tree at `root`.

    Numbers need no entry; supplementary groups come from the group file unless a group is given. Raises `Invalid` with
    Docker's text for unknown names, and for numbers that the kernel would take for negative ones: 4294967295 means
    "leave it as it is" to setresuid(2), which would leave root.
    """
    name, colon, group = user.partition(":")
    uid, gid, home, login = _user(name or "0", root)
    groups: list[int] = []
    if colon and group:
        gid = _group(group, root)
    elif login is not None:
        groups = [ids.number(row[2]) for row in _rows(root, "etc/group", 4) if login in row[3].split(",")]
    groups += [_group(each, root) for each in extra_groups]
    ids.check(uid, gid, *groups)
    return Identity(uid, gid, list(dict.fromkeys(groups)), home)


def _user(name: str, root: str) -> tuple[int, int, str, str | None]:
    number = _number(name)
    for row in _rows(root, "etc/passwd", 6):
        if row[0] == name or (number is not None and ids.number(row[2]) == number):
            return (
                ids.number(row[2]),
                ids.number(row[3]) if row[3].isascii() and row[3].isdigit() else 0,
                row[5] or "/",
                row[0],
            )
    if number is None:
        raise errors.Invalid(
            f"unable to find user {name}: no matching entries in passwd file",
            hint="Create the user in the image, or give its number.",
        )
    return number, 0, "/", None


def _group(name: str, root: str) -> int:
    number = _number(name)
    for row in _rows(root, "etc/group", 3):
        if row[0] == name:
            return ids.number(row[2])
    if number is None:
        raise errors.Invalid(
            f"unable to find group {name}: no matching entries in group file",
            hint="Create the group in the image, or give its number.",
        )
    return number


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    return ids.number(text)


def _rows(root: str, path: str, least: int) -> Iterator[list[str]]:
    """Lines of a colon-separated file with a number in the third field; nothing when it is missing or no file.

    Links stay inside the tree, and none leads through a descriptor of this process.
    """
    try:
        root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = paths.open_inside(root_fd, path, os.O_RDONLY | os.O_NONBLOCK)
        finally:
            os.close(root_fd)
    except OSError:
        return
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return
        parts = []
        total = 0
        while total < _LARGEST_FILE and (part := os.read(fd, 1 << 20)):
            parts.append(part)
            total += len(part)
    finally:
        os.close(fd)
    for line in b"".join(parts).decode("utf-8", "surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= least and fields[2].isascii() and fields[2].isdigit():
            yield [*fields, "", "", ""]
