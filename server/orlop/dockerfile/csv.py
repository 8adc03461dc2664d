"""One line of comma-separated values, as `--mount` and `--device` have it: a field may stand in double quotes.

Source: RFC 4180, and the Go package csvvalue that BuildKit reads it with.
"""

from __future__ import annotations

import attrs

_BARE = 'bare " in non-quoted field'
_STRAY = 'extraneous or missing " in quoted field'


class CsvError(ValueError):
    """A line that is no CSV; the text is Go's."""


@attrs.frozen(slots=True)
class Cell:
    """A field without its quotes; `start` and `end` are the offsets of what stands between the commas."""

    text: str
    start: int
    end: int


def split(line: str) -> tuple[Cell, ...]:
    """The fields of a line; raises `CsvError` when it is empty or its quotes do not match."""
    if not line:
        raise CsvError("EOF")
    cells: list[Cell] = []
    at = 0
    while True:
        cell = _quoted(line, at) if line.startswith('"', at) else _plain(line, at)
        cells.append(cell)
        at = cell.end + 1
        if cell.end >= len(line):
            return tuple(cells)


def _plain(line: str, start: int) -> Cell:
    end = line.find(",", start)
    end = len(line) if end < 0 else end
    text = line[start:end]
    if '"' in text:
        raise CsvError(f"parse error on line 1, column {start + text.index(chr(34)) + 1}: {_BARE}")
    return Cell(text, start, end)


def _quoted(line: str, start: int) -> Cell:
    text = ""
    at = start + 1
    while True:
        end = line.find('"', at)
        if end < 0:
            raise CsvError(f"parse error on line 1, column {len(line) + 1}: {_STRAY}")
        text += line[at:end]
        at = end + 1
        if line.startswith('"', at):
            text += '"'
            at += 1
        elif at == len(line) or line[at] == ",":
            return Cell(text, start, at)
        else:
            raise CsvError(f"parse error on line 1, column {at}: {_STRAY}")
