"""Writes a tar: deterministic ustar headers, PAX records only where a value does not fit."""

from __future__ import annotations

from orlop.archive import entry as entries
from orlop.archive import tarheader
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from orlop.archive.entry import Entry

_FLUSH = 1 << 18
_PIECE = 1 << 20
_NAME_FIELD = 100
_ID_LIMIT = 1 << 21
_LONG_LIMIT = 1 << 33
_MEMO = 1 << 12
_NO_DEVICE = tarheader.NO_DEVICE
_EXTENSION_OWNER = tarheader.owner_field(0o644, 0, 0)


class TarWriter:
    """Turns entries and their bytes into a stream handed to `write` in large pieces.

    The same entries always give the same bytes: no user names, no clock, no padding but zeros. Sparse maps are not
    written; a hole is written as the zeros it reads as. `rename` gives the names of entries, and those that hard links
    point to, as they shall be in the tar.
    """

    def __init__(self, write: Callable[[bytes], object], rename: Callable[[bytes], bytes] | None = None) -> None:
        self._write = write
        self._rename = rename
        self._parts: list[bytes] = []
        self._held = 0
        self._owners: dict[tuple[int, int, int], bytes] = {}
        self._left = 0
        self._padding = 0
        self.size = 0

    def add(self, entry: Entry, source: IO[bytes] | None = None) -> None:
        """Write one entry; `source` gives exactly `entry.size` bytes, or `Corrupt` is raised."""
        self.begin(entry)
        while self._left:
            chunk = source.read(min(self._left, _PIECE)) if source is not None else b""
            if not chunk:
                break
            self.data(chunk)
        self.end(entry)

    def begin(self, entry: Entry) -> None:
        """Write the header of an entry; its bytes follow by `data`, then `end`."""
        name, linkname = entry.name, entry.linkname
        if self._rename is not None:
            name = self._rename(name)
            linkname = self._rename(linkname) if entry.kind == entries.HARDLINK else linkname
        if entry.kind == entries.DIRECTORY and name[-1:] != b"/":
            name += b"/"
        size = entry.size if entry.kind == entries.FILE else 0
        seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
        pax: dict[bytes, bytes] = {}
        if fraction or not 0 <= seconds < _LONG_LIMIT:
            pax[b"mtime"] = _time(entry.mtime_ns)
            seconds = seconds if 0 <= seconds < _LONG_LIMIT else 0
        if len(name) > _NAME_FIELD:
            pax[b"path"] = name
        if len(linkname) > _NAME_FIELD:
            pax[b"linkpath"] = linkname
        if size >= _LONG_LIMIT:
            pax[b"size"] = b"%d" % size
        if entry.uid >= _ID_LIMIT:
            pax[b"uid"] = b"%d" % entry.uid
        if entry.gid >= _ID_LIMIT:
            pax[b"gid"] = b"%d" % entry.gid
        if entry.xattrs:
            pax.update((b"SCHILY.xattr." + key, value) for key, value in entry.xattrs.items())
        if pax:
            self._extension(name, pax)
        key = (
            entry.mode & 0o7777,
            entry.uid if entry.uid < _ID_LIMIT else 0,
            entry.gid if entry.gid < _ID_LIMIT else 0,
        )
        owner = self._owners.get(key)
        if owner is None:
            if len(self._owners) > _MEMO:
                self._owners.clear()
            owner = self._owners[key] = tarheader.owner_field(*key)
        self._put(
            tarheader.header(
                name[:_NAME_FIELD],
                tarheader.FLAG_OF[entry.kind],
                owner,
                size if size < _LONG_LIMIT else 0,
                seconds,
                linkname[:_NAME_FIELD],
                tarheader.device_field(entry.devmajor, entry.devminor) if entry.kind in entries.DEVICES else _NO_DEVICE,
            )
        )
        self._left = size
        self._padding = -size % tarheader.BLOCK

    def data(self, chunk: bytes) -> None:
        """Write bytes of the entry that was begun."""
        self._left -= len(chunk)
        self._put(chunk)

    def end(self, entry: Entry) -> None:
        """Finish the entry that was begun; raises `Corrupt` when its bytes were not as many as its header says."""
        if self._left:
            raise errors.Corrupt(f"cannot archive {entries.shown(entry.name)}: its size changed while it was read")
        if self._padding:
            self._put(bytes(self._padding))

    def finish(self) -> None:
        """Write the end mark, two empty blocks, and hand on what is held back."""
        self._put(bytes(2 * tarheader.BLOCK))
        self.flush()

    def flush(self) -> None:
        """Hand on what is held back."""
        if self._parts:
            self._write(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
            self._parts.clear()
            self._held = 0

    def _extension(self, name: bytes, pax: dict[bytes, bytes]) -> None:
        if not _is_text(pax):
            pax[b"hdrcharset"] = b"BINARY"
        body = tarheader.pax_encode(pax)
        if len(body) > tarheader.MAX_EXTENSION:
            raise errors.Corrupt(f"cannot archive {entries.shown(name)}: its extended attributes are too large")
        base = name.rstrip(b"/").rpartition(b"/")[2]
        self._put(tarheader.header(b"PaxHeaders/" + base[:80], b"x", _EXTENSION_OWNER, len(body), 0))
        self._put(body + bytes(-len(body) % tarheader.BLOCK))

    def _put(self, part: bytes) -> None:
        size = len(part)
        self.size += size
        if size >= _FLUSH:
            self.flush()
            self._write(part)
            return
        self._parts.append(part)
        self._held += size
        if self._held >= _FLUSH:
            self.flush()


def _time(nanoseconds: int) -> bytes:
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    text = b"%d.%09d" % (seconds, fraction) if fraction else b"%d" % seconds
    return (b"-" if nanoseconds < 0 else b"") + (text.rstrip(b"0") if fraction else text)


def _is_text(pax: dict[bytes, bytes]) -> bool:
    try:
        for key in (b"path", b"linkpath"):
            pax.get(key, b"").decode()
    except UnicodeDecodeError:
        return False
    return True
