"""Words of an instruction with their places: split at blanks, split with quotes, or from a JSON array.

Source: BuildKit's `parser/line_parsers.go`. Words are raw: quotes and variables in them are `expand`'s business.
"""

from __future__ import annotations

import re

import attrs

from orlop.dockerfile.blanks import SPACE_CLASS
from orlop.dockerfile.jsonform import JsonString
from orlop.dockerfile.position import Span
from orlop.dockerfile.scanner import LogicalLine

_BLANKS = r"\t\v\f\r "
_PLAIN = re.compile(rf"[^{_BLANKS}]+")
_FIRST_AND_REST = re.compile(rf"([^{_BLANKS}]*)[{_BLANKS}]+(.*)", re.DOTALL)
_SHELL = re.compile(rf"[^{SPACE_CLASS}]+")
_QUOTING = re.compile(r"['\"\\`]")
_SPACE = re.compile(rf"[{SPACE_CLASS}]")


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
    found: list[Word] = []
    at = start
    while at < end:
        if _SPACE.match(text[at]):
            at += 1
            continue
        stop, dropped = _word_end(text, at, end, escape)
        word = text[at:stop]
        found.append(Word(word[:-1] if dropped else word, line, at, stop))
        at = stop
    return tuple([word for word in found if word.text])


def _word_end(text: str, at: int, end: int, escape: str) -> tuple[int, bool]:
    """Where the word that starts at an offset ends, and whether its last character is an escape to be dropped."""
    quote = ""
    while at < end:
        character = text[at]
        if not quote and _SPACE.match(character):
            break
        if quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == escape and quote != "'":
            if at + 1 == end:
                return end, True
            at += 1
        at += 1
    return min(at, end), False
