"""Words of an instruction with their places: split at blanks, split with quotes, or from a JSON array.

Source: BuildKit's `parser/line_parsers.go`. Words are raw: quotes and variables in them are `expand`'s business.
"""

from __future__ import annotations

import re

import attrs

from orlop.dockerfile.blanks import SPACE_CLASS, SPACES
from orlop.dockerfile.jsonform import JsonString
from orlop.dockerfile.position import Span
from orlop.dockerfile.scanner import LogicalLine

_BLANKS = r"\t\v\f\r "
_PLAIN = re.compile(rf"[^{_BLANKS}]+")
_FIRST_AND_REST = re.compile(rf"([^{_BLANKS}]*)[{_BLANKS}]+(.*)", re.DOTALL)
_SHELL = re.compile(rf"[^{SPACE_CLASS}]+")
_QUOTING = re.compile(r"['\"\\`]")


@attrs.frozen(slots=True)
class Word:
    """A piece of an instruction before expansion, and its offsets in the instruction's line."""

    text: str
    line: LogicalLine = attrs.field(repr=False)
    start: int
    end: int

    @property
    def span(self) -> Span:
        """Where the piece stands in the file."""
        return self.line.span(self.start, self.end)

    def part(self, start: int, end: int) -> Span:
        """Where a part of the text stands; the whole when quotes or escapes set text and source apart."""
        exact = self.line.text.startswith(self.text, self.start) and self.end - self.start == len(self.text)
        return self.line.span(self.start + start, self.start + end) if exact else self.span


def whole(line: LogicalLine, start: int, end: int) -> Word:
    """The text between two offsets of the line as one word."""
    return Word(line.text[start:end], line, start, end)


def split_blanks(line: LogicalLine, start: int, end: int) -> tuple[Word, ...]:
    """Words between blanks; quotes mean nothing."""
    return tuple([Word(match.group(), line, *match.span()) for match in _PLAIN.finditer(line.text, start, end)])


def from_json(line: LogicalLine, start: int, items: tuple[JsonString, ...]) -> tuple[Word, ...]:
    """The elements of a JSON array that starts at an offset of the line; spans include the quotes."""
    return tuple([Word(item.text, line, start + item.start, start + item.end) for item in items])


def first_and_rest(line: LogicalLine, start: int, end: int) -> tuple[Word, Word] | None:
    """The first word and all behind the blanks after it; None when nothing is there."""
    match = _FIRST_AND_REST.match(line.text, start, end)
    if match is None:
        return None
    return whole(line, *match.span(1)), whole(line, *match.span(2))


def split_shell(line: LogicalLine, start: int, end: int, escape: str) -> tuple[Word, ...]:
    """Words between blanks outside quotes, quotes kept.

    An escaped blank joins, an escape character at the very end is dropped, and in single quotes nothing is special.
    """
    text = line.text
    if not _QUOTING.search(text, start, end):
        return tuple([Word(match.group(), line, *match.span()) for match in _SHELL.finditer(text, start, end)])
    pattern = _WORD[escape]
    found: list[Word] = []
    at = start
    while at < end:
        if text[at] in SPACES:
            at += 1
            continue
        match = pattern.match(text, at, end)
        assert match is not None, "the pattern matches everywhere"
        stop = match.end()
        # An escape character at the very end has nothing to protect and is dropped.
        word = text[at:stop] if match.group(1) is None else text[at : stop - 1]
        if word:
            found.append(Word(word, line, at, stop))
        at = stop
    return tuple(found)


def _word_pattern(escape: str) -> re.Pattern[str]:
    """One word up to a blank outside quotes; a quote that is not closed goes on to the end."""
    mark = re.escape(escape)
    single = r"'[^']*(?:'|\Z)"
    double = rf'"(?:[^"{mark}]+|{mark}.)*(?:"|(?={mark}\Z)|\Z)'
    plain = rf"[^{SPACE_CLASS}'\"{mark}]+"
    return re.compile(rf"(?:{plain}|{mark}.|{single}|{double})*({mark}\Z)?", re.DOTALL)


_WORD = {escape: _word_pattern(escape) for escape in ("\\", "`")}
