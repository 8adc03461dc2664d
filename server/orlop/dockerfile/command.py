"""A logical line cut into keyword, flag words and arguments.

Source: BuildKit's `parser/split_command.go`.
"""

from __future__ import annotations

import re

import attrs

from orlop.dockerfile.blanks import SPACE_CLASS, SPACES

_KEYWORD = re.compile(r"[\t\v\f\r ]*([^\t\v\f\r ]+)[\t\v\f\r ]*")
_SPACES = re.compile(rf"[{SPACE_CLASS}]*")
_PLAIN_FLAG = re.compile(rf"--[^{SPACE_CLASS}'\"\\`]*(?=[{SPACE_CLASS}]|\Z)")


@attrs.frozen(slots=True)
class FlagWord:
    """A word that starts with `--`, without its quotes and escapes; its offsets in the text."""

    text: str
    start: int
    end: int


@attrs.frozen(slots=True)
class Command:
    """The parts of an instruction: its keyword in upper case, and the offsets of keyword and arguments.

    `written` is the keyword as it stands there.
    """

    keyword: str
    written: str
    keyword_start: int
    keyword_end: int
    flags: tuple[FlagWord, ...]
    start: int
    end: int


def split(text: str, start: int, end: int, escape: str) -> Command:
    """Cut the text between two offsets; arguments lose the blanks around them."""
    start, end = _trimmed(text, start, end)
    match = _KEYWORD.match(text, start, end)
    if match is None:
        return Command("", "", start, start, (), start, start)
    written = match.group(1)
    at = match.end()
    flags: tuple[FlagWord, ...] = ()
    if text.startswith("--", at, end):
        flags, at = _flags(text, at, end, escape)
    at = min(at, end)
    at, end = _trimmed(text, at, end)
    return Command(written.upper(), written, match.start(1), match.end(1), flags, at, end)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in SPACES:
        start += 1
    while end > start and text[end - 1] in SPACES:
        end -= 1
    return start, end


def _flags(text: str, at: int, end: int, escape: str) -> tuple[tuple[FlagWord, ...], int]:
    """The flag words from an offset on, and the offset where the arguments start."""
    found: list[FlagWord] = []
    while text.startswith("--", at, end):
        plain = _PLAIN_FLAG.match(text, at, end)
        word = FlagWord(plain.group(), at, plain.end()) if plain else _quoted_flag(text, at, end, escape)
        at = word.end
        if word.text == "--":
            break
        found.append(word)
        spaces = _SPACES.match(text, at, end)
        at = spaces.end() if spaces else at
    return tuple(found), at


def _quoted_flag(text: str, at: int, end: int, escape: str) -> FlagWord:
    start = at
    quote = ""
    out: list[str] = []
    while at < end:
        character = text[at]
        if not quote and character in SPACES:
            break
        at += 1
        if quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == escape:
            # One at the very end vanishes.
            out.append(text[at : min(at + 1, end)])
            at = min(at + 1, end)
        else:
            out.append(character)
    return FlagWord("".join(out), start, at)
