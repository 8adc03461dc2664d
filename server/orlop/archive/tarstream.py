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


class TarReader:
    """Iterates over the entries of `source`; between two steps the bytes of the current one can be taken.

    `source` needs `readinto` (or `read`) and may be a pipe; with `seekable`, data nobody asks for is seeked over.
    `limit` bounds the whole stream in bytes. Raises `InvalidArchive`, which names the entry where one is known.
    """

    __slots__ = (
        "_base", "_buffer", "_end", "_left", "_limit", "_memo", "_padding", "_position", "_read", "_size", "_source",
        "_view",
    )  # fmt: skip

    def __init__(self, source: IO[bytes], *, limit: int | None = None, seekable: bool = False) -> None:
        self._source = source
        self._read = _filler(source)
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._position = self._end = 0
        self._base = source.tell() if seekable else 0
        self._size = os.fstat(source.fileno()).st_size if seekable else None
        self._left = self._padding = 0
        self._limit = limit
        self._memo: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[Entry]:
        return self

    @property
    def offset(self) -> int:
        """Where in the stream the next byte of the current entry's data lies."""
        return self._base + self._position

    @property
    def stored(self) -> int:
        """How many bytes of the current entry's data are still to come."""
        return self._left

    def __next__(self) -> Entry:
        long_name = long_link = None
        records: dict[bytes, bytes] = {}
        extents: list[int] = []
        chain = 0
        while True:
            self._skip()
            position = self._position
            if self._end - position < BLOCK:
                if not self._fill(BLOCK):
                    self._end_after(chain)
                    raise StopIteration
                position = self._position
            self._position = position + BLOCK
            fields = tarheader.FIELDS.unpack_from(self._buffer, position)
            if not fields[0][0] and self._view[position : position + BLOCK] == tarheader.ZEROS:
                self._end_after(chain)
                raise StopIteration
            self._verify(position, fields[6])
            flag = fields[7]
            if flag in b"xgLKXV" and flag:
                size = self._number(fields[4])
                chain += 1
                if chain > _MAX_CHAIN:
                    raise errors.InvalidArchive("too many extended headers before one entry")
                self._expect(size)
                if flag in (b"g", b"V"):
                    chain -= 1
                elif flag == b"L":
                    long_name = tarheader.text(self.read(tarheader.MAX_EXTENSION))
                elif flag == b"K":
                    long_link = tarheader.text(self.read(tarheader.MAX_EXTENSION))
                else:
                    records, extents = tarheader.pax_records(self.read(tarheader.MAX_EXTENSION))
                continue
            block = bytes(self._view[position : position + BLOCK]) if flag == b"S" else b""
            return self._entry(fields, block, long_name, long_link, records, extents)

    def chunk(self) -> memoryview:
        """The next piece of the current entry's stored data, empty at its end; valid until the next call."""
        left = self._left
        if not left:
            return _EMPTY
        position = self._position
        available = self._end - position
        if not available:
            if not self._fill(1):
                raise errors.InvalidArchive("tar is truncated: the data of an entry is incomplete")
            position = self._position
            available = self._end - position
        count = min(left, available)
        self._position = position + count
        self._left = left - count
        return self._view[position : position + count]

    def read(self, limit: int) -> bytes:
        """All remaining stored data of the current entry; raises `InvalidArchive` if it is longer than `limit`."""
        if self._left > limit:
            raise errors.InvalidArchive(f"tar entry of {self._left} bytes is larger than the limit of {limit}")
        parts = []
        while chunk := self.chunk():
            parts.append(bytes(chunk))
        return b"".join(parts)

    def drain(self) -> None:
        """Read the source to its end, so that whoever feeds it through a pipe can finish."""
        self._left = self._padding = 0
        self._position = self._end
        while self._fill(1):
            self._position = self._end

    def _entry(
        self,
        fields: tuple[Any, ...],
        block: bytes,
        name: bytes | None,
        link: bytes | None,
        records: dict[bytes, bytes],
        extents: list[int],
    ) -> Entry:
        header_name, mode, uid, gid, size_field, mtime, _, flag, header_link, magic, major, minor, prefix = fields
        if name is None:
            name = header_name.partition(b"\0")[0]
            if prefix[0] and magic[:6] == b"ustar\0":
                name = prefix.partition(b"\0")[0] + b"/" + name
        kind = tarheader.FLAGS.get(flag)
        if kind is None:
            if flag != b"D":
                raise entries.invalid(name, f"unknown type {flag!r}")
            kind = entries.DIRECTORY
        number = self._number
        entry = Entry(
            name, kind, number(mode) & 0o7777, number(uid), number(gid), tarheader.number(size_field),
            number(mtime) * 1_000_000_000,
        )  # fmt: skip
        if header_link[0] or link is not None:
            entry.linkname = header_link.partition(b"\0")[0] if link is None else link
        if records:
            self._override(entry, records)
        if kind is entries.FILE:
            stored = entry.size
            if block:
                self._expect(stored)
                self._old_sparse(entry, block)
                stored = self._left
            elif b"GNU.sparse.major" in records or b"GNU.sparse.size" in records or b"GNU.sparse.map" in records:
                self._expect(stored)
                self._pax_sparse(entry, records, extents)
                stored = self._left
            elif entry.name[-1:] == b"/":
                entry.kind = entries.DIRECTORY
        else:
            stored = entry.size if flag == b"D" else 0
            entry.size = 0
            if kind in entries.DEVICES:
                entry.devmajor, entry.devminor = number(major), number(minor)
        if not 0 <= entry.uid <= _MAX_ID or not 0 <= entry.gid <= _MAX_ID:
            raise entries.invalid(entry.name, f"owner {entry.uid}:{entry.gid} is out of range")
        if b"\0" in entry.name or b"\0" in entry.linkname:
            raise entries.invalid(entry.name, "its name has a NUL")
        if not -(1 << 70) < entry.mtime_ns < 1 << 70:
            entry.mtime_ns = tarheader.seconds(entry.mtime_ns // 1_000_000_000)
        if not entry.sparse:
            self._expect(stored)
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
        stored = self._left
        self._left = self._padding = 0
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
        entry.sparse = tarheader.sparse_map(extents, entry.size, self._left)

    def _map_before_data(self, entry: Entry) -> list[int]:
        numbers: list[int] = []
        wanted, tail = 1, b""
        while len(numbers) < wanted:
            if self._left < BLOCK or not self._fill(BLOCK):
                raise entries.invalid(entry.name, "its map of extents is incomplete")
            block = tail + bytes(self._view[self._position : self._position + BLOCK])
            self._position += BLOCK
            self._left -= BLOCK
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

    def _verify(self, position: int, field: bytes) -> None:
        view = self._view
        stored = self._number(field)
        middle = position + 256
        total = (adler32(view[position:middle]) & 0xFFFF) + (adler32(view[middle : position + BLOCK]) & 0xFFFF)
        if stored == total + 254 - sum(field):
            return
        if stored != tarheader.signed_checksum(bytes(view[position : position + BLOCK])):
            raise errors.InvalidArchive("tar header has a wrong checksum: not a tar, or a damaged one")

    def _end_after(self, chain: int) -> None:
        if chain:
            raise errors.InvalidArchive("tar is truncated: it ends after an extended header")

    def _number(self, field: bytes) -> int:
        """A header number, remembered: modes, owners and times repeat."""
        memo = self._memo
        value = memo.get(field)
        if value is None:
            value = tarheader.number(field)
            if len(memo) > _MEMO:
                memo.clear()
            memo[field] = value
        return value

    def _expect(self, stored: int) -> None:
        if stored < 0:
            raise errors.InvalidArchive("tar header has a negative size")
        self._left = stored
        self._padding = -stored % BLOCK

    def _skip(self) -> None:
        """Step over what is left of the current entry and its padding."""
        rest = self._left + self._padding
        if not rest:
            return
        self._left = self._padding = 0
        available = self._end - self._position
        if rest <= available:
            self._position += rest
            return
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
