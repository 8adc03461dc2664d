r"""Go's `filepath.Match` for one path component, as COPY and ADD sources use it.

`*` any characters, `?` one, `[a-z]` `[^a-z]` a class, `\` protects the next character. There is no `**`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAGIC = frozenset("*?[\\")


class BadPatternError(ValueError):
    """The pattern has an unclosed class, an empty class or a trailing backslash."""


def is_magic(component: str) -> bool:
    """Whether the component must be matched rather than looked up."""
    return not MAGIC.isdisjoint(component)


def has_wildcard(pattern: str) -> bool:
    """Whether a miss of this pattern is no error: BuildKit's test for `*`, `?` and `[` that are not escaped."""
    position = 0
    while position < len(pattern):
        if pattern[position] == "\\":
            position += 1
        elif pattern[position] in "*?[":
            return True
        position += 1
    return False


def matcher(component: str) -> Callable[[str], bool]:
    """A predicate over names; raises `BadPatternError`."""
    expression = re.compile(_translate(component), re.DOTALL)
    return lambda name: expression.fullmatch(name) is not None


def _translate(pattern: str) -> str:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[":
            part, position = _class(pattern, position)
            parts.append(part)
        elif character == "\\":
            if position == len(pattern):
                raise BadPatternError("syntax error in pattern")
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return "".join(parts)


def _class(pattern: str, position: int) -> tuple[str, int]:
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[str] = []
    while pattern[position : position + 1] != "]" or not ranges:
        low, position = _member(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            high, position = _member(pattern, position + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    inside = "".join(ranges)
    if not inside:
        return ("." if negated else r"(?!)"), position + 1
    return f"[{'^' if negated else ''}{inside}]", position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
    elif character in ("-", "]"):
        raise BadPatternError("syntax error in pattern")
    if not character or position + 1 >= len(pattern):
        raise BadPatternError("syntax error in pattern")
    return character, position + 1
