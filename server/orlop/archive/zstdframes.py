"""Follows the frames of a zstd stream without decompressing them, to know whether it ends where a frame ends.

RFC 8878, section 3.1.
"""

from __future__ import annotations

_SKIPPABLE = 0x184D2A50
_RLE = 1
_CONTENT_SIZES = (0, 2, 4, 8)
_DICTIONARY_SIZES = (0, 1, 2, 4)


class ZstdFrames:
    """Fed with a stream's bytes in any pieces; wrong bytes are not its business, a decompressor refuses them."""

    __slots__ = ("_checksum", "_header", "_next", "_skip", "_wanted", "complete")

    def __init__(self) -> None:
        self._header = b""
        self._skip = 0
        self._checksum = 0
        self._expect("magic", 4)
        self.complete = True
        """Whether what was fed so far ends with a frame."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        position = 0
        end = len(data)
        while position < end:
            if self._skip:
                step = min(self._skip, end - position)
                self._skip -= step
                position += step
                if not self._skip and self._next == "magic":
                    self.complete = True
                continue
            taken = data[position : position + self._wanted - len(self._header)]
            self._header += taken
            position += len(taken)
            self.complete = False
            if len(self._header) == self._wanted:
                header, self._header = self._header, b""
                self._take(header)

    def _expect(self, what: str, size: int) -> None:
        self._next = what
        self._wanted = size

    def _take(self, header: bytes) -> None:
        value = int.from_bytes(header, "little")
        match self._next:
            case "magic":
                if value & 0xFFFFFFF0 == _SKIPPABLE:
                    self._expect("length", 4)
                else:
                    self._expect("descriptor", 1)
            case "length":
                self._after(value, last=True)
            case "descriptor":
                single = value >> 5 & 1
                size = _CONTENT_SIZES[value >> 6] or single
                self._checksum = 4 * (value >> 2 & 1)
                self._skip = (not single) + _DICTIONARY_SIZES[value & 3] + size
                self._expect("block", 3)
            case _:
                kind, size = value >> 1 & 3, value >> 3
                last = bool(value & 1)
                self._after((1 if kind == _RLE else size) + (self._checksum if last else 0), last=last)

    def _after(self, size: int, *, last: bool) -> None:
        self._skip = size
        self._expect(*(("magic", 4) if last else ("block", 3)))
        self.complete = last and not size
