r"""One path pattern with `*`, `?`, `[...]`, `\` and `**`, compiled to the cheapest test that decides it.

Source: moby's `patternmatcher`, down to its oddities: a leading `**` compares endings, a trailing one beginnings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs

_WILD = re.compile(r"[*?\[\]\\]")


class BadPatternError(ValueError):
    """A pattern that cannot be read; the text is Go's."""


@attrs.frozen(slots=True)
class PathPattern:
    """A compiled pattern; `regex` finds the paths that match, from their beginning to their end."""

    text: str
    regex: re.Pattern[str]
    match: Callable[[str], bool] = attrs.field(eq=False, repr=False)

    def may_match_below(self, directory: Sequence[str]) -> bool:
        """Whether a path below the directory, given by its parts, could match; True when that is hard to tell."""
        parts = self.text.split("/")
        for index, name in enumerate(directory):
            if index >= len(parts):
                return False
            part = parts[index]
            # `**` crosses directories, and a bracket may hold a slash.
            if "**" in part or "[" in part:
                return True
            if part != name and not (_WILD.search(part) and compile_pattern(part).match(name)):
                return False
        return len(parts) > len(directory)


def compile_pattern(text: str) -> PathPattern:
    """Compile a cleaned pattern; raises `BadPatternError`."""
    _check(text)
    source = _regex(text)
    try:
        regex = re.compile(source)
    except (re.error, OverflowError):
        raise BadPatternError("syntax error in pattern") from None
    return PathPattern(text, regex, _test(text, regex))


def union(patterns: Sequence[PathPattern]) -> Callable[[str], bool]:
    """A test whether any of the patterns matches."""
    if not patterns:
        return lambda _: False
    literals = frozenset(pattern.text for pattern in patterns if not _WILD.search(pattern.text))
    wild = [pattern.regex.pattern for pattern in patterns if _WILD.search(pattern.text)]
    if not wild:
        return literals.__contains__
    match = re.compile("|".join(f"(?:{source})" for source in wild)).match
    return lambda path: path in literals or match(path) is not None


def _test(text: str, regex: re.Pattern[str]) -> Callable[[str], bool]:
    if not _WILD.search(text):
        return text.__eq__
    if text.endswith("/**") and not _WILD.search(text[:-2]):
        prefix = text[:-2]
        return lambda path: path.startswith(prefix)
    if text.startswith("**/") and not _WILD.search(text[2:]):
        ending, name = text[2:], text[3:]
        return lambda path: path.endswith(ending) or path == name
    match = regex.match
    return lambda path: match(path) is not None


def _regex(text: str) -> str:
    """The pattern as a regular expression, made the way moby makes it."""
    out: list[str] = []
    at = 0
    in_class = False
    while at < len(text):
        character = text[at]
        at += 1
        if character == "*" and not in_class:
            piece, at = _star(text, at)
        elif character == "?" and not in_class:
            piece = "[^/]"
        elif character == "\\" and at < len(text):
            piece = re.escape(text[at])
            at += 1
        elif character == "[" and not in_class:
            in_class = True
            piece = "["
        elif character == "]" and in_class:
            in_class = False
            piece = "]"
        elif in_class:
            piece = character if character in "-^" else re.escape(character)
        else:
            piece = re.escape(character)
        out.append(piece)
    return "".join(out) + r"\Z"


def _star(text: str, at: int) -> tuple[str, int]:
    """The expression for a star, or two, that ends before an offset."""
    if not text.startswith("*", at):
        return "[^/]*", at
    leading = at == 1
    at += 1
    if text.startswith("/", at):
        at += 1
        if at < len(text):
            return "(?:.*/)?", at
    if at == len(text):
        return "(?s:.*)", at
    # `**name` at the very beginning compares endings, elsewhere it wants a slash, as if it were `**/name`.
    return ("(?s:.*)" if leading and not _WILD.search(text[at:]) else "(?:.*/)?"), at


def _check(text: str) -> None:
    """Go's `filepath.Match` says what is malformed: an open bracket, an empty one, a lone backslash at the end."""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\":
            if at == len(text):
                raise BadPatternError("syntax error in pattern")
            at += 1
        elif character == "[":
            at = _class_end(text, at)


def _class_end(text: str, at: int) -> int:
    """The offset behind a bracket's end; raises `BadPatternError`."""
    at += text.startswith("^", at)
    ranges = 0
    while not (ranges and text.startswith("]", at)):
        at = _member(text, at)
        if text.startswith("-", at):
            at = _member(text, at + 1)
        ranges += 1
    return at + 1


def _member(text: str, at: int) -> int:
    """The offset behind one character of a bracket."""
    if text.startswith("\\", at):
        at += 1
    elif text[at : at + 1] in ("-", "]"):
        raise BadPatternError("syntax error in pattern")
    if at >= len(text):
        raise BadPatternError("syntax error in pattern")
    return at + 1
