"""Compressed streams: recognized by their first bytes, decompressed and compressed piece by piece.

gzip goes through Intel's isal where the `isal` package is installed (twice as fast to read, an order of magnitude to
write), else through zlib. zstd needs the `zstandard` package. bzip2 and xz can be read only: nobody pushes them.
"""

from __future__ import annotations

import importlib
import io
import zlib
from enum import StrEnum
from typing import IO, Any, Protocol

from orlop.archive.zstdframes import ZstdFrames
from orlop.core import errors

_PIECE = 1 << 18
_SNIFF = 8
_BUFFER = 1 << 20
_GZIP_WINDOW = 31
_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW = 128 << 20


class Compression(StrEnum):
    """How bytes are packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


class Readable(Protocol):
    """All that is needed of a source."""

    def read(self, count: int = ..., /) -> bytes:
        """Up to `count` bytes, none only at the end."""


class Compressor(Protocol):
    """Takes bytes, gives packed bytes, some of them only at `flush`."""

    def compress(self, data: bytes, /) -> bytes:
        """Packed bytes that are ready."""

    def flush(self) -> bytes:
        """The rest, with the end mark."""


def detect(head: bytes) -> Compression:
    """What the first bytes (8 are enough) of a stream say, whatever its name or media type claim."""
    if head.startswith(b"\x1f\x8b\x08"):
        return Compression.GZIP
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return Compression.ZSTD
    if head.startswith(b"BZh") and head[3:4].isdigit():
        return Compression.BZIP2
    if head.startswith(b"\xfd7zXZ\0"):
        return Compression.XZ
    return Compression.NONE


def decompressed(file: Readable) -> IO[bytes]:
    """The plain bytes of `file`, recognized by content; closing the result closes `file`, if that can be closed.

    Several members or frames in a row are one stream. Reading never holds more than a few MiB, whatever the ratio.
    Raises `InvalidArchive` for damaged or cut off data, `Unavailable` for zstd without the package for it.
    """
    head = b""
    while len(head) < _SNIFF and (piece := file.read(_SNIFF - len(head))):
        head += piece
    source = _Replayed(head, file)
    kind = detect(head)
    if kind is Compression.NONE:
        return io.BufferedReader(source, _BUFFER)
    raw = _Zstd(source) if kind is Compression.ZSTD else _Members(source, kind)
    return io.BufferedReader(raw, _BUFFER)


def compressor(kind: Compression, level: int = 1) -> Compressor:
    """A fresh compressor; the same bytes in the same pieces give the same result.

    gzip levels are 1 to 9, of which isal knows three; zstd levels 1 to 19. Raises `Unavailable` for zstd without its
    package, `Invalid` for a kind nobody writes.
    """
    if kind is Compression.NONE:
        return _Plain()
    if kind is Compression.GZIP:
        isal = _optional("isal.isal_zlib")
        if isal is not None:
            packer: Compressor = isal.compressobj(min(max(level, 0), 3), isal.DEFLATED, _GZIP_WINDOW)
            return packer
        return zlib.compressobj(min(max(level, 1), 9), zlib.DEFLATED, _GZIP_WINDOW)
    if kind is Compression.ZSTD:
        frame: Compressor = _zstandard().ZstdCompressor(level=level).compressobj()
        return frame
    raise errors.Invalid(f"cannot compress with {kind}", hint="Choose gzip or zstd.")


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Replayed(io.RawIOBase):
    """A source whose first bytes were read already."""

    def __init__(self, head: bytes, source: Readable) -> None:
        super().__init__()
        self._head = head
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, count: int = -1) -> bytes:
        if self._head:
            data = self._head if count < 0 else self._head[:count]
            self._head = self._head[len(data) :]
            return data
        return self._source.read(count)

    def close(self) -> None:
        if not self.closed:
            super().close()
            close = getattr(self._source, "close", None)
            if close is not None:
                close()


class _Members(io.RawIOBase):
    """gzip, bzip2 or xz: members back to back, with zeros allowed behind the last."""

    def __init__(self, source: _Replayed, kind: Compression) -> None:
        super().__init__()
        self._source = source
        self._kind = kind
        self._new, self._errors = _decompressor(kind)
        self._member: Any = self._new()
        self._input = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ended:
            if self._member.eof:
                self._next_member()
                continue
            if not self._input and getattr(self._member, "needs_input", True):
                self._input = self._source.read(_PIECE)
                if not self._input:
                    raise errors.InvalidArchive(f"{self._kind} data is truncated")
            data = self._decompress(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()

    def _decompress(self, limit: int) -> bytes:
        try:
            data: bytes = self._member.decompress(self._input, limit)
        except self._errors as error:
            raise errors.InvalidArchive(f"{self._kind} data is damaged: {error}") from error
        # zlib hands back what it did not take; the others keep it themselves.
        self._input = self._member.unused_data if self._member.eof else getattr(self._member, "unconsumed_tail", b"")
        return data

    def _next_member(self) -> None:
        rest = self._input.lstrip(b"\0")
        while not rest:
            piece = self._source.read(_PIECE)
            if not piece:
                self._ended = True
                return
            rest = piece.lstrip(b"\0")
        while len(rest) < _SNIFF and (piece := self._source.read(_SNIFF - len(rest))):
            rest += piece
        if detect(rest) is not self._kind:
            raise errors.InvalidArchive(f"{self._kind} data is followed by something else")
        self._input = rest
        self._member = self._new()


class _Zstd(io.RawIOBase):
    """zstd frames, skippable ones included; the library does not tell a cut off frame, so they are counted."""

    def __init__(self, source: _Replayed) -> None:
        super().__init__()
        library = _zstandard()
        self._source = source
        self._frames = ZstdFrames()
        self._error: type[Exception] = library.ZstdError
        decompressor = library.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._reader: Any = decompressor.stream_reader(
            _Watched(source, self._frames), read_size=_PIECE, read_across_frames=True, closefd=False
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = int(self._reader.readinto(buffer))
        except self._error as error:
            raise errors.InvalidArchive(f"zstd data is damaged: {error}") from error
        if not count and not self._frames.complete:
            raise errors.InvalidArchive("zstd data is truncated")
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()


class _Watched:
    def __init__(self, source: Readable, frames: ZstdFrames) -> None:
        self._source = source
        self._frames = frames

    def read(self, count: int = -1) -> bytes:
        data = self._source.read(count)
        self._frames.feed(data)
        return data


def _decompressor(kind: Compression) -> tuple[Any, tuple[type[Exception], ...]]:
    if kind is Compression.GZIP:
        isal = _optional("isal.isal_zlib")
        if isal is not None:
            return (lambda: isal.decompressobj(_GZIP_WINDOW)), (isal.error, zlib.error)
        return (lambda: zlib.decompressobj(_GZIP_WINDOW)), (zlib.error,)
    if kind is Compression.BZIP2:
        import bz2  # noqa: PLC0415 - only `load` and ADD meet it

        return bz2.BZ2Decompressor, (OSError, ValueError)
    import lzma  # noqa: PLC0415 - likewise

    return (lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)), (lzma.LZMAError,)


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _zstandard() -> Any:
    library = _optional("zstandard")
    if library is None:
        raise errors.Unavailable(
            "cannot read or write zstd: the Python package zstandard is not installed",
            hint="Install it with `pip install zstandard`, or ask for gzip.",
        )
    return library
