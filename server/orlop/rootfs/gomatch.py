r"""File name patterns as Go's `filepath.Match` reads them, one component at a time; no `re`, since workers are lean.

`*` any characters, `?` one, `[a-z]` and `[^a-z]` a class, `\` takes the next character as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[str], bool]

_STAR: Test | None = None


class BadPatternError(ValueError):
    """The pattern has an open or empty class, or ends with a backslash."""


def has_pattern(text: str) -> bool:
    """Whether a source may name several files, so that naming none is no error: it has a bare `*`, `?` or `[`."""
    position = 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] in "*?[":
            return True
        position += 1
    return False


class Pattern:
    """One component of a pattern, compiled; raises `BadPatternError`."""

    __slots__ = ("_tests",)

    def __init__(self, text: str) -> None:
        self._tests: list[Test | None] = []
        position = 0
        while position < len(text):
            position = self._add(text, position)

    def match(self, name: str) -> bool:
        """Whether a whole name fits."""
        tests = self._tests
        at = index = 0
        # Only the last star matters when something after it does not fit: let it take one character more.
        star, resume = -1, 0
        while at < len(name):
            if index < len(tests) and tests[index] is _STAR:
                star, resume = index, at
                index += 1
                continue
            test = tests[index] if index < len(tests) else None
            if test is not None and test(name[at]):
                at += 1
                index += 1
            elif star >= 0:
                resume += 1
                at, index = resume, star + 1
            else:
                return False
        return all(test is _STAR for test in tests[index:])

    def _add(self, text: str, position: int) -> int:
        character = text[position]
        position += 1
        if character == "*":
            self._tests.append(_STAR)
        elif character == "?":
            self._tests.append(lambda _: True)
        elif character == "[":
            test, position = _class(text, position)
            self._tests.append(test)
        else:
            if character == "\\":
                if position == len(text):
                    raise BadPatternError("syntax error in pattern")
                character = text[position]
                position += 1
            self._tests.append(character.__eq__)
        return position


def _class(text: str, position: int) -> tuple[Test, int]:
    negated = text.startswith("^", position)
    position += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and text.startswith("]", position)):
        low, position = _member(text, position)
        high = low
        if text.startswith("-", position):
            high, position = _member(text, position + 1)
        ranges.append((low, high))
    return (lambda character: any(low <= character <= high for low, high in ranges) != negated), position + 1


def _member(text: str, position: int) -> tuple[str, int]:
    character = text[position : position + 1]
    if character in ("-", "]"):
        raise BadPatternError("syntax error in pattern")
    if character == "\\":
        position += 1
        character = text[position : position + 1]
    if not character or position + 1 >= len(text):
        raise BadPatternError("syntax error in pattern")
    return character, position + 1


class Excludes:
    """Rules of `--exclude` in order, each (takes back?, regular expression); the last one that fits decides.

    A rule that fits a directory fits everything below it. Made of `excludes.compiled`.
    """

    __slots__ = ("_rules", "take_back")

    def __init__(self, rules: list[tuple[bool, str]]) -> None:
        # Loaded by the few copies that need it, in a child that never enters an image's root.
        import re  # noqa: PLC0415

        self._rules = [(negated, re.compile(expression).match) for negated, expression in rules]
        self.take_back = any(negated for negated, _ in rules)

    def leaves_out(self, path: str) -> bool:
        """Whether a path relative to the source is left out."""
        parts = path.split("/")
        prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        result = False
        for negated, match in self._rules:
            if result == negated and any(match(prefix) for prefix in prefixes):
                result = not negated
        return result
