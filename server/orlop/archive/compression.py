"""Compressed streams: recognized by their first bytes, read as one stream whatever they are made of.

gzip of several members and zstd of several frames are one stream each (RFC 1952 §2.2, RFC 8878 §3.1). isal and
zstandard are used where they are installed; without the first zlib serves, without the second zstd is refused.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO, Any, Protocol

from orlop.core import errors

_PIECE = 1 << 20
_GZIP_WINDOW = 31


class Compression(StrEnum):
    """How a stream is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


class Readable(Protocol):
    """Anything that gives bytes."""

    def read(self, count: int = ..., /) -> bytes:
        """At most `count` bytes; none at the end."""


class _Inflater(Protocol):
    unused_data: bytes

    @property
    def eof(self) -> bool:
        """Whether this member is at its end."""

    def decompress(self, data: bytes, /) -> bytes:
        """The plain bytes of `data`."""


def detect(head: bytes) -> Compression:
    """The compression whose magic bytes `head` (six at least, unless the stream is shorter) starts with."""
    if head[:2] == b"\x1f\x8b":
        return Compression.GZIP
    if head[:4] == b"\x28\xb5\x2f\xfd" or (head[1:4] == b"\x2a\x4d\x18" and head[:1] in _SKIPPABLE):
        return Compression.ZSTD
    if head[:3] == b"BZh":
        return Compression.BZIP2
    if head[:6] == b"\xfd7zXZ\x00":
        return Compression.XZ
    return Compression.NONE


def decompressed(file: Readable) -> IO[bytes]:
    """The plain bytes of `file`, whatever its compression; reading raises `InvalidArchive` where it is damaged."""
    head = b""
    while len(head) < 6 and (more := file.read(6 - len(head))):
        head += more
    kind = detect(head)
    chunks = _chunks(file, head)
    if kind is not Compression.NONE:
        chunks = _inflated(chunks, _inflater(kind), kind)
    return io.BufferedReader(_Stream(chunks), _PIECE)


_SKIPPABLE = tuple(bytes([0x50 + number]) for number in range(16))


def _chunks(file: Readable, head: bytes) -> Iterator[bytes]:
    if head:
        yield head
    while chunk := file.read(_PIECE):
        yield chunk


def _inflated(chunks: Iterator[bytes], make: Callable[[], _Inflater], kind: Compression) -> Iterator[bytes]:
    inflater = make()
    started = False
    for chunk in chunks:
        data = chunk
        while data:
            if inflater.eof:
                # Zeros may pad the last member; anything else starts the next one.
                data = data.lstrip(b"\0") if kind is Compression.GZIP else data
                if not data:
                    break
                inflater = make()
            try:
                plain = inflater.decompress(data)
            except Exception as error:
                raise errors.InvalidArchive(
                    f"cannot decompress the {kind} stream: {error}", hint="Get the archive again; this one is damaged."
                ) from error
            started = True
            if plain:
                yield plain
            data = inflater.unused_data if inflater.eof else b""
    if started and not inflater.eof:
        raise errors.InvalidArchive(
            f"the {kind} stream ends too early", hint="Get the archive again; this one is truncated."
        )


def _inflater(kind: Compression) -> Callable[[], Any]:
    match kind:
        case Compression.GZIP:
            try:
                from isal import isal_zlib  # noqa: PLC0415
            except ImportError:
                return lambda: zlib.decompressobj(_GZIP_WINDOW)
            return lambda: isal_zlib.decompressobj(_GZIP_WINDOW)
        case Compression.ZSTD:
            try:
                import zstandard  # noqa: PLC0415
            except ImportError as error:
                raise errors.Unavailable(
                    "cannot read a zstd stream: the Python library zstandard is missing",
                    hint="Install it: `pip install zstandard`.",
                ) from error
            return lambda: zstandard.ZstdDecompressor().decompressobj()
        case Compression.BZIP2:
            import bz2  # noqa: PLC0415

            return bz2.BZ2Decompressor
        case _:
            import lzma  # noqa: PLC0415

            return lzma.LZMADecompressor


class _Stream(io.RawIOBase):
    """An iterator of chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill with what the next chunk has."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
