"""Flags of an instruction, `--name[=value]`, checked against what the instruction knows.

Source: BuildKit's `instructions/bflag.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from orlop.dockerfile.command import FlagWord
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem, error, misspelled
from orlop.dockerfile.scanner import LogicalLine
from orlop.dockerfile.words import Word

Kind = Literal["bool", "string", "strings"]

# What each instruction takes, besides those that take none.
FLAGS: Mapping[str, Mapping[str, Kind]] = {
    "FROM": {"platform": "string"},
    "RUN": {"mount": "strings", "network": "string", "security": "string", "device": "strings"},
    "COPY": {
        "from": "string", "chown": "string", "chmod": "string", "link": "bool", "parents": "bool", "exclude": "strings",
    },
    "ADD": {
        "chown": "string", "chmod": "string", "link": "bool", "keep-git-dir": "bool", "checksum": "string",
        "unpack": "bool", "exclude": "strings",
    },
    "HEALTHCHECK": {
        "interval": "string", "timeout": "string", "start-period": "string", "start-interval": "string",
        "retries": "string",
    },
}  # fmt: skip


@attrs.frozen(slots=True)
class Flag:
    """One flag as written; `value` is None without a `=`.

    `start` and `end` are the flag's offsets in the instruction's line, `cut` that of its `=` or its end.
    """

    name: str
    value: str | None
    line: LogicalLine = attrs.field(repr=False)
    start: int
    cut: int
    end: int

    @property
    def span(self) -> Span:
        """The flag."""
        return self.line.span(self.start, self.end)

    @property
    def name_span(self) -> Span:
        """The name with its dashes."""
        return self.line.span(self.start, self.cut)

    @property
    def value_span(self) -> Span:
        """The value; empty, at the end, when there is none."""
        return self.line.span(min(self.cut + 1, self.end), self.end)

    @property
    def word(self) -> Word:
        """The value as a word."""
        return Word(self.value or "", self.line, min(self.cut + 1, self.end), self.end)


@attrs.frozen(slots=True)
class Flags:
    """The flags of one instruction and what is wrong with them; those in error count for nothing."""

    items: tuple[Flag, ...] = ()
    valid: tuple[Flag, ...] = ()
    problems: tuple[Problem, ...] = ()

    def one(self, name: str) -> Word | None:
        """The value of a flag, None when absent."""
        for flag in self.valid:
            if flag.name == name:
                return flag.word
        return None

    def many(self, name: str) -> tuple[Word, ...]:
        """Every value of a flag that may be repeated."""
        return tuple([flag.word for flag in self.valid if flag.name == name])

    def switch(self, name: str) -> bool | None:
        """Whether a boolean flag is on, None when absent."""
        word = self.one(name)
        return None if word is None else word.text.lower() != "false"


def read(line: LogicalLine, keyword: str, given: tuple[FlagWord, ...]) -> Flags:
    """The flags of an instruction."""
    if not given:
        return _NONE
    known = FLAGS.get(keyword, {})
    items: list[Flag] = []
    valid: list[Flag] = []
    problems: list[Problem] = []
    for word in given:
        flag = _flag(line, word)
        items.append(flag)
        problem = _check(flag, known, valid)
        if problem is None:
            valid.append(flag)
        else:
            problems.append(problem)
    return Flags(tuple(items), tuple(valid), tuple(problems))


_NONE = Flags()


def _flag(line: LogicalLine, word: FlagWord) -> Flag:
    name, equals, value = word.text[2:].partition("=")
    cut = line.text.find("=", word.start, word.end) if equals else word.end
    return Flag(name, value if equals else None, line, word.start, word.end if cut < 0 else cut, word.end)


def _check(flag: Flag, known: Mapping[str, Kind], before: list[Flag]) -> Problem | None:
    shown = f"--{flag.name}"
    kind = known.get(flag.name)
    if kind is None:
        return misspelled("unknown-flag", f"unknown flag: {shown}", flag.name_span, flag.name, known, fold=False)
    if kind != "strings" and any(other.name == flag.name for other in before):
        return error("duplicate-flag", f"duplicate flag specified: {shown}", flag.span, "Keep one of them.")
    if kind == "bool":
        if flag.value == "":
            return error("flag-without-value", f"missing a value on flag: {shown}", flag.span)
        if flag.value is not None and flag.value.lower() not in ("true", "false"):
            message = f"expecting boolean value for flag {shown}, not: {flag.value}"
            return error("flag-not-boolean", message, flag.value_span, "Use true or false.")
    elif flag.value is None:
        hint = f"Write {shown}=VALUE."
        return error("flag-without-value", f"missing a value on flag: {shown}", flag.span, hint)
    return None
