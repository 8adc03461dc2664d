"""Reads a tar as a stream: one pass, one buffer, every dialect that image layers are written in.

Understood: v7, ustar, GNU (long names, base-256, sparse), PAX (all sparse formats). Global PAX headers are ignored.
The names `Entry` and `TarWriter` are offered here too, so that a user of tars needs one import.
"""

from __future__ import annotations

import os
from zlib import adler32

from orlop.archive import entry as entries
from orlop.archive import tarheader
from orlop.archive.entry import Entry
from orlop.archive.tarheader import BLOCK
from orlop.archive.tarwriter import TarWriter
from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any

__all__ = ["Entry", "TarReader", "TarWriter"]

_BUFFER = 1 << 20
_EMPTY = memoryview(b"")
_MAX_ID = (1 << 32) - 2
_MAX_CHAIN = 8
_MEMO = 1 << 14
_SCHILY = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."
_EXTENSIONS = (b"x", b"X", b"g", b"L", b"K", b"V")
# Kinds whose headers need no second look.
_COMMON = {flag: kind for flag, kind in tarheader.FLAGS.items() if flag in b"0521" or flag == b"\0"}


class TarReader:
    """Iterates over the entries of `source`; between two steps the bytes of the current one can be taken.

    `source` needs `readinto` (or `read`) and may be a pipe; with `seekable`, data nobody asks for is seeked over.
    `limit` bounds the whole stream in bytes. Raises `InvalidArchive`, which names the entry where one is known.
    """

    __slots__ = (
        "_base", "_buffer", "_end", "_expected", "_limit", "_owners", "_padding", "_position", "_read", "_size",
        "_source", "_times", "_view", "left",
    )  # fmt: skip

    def __init__(self, source: IO[bytes], *, limit: int | None = None, seekable: bool = False) -> None:
        self._source = source
        self._read = _filler(source)
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._position = self._end = 0
        self._base = source.tell() if seekable else 0
        self._size = os.fstat(source.fileno()).st_size if seekable else None
        self._padding = 0
        self._limit = limit
        # Fields repeat from header to header: what they mean is remembered by their bytes.
        self._expected: dict[bytes, int] = {}
        self._owners: dict[bytes, tuple[int, int, int]] = {}
        self._times: dict[bytes, int] = {}
        self.left = 0
        """How many bytes of the current entry's data are still to come."""

    def __iter__(self) -> Iterator[Entry]:
        return self

    @property
    def offset(self) -> int:
        """Where in the stream the next byte of the current entry's data lies."""
        return self._base + self._position

    def __next__(self) -> Entry:
        fields = self._header()
        name, owner, size_field, mtime, _, flag, link, magic, _, _, prefix = fields
        kind = _COMMON.get(flag)
        if kind is None:
            return self._uncommon(fields)
        name = name.partition(b"\0")[0]
        if prefix[0] and magic[:6] == b"ustar\0":
            name = prefix.partition(b"\0")[0] + b"/" + name
        mode_uid_gid = self._owners.get(owner) or self._owner(owner, name)
        mtime_ns = self._times.get(mtime)
        if mtime_ns is None:
            mtime_ns = self._time(mtime)
        entry = Entry(name, kind, *mode_uid_gid, 0, mtime_ns)
        if link[0]:
            entry.linkname = link.partition(b"\0")[0]
        if kind is entries.FILE:
            try:
                size = int(size_field[:11], 8)
            except ValueError:
                size = tarheader.number(size_field)
            if size:
                if size < 0:
                    raise entries.invalid(name, "its size is negative")
                entry.size = self.left = size
                self._padding = -size % BLOCK
            if name[-1:] == b"/":
                entry.kind = entries.DIRECTORY
        return entry

    def chunk(self) -> memoryview:
        """The next piece of the current entry's stored data, empty at its end; valid until the next call."""
        left = self.left
        if not left:
            return _EMPTY
        position = self._position
        available = self._end - position
        if not available:
            if not self._fill(1):
                raise errors.InvalidArchive("tar is truncated: the data of an entry is incomplete")
            position = self._position
            available = self._end - position
        after = position + (left if left < available else available)  # noqa: FURB136 - a call would cost more
        self._position = after
        self.left = left - after + position
        return self._view[position:after]

    def read(self, limit: int) -> bytes:
        """All remaining stored data of the current entry; raises `InvalidArchive` if it is longer than `limit`."""
        if self.left > limit:
            raise errors.InvalidArchive(f"tar entry of {self.left} bytes is larger than the limit of {limit}")
        parts = []
        while self.left:
            parts.append(bytes(self.chunk()))
        return b"".join(parts)

    def drain(self) -> None:
        """Read the source to its end, so that whoever feeds it through a pipe can finish."""
        self.left = self._padding = 0
        self._position = self._end
        while self._fill(1):
            self._position = self._end

    def _header(self) -> tuple[Any, ...]:
        """The fields of the next header block; `StopIteration` at the end mark or the end of the stream."""
        rest = self.left + self._padding
        if rest:
            if self._end - self._position < rest:
                self._skip()
            else:
                self._position += rest
                self.left = self._padding = 0
        position = self._position
        if self._end - position < BLOCK:
            if not self._fill(BLOCK):
                raise StopIteration
            position = self._position
        self._position = after = position + BLOCK
        fields = tarheader.FIELDS.unpack_from(self._buffer, position)
        field = fields[4]
        expected = self._expected.get(field)
        if expected is None:
            if not fields[0][0] and self._view[position:after] == tarheader.ZEROS:
                raise StopIteration
            if len(self._expected) > _MEMO:
                self._expected.clear()
            expected = self._expected[field] = tarheader.expected_sum(field)
        if adler32(self._view[position:after]) & 0xFFFF != expected:
            block = bytes(self._view[position:after])
            if tarheader.number(field) != tarheader.signed_checksum(block):
                raise errors.InvalidArchive("tar header has a wrong checksum: not a tar, or a damaged one")
        return fields

    def _uncommon(self, fields: tuple[Any, ...]) -> Entry:
        """An entry with extended headers before it, or of a rare kind."""
        name = link = None
        records: dict[bytes, bytes] = {}
        extents: list[int] = []
        chain = 0
        while (flag := fields[5]) in _EXTENSIONS:
            self._expect(tarheader.number(fields[2]))
            if flag == b"L":
                name = tarheader.text(self.read(tarheader.MAX_EXTENSION))
            elif flag == b"K":
                link = tarheader.text(self.read(tarheader.MAX_EXTENSION))
            elif flag in (b"x", b"X"):
                records, extents = tarheader.pax_records(self.read(tarheader.MAX_EXTENSION))
            # What is left are global headers and volume labels: they say nothing of this entry.
            chain += flag not in (b"g", b"V")
            if chain > _MAX_CHAIN:
                raise errors.InvalidArchive("too many extended headers before one entry")
            try:
                fields = self._header()
            except StopIteration:
                if chain:
                    raise errors.InvalidArchive("tar is truncated: it ends after an extended header") from None
                raise
        block = bytes(self._view[self._position - BLOCK : self._position]) if flag == b"S" else b""
        return self._entry(fields, block, name, link, records, extents)

    def _entry(
        self,
        fields: tuple[Any, ...],
        block: bytes,
        name: bytes | None,
        link: bytes | None,
        records: dict[bytes, bytes],
        extents: list[int],
    ) -> Entry:
        header_name, owner, size_field, mtime, _, flag, header_link, magic, major, minor, prefix = fields
        if name is None:
            name = tarheader.text(header_name)
            if prefix[0] and magic[:6] == b"ustar\0":
                name = tarheader.text(prefix) + b"/" + name
        kind = tarheader.FLAGS.get(flag)
        if kind is None:
            if flag != b"D":
                raise entries.invalid(name, f"unknown type {flag!r}")
            kind = entries.DIRECTORY
        mode, uid, gid = self._owners.get(owner) or self._owner(owner, name, b"uid" in records or b"gid" in records)
        entry = Entry(name, kind, mode, uid, gid, tarheader.number(size_field), self._time(mtime))
        entry.linkname = tarheader.text(header_link) if link is None else link
        if records:
            self._override(entry, records)
        stored = entry.size
        if kind is entries.FILE:
            self._expect(stored)
            if block:
                self._old_sparse(entry, block)
            elif b"GNU.sparse.major" in records or b"GNU.sparse.size" in records or b"GNU.sparse.map" in records:
                self._pax_sparse(entry, records, extents)
            elif entry.name[-1:] == b"/":
                entry.kind = entries.DIRECTORY
        else:
            self._expect(stored if flag == b"D" else 0)
            entry.size = 0
            if kind in entries.DEVICES:
                entry.devmajor, entry.devminor = tarheader.number(major), tarheader.number(minor)
        if not 0 <= entry.uid <= _MAX_ID or not 0 <= entry.gid <= _MAX_ID:
            raise _bad_owner(entry.name, entry.uid, entry.gid)
        if b"\0" in entry.name or b"\0" in entry.linkname:
            raise entries.invalid(entry.name, "its name has a NUL")
        return entry

    def _override(self, entry: Entry, records: dict[bytes, bytes]) -> None:
        xattrs: dict[bytes, bytes] = {}
        for key, value in records.items():
            if key.startswith(_SCHILY):
                xattrs[key[len(_SCHILY) :]] = value
            elif not value:
                continue
            elif key == b"mtime":
                entry.mtime_ns = tarheader.timestamp(value)
            elif key in (b"path", b"GNU.sparse.name"):
                if key == b"GNU.sparse.name" or b"GNU.sparse.name" not in records:
                    entry.name = value
            elif key == b"linkpath":
                entry.linkname = value
            elif key == b"size":
                entry.size = tarheader.decimal(key, value)
            elif key == b"uid":
                entry.uid = tarheader.decimal(key, value)
            elif key == b"gid":
                entry.gid = tarheader.decimal(key, value)
            elif key.startswith(_LIBARCHIVE):
                _libarchive_xattr(xattrs, key[len(_LIBARCHIVE) :], value)
        if xattrs:
            entry.xattrs = xattrs

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        """GNU's type S: four extents in the header, 21 in each block after it."""
        stored = self.left
        self.left = self._padding = 0
        numbers: list[int] = []
        more = _old_extents(block, 386, 4, numbers)
        entry.size = tarheader.number(block[483:495])
        while more:
            if not self._fill(BLOCK) or len(numbers) > 2 * tarheader.MAX_EXTENTS:
                raise entries.invalid(entry.name, "its map of extents is incomplete or endless")
            more = _old_extents(bytes(self._view[self._position : self._position + BLOCK]), 0, 21, numbers)
            self._position += BLOCK
        self._expect(stored)
        entry.sparse = tarheader.sparse_map(numbers, entry.size, stored)

    def _pax_sparse(self, entry: Entry, records: dict[bytes, bytes], extents: list[int]) -> None:
        """GNU's formats 0.0 and 0.1, whose map is in the records, and 1.0, whose map stands before the data."""
        size_key = b"GNU.sparse.realsize" if b"GNU.sparse.realsize" in records else b"GNU.sparse.size"
        entry.size = tarheader.decimal(size_key, records.get(size_key, b""))
        if b"GNU.sparse.major" not in records or records[b"GNU.sparse.major"] == b"0":
            if b"GNU.sparse.map" in records:
                extents = [tarheader.decimal(b"map", item) for item in records[b"GNU.sparse.map"].split(b",") if item]
        elif records[b"GNU.sparse.major"] == b"1":
            extents = self._map_before_data(entry)
        else:
            raise entries.invalid(entry.name, "unknown sparse format")
        entry.sparse = tarheader.sparse_map(extents, entry.size, self.left)

    def _map_before_data(self, entry: Entry) -> list[int]:
        numbers: list[int] = []
        wanted, tail = 1, b""
        while len(numbers) < wanted:
            if self.left < BLOCK or not self._fill(BLOCK):
                raise entries.invalid(entry.name, "its map of extents is incomplete")
            block = tail + bytes(self._view[self._position : self._position + BLOCK])
            self._position += BLOCK
            self.left -= BLOCK
            *lines, tail = block.split(b"\n")
            for line in lines[: wanted - len(numbers)] if numbers else lines:
                numbers.append(tarheader.decimal(b"map", line))
                if len(numbers) == 1:
                    wanted = 1 + 2 * numbers[0]
                    if numbers[0] > tarheader.MAX_EXTENTS:
                        raise entries.invalid(entry.name, "its map of extents is endless")
                if len(numbers) == wanted:
                    break
        return numbers[1:]

    def _owner(self, field: bytes, name: bytes, replaced: bool = False) -> tuple[int, int, int]:
        """Mode, uid and gid of a header."""
        mode, uid, gid = (tarheader.number(field[start : start + 8]) for start in (0, 8, 16))
        if replaced:
            return mode & 0o7777, uid, gid
        if not 0 <= uid <= _MAX_ID or not 0 <= gid <= _MAX_ID:
            raise _bad_owner(name, uid, gid)
        if len(self._owners) > _MEMO:
            self._owners.clear()
        self._owners[field] = (mode & 0o7777, uid, gid)
        return mode & 0o7777, uid, gid

    def _time(self, field: bytes) -> int:
        if len(self._times) > _MEMO:
            self._times.clear()
        value = self._times[field] = tarheader.seconds(tarheader.number(field))
        return value

    def _expect(self, stored: int) -> None:
        if stored < 0:
            raise errors.InvalidArchive("tar header has a negative size")
        self.left = stored
        self._padding = -stored % BLOCK

    def _skip(self) -> None:
        """Step over the rest of the current entry, which goes beyond the buffer."""
        rest = self.left + self._padding
        self.left = self._padding = 0
        available = self._end - self._position
        rest -= available
        self._position = self._end
        if self._size is not None:
            target = self.offset + rest
            if target > self._size:
                raise errors.InvalidArchive("tar is truncated: the data of an entry is incomplete")
            self._source.seek(target)
            self._base = target - self._position
            return
        while rest:
            if not self._fill(1):
                raise errors.InvalidArchive("tar is truncated: the data of an entry is incomplete")
            step = min(rest, self._end - self._position)
            self._position += step
            rest -= step

    def _fill(self, count: int) -> bool:
        """Have `count` bytes in the buffer, False at the end of the stream; a piece of a block is an error."""
        held = self._end - self._position
        if held >= count:
            return True
        if held:
            self._buffer[:held] = self._buffer[self._position : self._end]
        self._base += self._position
        self._position, self._end = 0, held
        while self._end < count:
            got = self._read(self._view[self._end :])
            if not got:
                if self._end:
                    raise errors.InvalidArchive("tar is truncated: it ends within a block")
                return False
            self._end += got
        if self._limit is not None and self._base + self._end > self._limit:
            raise errors.InvalidArchive(
                f"tar is larger than the limit of {self._limit} bytes", hint="Check where this image comes from."
            )
        return True


def _filler(source: IO[bytes]) -> Callable[[memoryview], int | None]:
    readinto = getattr(source, "readinto1", None) or getattr(source, "readinto", None)
    if readinto is not None:
        return readinto  # type: ignore[no-any-return]

    def copy(view: memoryview) -> int:
        data = source.read(len(view))
        view[: len(data)] = data
        return len(data)

    return copy


def _bad_owner(name: bytes, uid: int, gid: int) -> errors.InvalidArchive:
    return entries.invalid(name, f"owner {uid}:{gid} is out of range")


def _old_extents(block: bytes, start: int, count: int, numbers: list[int]) -> bool:
    end = start + 24 * count
    for position in range(start, end, 12):
        field = block[position : position + 12]
        if not field.strip(b"\0 "):
            break
        numbers.append(tarheader.number(field))
    return block[482 if count == 4 else 504] not in (0, 0x30)


def _libarchive_xattr(xattrs: dict[bytes, bytes], key: bytes, value: bytes) -> None:
    """Libarchive's spelling: the name in URL encoding, the value in base64; SCHILY's wins if both are there."""
    from binascii import Error, a2b_base64  # noqa: PLC0415

    first, *escaped = key.split(b"%")
    try:
        name = first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in escaped)
        xattrs.setdefault(name, a2b_base64(value + b"=" * (-len(value) % 4)))
    except (Error, ValueError) as error:
        raise errors.InvalidArchive(f"malformed PAX record {entries.shown(key)}") from error
