"""What every reader works on: one command, its words on demand, and the problems found so far."""

from __future__ import annotations

from orlop.dockerfile import flags as flag_words
from orlop.dockerfile import jsonform, words
from orlop.dockerfile.command import Command
from orlop.dockerfile.flags import Flags
from orlop.dockerfile.instructions import Source
from orlop.dockerfile.jsonform import JsonString
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem, error, warning
from orlop.dockerfile.scanner import LogicalLine
from orlop.dockerfile.words import Word

# BuildKit does not look at the flags of these.
_FLAGS_UNREAD = frozenset({"ARG", "STOPSIGNAL"})


class Reading:
    """One instruction while it is read."""

    def __init__(self, line: LogicalLine, command: Command, escape: str) -> None:
        self.line = line
        self.command = command
        self.escape = escape
        self.keyword = command.keyword
        self.flags: Flags = flag_words.read(line, command.keyword, command.flags)
        self.problems: list[Problem] = []
        if self.flags.problems and self.keyword not in _FLAGS_UNREAD:
            self.problems += self.flags.problems

    @property
    def text(self) -> str:
        """The arguments."""
        return self.line.text[self.command.start : self.command.end]

    @property
    def source(self) -> Source:
        """The common part of the instruction."""
        command = self.command
        return Source(
            self.line, command.keyword, command.written, command.keyword_start, command.keyword_end, command.start,
            command.end, self.flags.items,
        )  # fmt: skip

    @property
    def found(self) -> tuple[Problem, ...]:
        """The problems so far."""
        return tuple(self.problems)

    def whole(self) -> Word:
        """The arguments as one word."""
        return words.whole(self.line, self.command.start, self.command.end)

    def nothing(self) -> Word:
        """An empty word at the end, for one that is missing."""
        end = max(self.command.end, self.command.keyword_end)
        return Word("", self.line, end, end)

    def blank_words(self) -> tuple[Word, ...]:
        """The arguments split at blanks."""
        return words.split_blanks(self.line, self.command.start, self.command.end)

    def shell_words(self) -> tuple[Word, ...]:
        """The arguments split at blanks outside quotes."""
        return words.split_shell(self.line, self.command.start, self.command.end, self.escape)

    def json(self, start: int | None = None) -> tuple[JsonString, ...] | None:
        """The elements when the arguments, or those from an offset on, are a JSON array of strings."""
        start = self.command.start if start is None else start
        line = self.line
        if line.text[start : start + 1] != "[":
            return None
        text = line.text[start : self.command.end]
        try:
            items = jsonform.parse(text)
        except jsonform.NotStringsError as wrong:
            hint = "Put every element in double quotes."
            self.problems.append(error("json-not-strings", str(wrong), line.span(start, self.command.end), hint))
            return None
        if items is None and jsonform.has_single_quotes(text):
            message = "this is no JSON, since JSON knows double quotes only, and is read as shell form"
            hint = "Use double quotes."
            self.problems.append(warning("json-single-quotes", message, line.span(start, self.command.end), hint))
        return items

    def json_or_blank_words(self) -> tuple[Word, ...]:
        """The elements of a JSON array, else the arguments split at blanks."""
        items = self.json()
        if items is not None:
            return words.from_json(self.line, self.command.start, items)
        return self.blank_words()

    def keyword_span(self) -> Span:
        """Where the keyword stands."""
        return self.line.span(self.command.keyword_start, self.command.keyword_end)

    def span(self) -> Span:
        """Where the instruction stands."""
        return self.line.span(self.command.keyword_start, max(self.command.end, self.command.keyword_end))

    def fail(self, code: str, message: str, span: Span | None = None, hint: str | None = None) -> None:
        """Note an error; without a span it is about the whole instruction."""
        self.problems.append(error(code, message, span or self.span(), hint))

    def require_one(self) -> None:
        """Note that the one argument is missing, if it is."""
        if self.command.start == self.command.end:
            self.fail("argument-count", f"{self.keyword} requires exactly one argument")

    def require_some(self) -> None:
        """Note that there is no argument."""
        self.fail("argument-count", f"{self.keyword} requires at least one argument")
