r"""Physical lines to logical lines: continuations joined, comments and blank lines set apart, bodies attached.

Source: BuildKit's `parser/parser.go`. Only the first line of an instruction loses its leading blanks; comment lines
inside a continued instruction vanish without ending it, blank ones too; a body of a here-document is taken as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

import attrs

from orlop.dockerfile import heredoc
from orlop.dockerfile.blanks import SPACE
from orlop.dockerfile.directives import Directives
from orlop.dockerfile.heredoc import Heredoc
from orlop.dockerfile.position import LineIndex, Position, Span
from orlop.dockerfile.problems import Problem, error

MAX_LINE = 65535
BOM = "\ufeff"

Kind = Literal["directive", "comment", "blank", "instruction"]


@attrs.frozen(slots=True)
class LogicalLine:
    """An instruction's text with its continuations joined, and the way back to where each part stood.

    `pieces` are (offset in `text`, line, column). `last` is the last line of the instruction itself, `end` that of its
    here-documents; `comments` the texts of the comments above it; all lines 0-based.
    """

    text: str
    first: int
    last: int
    end: int
    pieces: tuple[tuple[int, int, int], ...]
    comments: tuple[str, ...] = ()
    blank_lines: tuple[int, ...] = ()
    comment_lines: tuple[int, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    def position(self, offset: int) -> Position:
        """Where the character at an offset of `text` stands in the file."""
        pieces = self.pieces
        at = bisect_right(pieces, offset, key=_offset) - 1 if len(pieces) > 1 else 0
        start, line, column = pieces[at]
        return Position(line, column + offset - start)

    def span(self, start: int, end: int) -> Span:
        """Where a part of `text` stands in the file; its end is counted with the piece of its last character."""
        if len(self.pieces) == 1:
            offset, line, column = self.pieces[0]
            column -= offset
            return Span(Position(line, column + start), Position(line, column + end))
        first = self.position(start)
        if end <= start:
            return Span(first, first)
        last = self.position(end - 1)
        return Span(first, Position(last.line, last.column + 1))

    @property
    def whole(self) -> Span:
        """The instruction from its keyword to its last character, without here-documents."""
        return self.span(0, max(len(self.text.rstrip(SPACE)), 0))


@attrs.frozen(slots=True)
class Part:
    """A stretch of whole lines of one kind, `first` to `last` inclusive, 0-based; `line` for instructions."""

    kind: Kind
    first: int
    last: int
    line: LogicalLine | None = None


@attrs.frozen(slots=True)
class Scan:
    """All parts of a text in order, none left out, and what is wrong at this level."""

    parts: tuple[Part, ...]
    problems: tuple[Problem, ...]


def scan(index: LineIndex, directives: Directives) -> Scan:
    """Cut a text into its parts."""
    return _Scanner(index, directives).run()


class _Scanner:
    def __init__(self, index: LineIndex, directives: Directives) -> None:
        self.lines = index.text.split("\n")
        self.terminated = index.text.endswith("\n")
        if self.terminated:
            self.lines.pop()
        if index.text == "":
            self.lines = []
        self.directives = {item.line for item in directives.items}
        self.escape = directives.escape
        self.at = 0
        self.comments: list[str] = []
        self.problems: list[Problem] = []

    def run(self) -> Scan:
        parts: list[Part] = []
        self._check_lengths()
        while self.at < len(self.lines):
            line = self.at
            raw = self.lines[line]
            text = raw.rstrip("\r")
            if line == 0 and text.startswith(BOM):
                text = text[1:]
            stripped = text.lstrip(SPACE)
            if not stripped:
                self.at += 1
                parts.append(Part("blank", line, line))
            elif stripped[0] == "#":
                self.at += 1
                if line in self.directives:
                    parts.append(Part("directive", line, line))
                else:
                    self._note_comment(stripped)
                    parts.append(Part("comment", line, line))
            else:
                logical = self._instruction(stripped, len(raw.rstrip("\r")) - len(stripped))
                parts.append(Part("instruction", line, logical.end, logical))
        return Scan(tuple(parts), tuple(self.problems))

    def _note_comment(self, stripped: str) -> None:
        text = stripped[1:].strip(SPACE)
        if text:
            self.comments.append(text)
        else:
            self.comments.clear()

    def _instruction(self, text: str, column: int) -> LogicalLine:
        """The instruction that starts at the current line, from its first character that is not blank."""
        first = self.at
        self.at += 1
        text, ended = self._cut(text)
        pieces = [(0, first, column)]
        blanks: list[int] = []
        inner: list[int] = []
        if not ended:
            texts = [text]
            length = len(text)
            while not ended and self.at < len(self.lines):
                line = self.at
                piece = self.lines[line].rstrip("\r")
                self.at += 1
                stripped = piece.lstrip(SPACE)
                if not stripped:
                    blanks.append(line)
                elif stripped[0] == "#":
                    inner.append(line)
                else:
                    piece, ended = self._cut(piece)
                    pieces.append((length, line, 0))
                    texts.append(piece)
                    length += len(piece)
            text = "".join(texts)
        last = self.at - 1
        comments = tuple(self.comments)
        self.comments.clear()
        logical = LogicalLine(text, first, last, last, tuple(pieces), comments, tuple(blanks), tuple(inner))
        if "<<" not in text:
            return logical
        documents = self._bodies(logical)
        return attrs.evolve(logical, heredocs=documents, end=self.at - 1)

    def _cut(self, text: str) -> tuple[str, bool]:
        """The line without its continuation mark, and whether it ends the instruction."""
        escape = self.escape
        if escape not in text:
            return text, True
        bare = text.rstrip(" \t")
        if bare[-1:] != escape or bare[-2:-1] == escape:
            return text, True
        return bare[:-1], False

    def _bodies(self, line: LogicalLine) -> tuple[Heredoc, ...]:
        """Take the lines that belong to the here-documents the instruction opens."""
        documents: list[Heredoc] = []
        for start in heredoc.find_starts(line.text, self.escape):
            first = self.at
            found = False
            while self.at < len(self.lines) and not found:
                text = self.lines[self.at].rstrip("\r")
                found = (text.lstrip("\t") if start.strip_tabs else text) == start.name
                self.at += 1
            if not found:
                span = line.span(start.start, start.end)
                hint = f"End the body with a line that holds {start.name} alone."
                self.problems.append(error("unterminated-heredoc", "unterminated heredoc", span, hint))
            end = self.at - 1 if found else self.at
            documents.append(
                Heredoc(
                    name=start.name,
                    source=line.text[start.start : start.end],
                    body="".join(text + "\n" for text in self.lines[first:end]) if found else self._rest(first),
                    expand=start.expand,
                    strip_tabs=start.strip_tabs,
                    file_descriptor=start.file_descriptor,
                    span=line.span(start.start, start.end),
                    body_span=Span(Position(first, 0), Position(end, 0)),
                )
            )
        return tuple(documents)

    def _rest(self, first: int) -> str:
        text = "\n".join(self.lines[first:])
        return text + "\n" if self.terminated and text else text

    def _check_lengths(self) -> None:
        for line, text in enumerate(self.lines):
            # A code point has at most four bytes.
            if len(text) * 4 > MAX_LINE and len(text.encode("utf-8", "surrogatepass")) > MAX_LINE:
                message = f"dockerfile line greater than max allowed size of {MAX_LINE}"
                span = Span(Position(line, 0), Position(line, len(text)))
                self.problems.append(error("line-too-long", message, span, "Split the line with continuations."))


def _offset(piece: tuple[int, int, int]) -> int:
    return piece[0]
