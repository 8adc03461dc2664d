"""Places in a text: positions, spans, and the way between offsets, lines and UTF-16 columns."""

from __future__ import annotations

from bisect import bisect_right

import attrs


@attrs.frozen(slots=True, order=True)
class Position:
    """A place between two characters: 0-based line, 0-based column in code points."""

    line: int
    column: int


@attrs.frozen(slots=True, order=True)
class Span:
    """The text from `start` up to, not including, `end`."""

    start: Position
    end: Position

    def contains(self, position: Position) -> bool:
        """Whether the position touches the span; its end counts, as a cursor behind a word still means the word."""
        return self.start <= position <= self.end


class LineIndex:
    r"""The lines of a text, which end at `\n` alone: a lone `\r` is an ordinary character to a Dockerfile.

    Offsets are code points into the text. Positions outside the text are moved to the nearest place inside.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        starts = [0]
        find = text.find
        at = find("\n") + 1
        while at:
            starts.append(at)
            at = find("\n", at) + 1
        self._starts = starts

    def __len__(self) -> int:
        """How many lines there are; a text that ends with a newline has an empty last line."""
        return len(self._starts)

    def start(self, line: int) -> int:
        """The offset of a line's first character; the text's length for a line behind the last."""
        if line >= len(self._starts):
            return len(self.text)
        return self._starts[max(line, 0)]

    def line(self, line: int) -> str:
        """A line without its line ending; empty for one that does not exist."""
        if not 0 <= line < len(self._starts):
            return ""
        return self.text[self._starts[line] : self.start(line + 1)].rstrip("\r\n")

    def slice(self, first: int, last: int) -> str:
        """The raw text of the lines `first` to `last` inclusive, line endings and all."""
        return self.text[self.start(first) : self.start(last + 1)]

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts, offset) - 1
        return Position(line, offset - self._starts[line])

    def offset(self, position: Position) -> int:
        """The offset of a position."""
        if position.line < 0:
            return 0
        if position.line >= len(self._starts):
            return len(self.text)
        start = self._starts[position.line]
        return min(start + max(position.column, 0), start + len(self.line(position.line)))

    def utf16(self, position: Position) -> int:
        """The column of a position counted in UTF-16 code units, as the Language Server Protocol does."""
        prefix = self.line(position.line)[: max(position.column, 0)]
        return len(prefix) + sum(character > "\uffff" for character in prefix)

    def from_utf16(self, line: int, units: int) -> Position:
        """The position of a UTF-16 column; one inside a surrogate pair means the place before the pair."""
        column = 0
        for character in self.line(line):
            units -= 2 if character > "\uffff" else 1
            if units < 0:
                break
            column += 1
        return Position(line, column)
