"""The bytes of tar headers: numbers, checksums, PAX records and maps of sparse files, decoded and encoded.

POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format" and
"Storing Sparse Files".
"""

from __future__ import annotations

import struct
from zlib import adler32

from orlop.archive import entry
from orlop.core import errors

BLOCK = 512
ZEROS = bytes(BLOCK)
MAX_EXTENSION = 1 << 20
MAX_EXTENTS = 1 << 17

# name, mode+uid+gid, size, mtime, checksum, type, linkname, magic+version, (uname, gname), major, minor, prefix
FIELDS = struct.Struct("100s24s12s12s8sc100s8s64x8s8s155s12x")
CHECKSUM = slice(148, 156)

NO_DEVICE = b"0000000\x000000000\0"

_HEADER = struct.Struct("100s24s12s12s8sc100s8s64x16s167x")
_BLANK = b"        "
_LARGEST_TIME = 1 << 40

FLAGS = {
    b"0": entry.FILE, b"\0": entry.FILE, b"7": entry.FILE, b"S": entry.FILE, b"1": entry.HARDLINK,
    b"2": entry.SYMLINK, b"3": entry.CHARACTER, b"4": entry.BLOCK, b"5": entry.DIRECTORY, b"6": entry.FIFO,
}  # fmt: skip
FLAG_OF = {
    entry.FILE: b"0", entry.HARDLINK: b"1", entry.SYMLINK: b"2", entry.CHARACTER: b"3", entry.BLOCK: b"4",
    entry.DIRECTORY: b"5", entry.FIFO: b"6",
}  # fmt: skip


def number(field: bytes) -> int:
    """An octal or base-256 field; an empty one is 0. Raises `InvalidArchive`."""
    first = field[0]
    if first & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if first & 0x40 else value & ~(1 << (bits - 1))
    text = field.strip(b" \0")
    if b"\0" in text:
        text = text.partition(b"\0")[0].rstrip()
    if not text:
        return 0
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise errors.InvalidArchive("malformed number in a tar header")
    return int(text, 8)


def checksum(block: bytes | bytearray | memoryview) -> int:
    """The sum of a header's bytes with its own checksum field taken as blanks.

    Adler-32's low half is one more than the plain sum as long as that stays below 65521: true for half a block.
    """
    low = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    return low - sum(block[CHECKSUM]) + 256


def expected_sum(field: bytes) -> int:
    """What the low half of the Adler-32 of a header must be, given its checksum field."""
    return (number(field) - 256 + sum(field) + 1) % 65521


def signed_checksum(block: bytes) -> int:
    """The sum as some old writers made it, of signed bytes."""
    return 256 + sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:])


def is_header(block: bytes) -> bool:
    """Whether the first bytes of a file look like a tar: a header whose checksum is right, or the end mark."""
    if len(block) < BLOCK:
        return False
    block = block[:BLOCK]
    try:
        stored = number(block[CHECKSUM])
    except errors.InvalidArchive:
        return False
    return block[0] != 0 and stored in (checksum(block), signed_checksum(block))


def text(field: bytes) -> bytes:
    """A field up to its first NUL."""
    return field.partition(b"\0")[0]


def decimal(name: bytes, value: bytes) -> int:
    """A PAX number that must not be negative."""
    if not value.isdigit() or len(value) > 20:
        raise errors.InvalidArchive(f"malformed PAX number {entry.shown(name)}: {entry.shown(value)}")
    return int(value)


def timestamp(value: bytes) -> int:
    """A PAX time, `[-]seconds[.fraction]`, in nanoseconds; finer digits are cut off, absurd times clamped."""
    whole, dot, fraction = value.removeprefix(b"-").partition(b".")
    if not (whole.isdigit() or (dot and not whole)) or len(value) > 64 or (fraction and not fraction.isdigit()):
        raise errors.InvalidArchive(f"malformed PAX time {entry.shown(value)}")
    nanoseconds = seconds(int(whole or b"0")) + int(fraction[:9].ljust(9, b"0"))
    return -nanoseconds if value[:1] == b"-" else nanoseconds


def seconds(value: int) -> int:
    """Whole seconds in nanoseconds, clamped to what every system call takes."""
    return max(-_LARGEST_TIME, min(value, _LARGEST_TIME)) * 1_000_000_000


def pax_records(data: bytes) -> tuple[dict[bytes, bytes], list[int]]:
    """The records of an extended header, the last of each key, and the flat map of a sparse file in format 0.0."""
    records: dict[bytes, bytes] = {}
    extents: list[int] = []
    position, end = 0, len(data)
    while position < end:
        space = data.find(b" ", position, position + 21)
        length_text = data[position:space] if space > 0 else b""
        length = int(length_text) if length_text.isdigit() else 0
        after = position + length
        if length < len(length_text) + 3 or after > end or data[after - 1] != 10:
            # Some writers pad the records with NULs up to the block.
            if not data[position:].strip(b"\0"):
                break
            raise errors.InvalidArchive("malformed PAX header")
        key, equals, value = data[space + 1 : after - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise errors.InvalidArchive("malformed PAX header")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            extents.append(decimal(key, value))
        records[key] = value
        position = after
    return records, extents


def pax_encode(records: dict[bytes, bytes]) -> bytes:
    """The body of an extended header in key order, `hdrcharset` first since it governs the others."""
    parts = []
    for key in sorted(records, key=lambda key: (key != b"hdrcharset", key)):
        body = b" %b=%b\n" % (key, records[key])
        length = len(body) + len(str(len(body)))
        length = len(body) + len(str(length))
        parts.append(b"%d%b" % (length, body))
    return b"".join(parts)


def sparse_map(numbers: list[int], size: int, stored: int) -> tuple[tuple[int, int], ...]:
    """The extents of a sparse file from flat numbers, checked: in order, inside the file, as long as what is stored."""
    if len(numbers) % 2 or len(numbers) > 2 * MAX_EXTENTS:
        raise errors.InvalidArchive("malformed map of a sparse file")
    extents = []
    position = total = 0
    for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
        if offset < position or offset + length > size:
            raise errors.InvalidArchive("malformed map of a sparse file")
        position = offset + length
        total += length
        if length:
            extents.append((offset, length))
    if total != stored:
        raise errors.InvalidArchive("the map of a sparse file does not fit its data")
    return tuple(extents)


def header(
    name: bytes, flag: bytes, owner: bytes, size: int, mtime: int, linkname: bytes = b"", device: bytes = NO_DEVICE
) -> bytes:
    """A ustar header block; every value must fit its field, `owner` and `device` are made by the functions below."""
    block = _HEADER.pack(name, owner, b"%011o" % size, b"%011o" % mtime, _BLANK, flag, linkname, b"ustar\x0000", device)
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    return block[:148] + b"%06o\0 " % total + block[156:]


def owner_field(mode: int, uid: int, gid: int) -> bytes:
    """The three fields mode, uid and gid."""
    return b"%07o\0%07o\0%07o\0" % (mode, uid, gid)


def device_field(major: int, minor: int) -> bytes:
    """The two fields of a device number."""
    return b"%07o\0%07o\0" % (major, minor)
