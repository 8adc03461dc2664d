"""The bytes on an attach socket: kind (1 byte), length (4 bytes, big-endian), payload.

To the shim: STDIN, RESIZE, CLOSE_STDIN, SIGNAL. From it: STDOUT, STDERR, EXIT (the last one).
"""

from __future__ import annotations

from struct import pack, unpack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN, STDOUT, STDERR, RESIZE, CLOSE_STDIN, SIGNAL, EXIT = 0, 1, 2, 3, 4, 5, 9
LARGEST = 1 << 20
_HEAD = 5


class BadFrame(ValueError):
    """The peer does not speak this protocol."""


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return pack(">BI", kind, len(payload)) + payload


def resize(columns: int, rows: int) -> bytes:
    """The frame that tells the terminal's size in characters."""
    return encode(RESIZE, pack(">HH", columns, rows))


def size_of(payload: bytes) -> tuple[int, int]:
    """(columns, rows) of a RESIZE payload."""
    if len(payload) != 4:
        raise BadFrame("a size has four bytes")
    columns, rows = unpack(">HH", payload)
    return columns, rows


def exit_frame(code: int) -> bytes:
    """The last frame: the exit code."""
    return encode(EXIT, pack(">i", code))


def code_of(payload: bytes) -> int:
    """The exit code of an EXIT payload."""
    if len(payload) != 4:
        raise BadFrame("an exit code has four bytes")
    return int(unpack(">i", payload)[0])


class Decoder:
    """Frames out of a stream that arrives in any pieces."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add bytes and yield the frames that are complete; raises `BadFrame` for one that is too large."""
        self._pending += data
        while len(self._pending) >= _HEAD:
            kind, length = unpack_from(">BI", self._pending)
            if length > LARGEST:
                raise BadFrame(f"a frame of {length} bytes")
            if len(self._pending) < _HEAD + length:
                return
            payload = bytes(self._pending[_HEAD : _HEAD + length])
            del self._pending[: _HEAD + length]
            yield kind, payload
