"""One member of a tar as plain values; slots instead of attrs, since a layer has tens of thousands."""

from __future__ import annotations

from orlop.core import errors

FILE = "file"
DIRECTORY = "directory"
SYMLINK = "symlink"
HARDLINK = "hardlink"
CHARACTER = "character"
BLOCK = "block"
FIFO = "fifo"

DEVICES = (CHARACTER, BLOCK)

_NO_XATTRS: dict[bytes, bytes] = {}
_SHOWN = 120


class Entry:
    """A header: names are raw bytes, times nanoseconds since 1970, `size` the bytes a reader of the file will see.

    `sparse` is None, or the (offset, length) extents that the archive stores; the rest of the file is zeros.
    `xattrs` is read-only by agreement: entries without any share one dict.
    """

    __slots__ = (
        "devmajor", "devminor", "gid", "kind", "linkname", "mode", "mtime_ns", "name", "size", "sparse", "uid",
        "xattrs",
    )  # fmt: skip

    def __init__(
        self,
        name: bytes,
        kind: str = FILE,
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime_ns: int = 0,
        linkname: bytes = b"",
        devmajor: int = 0,
        devminor: int = 0,
        xattrs: dict[bytes, bytes] | None = None,
        sparse: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.mtime_ns = mtime_ns
        self.linkname = linkname
        self.devmajor = devmajor
        self.devminor = devminor
        self.xattrs = _NO_XATTRS if xattrs is None else xattrs
        self.sparse = sparse

    def __repr__(self) -> str:
        return f"Entry({shown(self.name)}, {self.kind}, {self.mode:o}, {self.uid}:{self.gid}, {self.size})"


def shown(name: bytes) -> str:
    """A name as a message may quote it: no control characters, not endless."""
    text = repr(name[:_SHOWN].decode("utf-8", "backslashreplace"))
    return text if len(name) <= _SHOWN else f"{text}…"


def invalid(name: bytes, why: str) -> errors.InvalidArchive:
    """The error for a bad entry."""
    return errors.InvalidArchive(f"invalid archive entry {shown(name)}: {why}")


def clean(name: bytes) -> bytes:
    """The name relative to the root, without `.`, `//` and a trailing slash; the root itself is empty.

    An absolute name is taken relative to the root; one that climbs above the root is refused.
    """
    path = name[2:] if name.startswith(b"./") else name
    if path[-1:] == b"/":
        path = path[:-1]
    if b"/." not in path and b"//" not in path and path[:1] not in (b"/", b".") and path[-1:] != b"/":
        return path
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if not parts:
                raise invalid(name, "it climbs out of the archive's root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)
