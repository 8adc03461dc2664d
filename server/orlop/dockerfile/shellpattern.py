r"""Patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*`, `?` and `\`, without brackets.

Source: POSIX.1-2017, 2.13 Pattern Matching Notation, as BuildKit's `shell/lex.go` reads it.
"""

from __future__ import annotations

import re


class PatternError(ValueError):
    """A pattern that cannot be read."""


def trim_prefix(pattern: str, value: str, *, longest: bool) -> str:
    """The value without the shortest, or longest, beginning that matches; raises `PatternError`."""
    match = _compile(pattern, greedy=longest).match(value)
    return value[match.end() :] if match else value


def trim_suffix(pattern: str, value: str, *, longest: bool) -> str:
    """The value without the shortest, or longest, end that matches; raises `PatternError`."""
    # Read backwards, so that "shortest" is again a matter of the first match.
    match = _compile(_reversed(pattern), greedy=longest).match(value[::-1])
    return value[: len(value) - match.end()] if match else value


def replace(pattern: str, replacement: str, value: str, *, every: bool) -> str:
    """The value with the first match, or every one, replaced; raises `PatternError`."""
    regex = _compile(pattern, greedy=True)
    if not every:
        match = regex.search(value)
        return value[: match.start()] + replacement + value[match.end() :] if match else value
    parts: list[str] = []
    end = -1
    copied = 0
    for match in regex.finditer(value):
        # An empty match right behind another does not count, unlike in Python's own `sub`.
        if match.start() == match.end() == end:
            continue
        parts += value[copied : match.start()], _template(replacement, match.group())
        copied = end = match.end()
    return "".join(parts) + value[copied:]


def _compile(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    bad = _bad_escape(pattern)
    if bad is not None:
        raise PatternError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{bad}'")
    star = ".*" if greedy else ".*?"
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if parts[-1:] != [star]:
                parts.append(star)
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts))


def _bad_escape(pattern: str) -> str | None:
    """The character behind a backslash that may not stand there; the replacement character for a lone backslash."""
    for match in re.finditer(r"\\(.?)", pattern, re.DOTALL):
        if match.group(1) not in ("*", "?", "\\", "}", "/"):
            return match.group(1) or "\ufffd"
    return None


def _reversed(pattern: str) -> str:
    r"""The pattern backwards, with each backslash still before the character it protects."""
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "".join(reversed(tokens))


def _template(replacement: str, whole: str) -> str:
    """The replacement as Go's regexp reads it: `$$` is a dollar, `$0` the match, other groups do not exist."""
    if "$" not in replacement:
        return replacement

    def stand_in(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name is None:
            return "$"
        return whole if name == "0" else ""

    return re.sub(r"\$(?:\$|\{(\w+)\}|(\w+))", stand_in, replacement)
