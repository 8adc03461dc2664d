"""What images, registries and programs call themselves must not steer the terminal it is shown on.

Everything a command says goes through here, for `main` puts these streams in the place of `sys.stdout` and
`sys.stderr`; the output of a container's program, and our own drawing, go by `raw`.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

# C0 but for tab and line feed, delete, C1, and the marks that turn the direction of text (Unicode, UAX #9).
_STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BREAKING = re.compile("[\t\n]")
_NAMED = {"\t": "\\t", "\n": "\\n"}


def text(raw_text: str) -> str:
    r"""`raw_text` with control characters spelled out: `\x1b`, `\u009b`. JSON stays JSON, and means the same."""
    return _STEERING.sub(_spelled, raw_text) if not raw_text.isprintable() else raw_text


def cell(raw_text: str) -> str:
    r"""The same on one line and in one column: line feeds and tabs become `\n` and `\t`."""
    return _BREAKING.sub(lambda found: _NAMED[found[0]], text(raw_text)) if not raw_text.isprintable() else raw_text


class Stream:
    """A text stream that writes harmless text alone, otherwise like the one below."""

    def __init__(self, below: TextIO) -> None:
        self.below = below

    def write(self, raw_text: str) -> int:
        """Write what is left of it without control characters."""
        return self.below.write(text(raw_text))

    def writelines(self, lines: Any) -> None:
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


def raw(stream: TextIO) -> TextIO:
    """The stream below, for a program's own output and for drawing; whoever uses it makes the rest harmless."""
    return stream.below if isinstance(stream, Stream) else stream


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """`sys.stdout` and `sys.stderr` harmless for the time being."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", Stream(raw(each))) for each in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"
