"""`.dockerignore`: which paths of a build context stay outside.

Source: the Dockerfile reference, ".dockerignore file"; moby's `patternmatcher` and `ignorefile`, and the walk of
BuildKit's `fsutil`. Unlike `.gitignore`: patterns start at the root, the last line that matches wins, what matches a
directory matches everything below it, and `!` may bring back a path whose parents are ignored.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

import attrs

from orlop.dockerfile import pathpattern
from orlop.dockerfile.pathpattern import PathPattern
from orlop.dockerfile.position import Position, Span
from orlop.dockerfile.problems import Problem, error

_BOM = "\ufeff"


@attrs.frozen(slots=True)
class IgnorePattern:
    """One line: `line` is 1-based, `text` as written without the blanks around it."""

    line: int
    text: str
    negated: bool
    path: PathPattern


@attrs.frozen(slots=True)
class IgnoreMatch:
    """The verdict on a path, with the line that decided it; no line when none matched."""

    ignored: bool
    line: int | None
    pattern: str | None


def parse_ignore(text: str) -> IgnoreFile:
    """Read an ignore file; bad lines become `problems` and match nothing."""
    lines = text.removeprefix(_BOM).split("\n")
    shift = len(_BOM) if text.startswith(_BOM) else 0
    return _read([(number, line, shift if number == 1 else 0) for number, line in enumerate(lines, 1)], comments=True)


def from_patterns(patterns: Iterable[str]) -> IgnoreFile:
    """The same from patterns that are no file, as `--exclude` gives them: `#` starts no comment."""
    return _read([(number, pattern, 0) for number, pattern in enumerate(patterns, 1)], comments=False)


class IgnoreFile:
    """The lines of an ignore file, ready to be asked.

    Verdicts about directories are remembered, as a path's depends on its parents'; so ask one object about one context.
    """

    def __init__(self, patterns: tuple[IgnorePattern, ...], problems: tuple[Problem, ...]) -> None:
        self.patterns = patterns
        self.problems = problems
        self._negated = tuple(index for index, pattern in enumerate(patterns) if pattern.negated)
        self._any_positive = pathpattern.union([pattern.path for pattern in patterns if not pattern.negated])
        self._bits: dict[str, int] = {"": 0}

    @property
    def has_negation(self) -> bool:
        """Whether any line brings paths back."""
        return bool(self._negated)

    def match(self, path: str, is_dir: bool = False) -> IgnoreMatch:
        """The verdict on a slash-separated path relative to the context; the context itself is never ignored."""
        path = path.strip("/")
        if path in ("", "."):
            return _NOT_IGNORED
        bits = self._bits_of(path) if is_dir else self._evaluate(path)
        if not bits:
            return _NOT_IGNORED
        pattern = self.patterns[bits.bit_length() - 1]
        return IgnoreMatch(not pattern.negated, pattern.line, pattern.text)

    def may_reinclude_below(self, directory: str) -> bool:
        """Whether anything below an ignored directory can be brought back; if not, a walk may skip it."""
        if not self._negated:
            return False
        directory = directory.strip("/")
        if directory in ("", "."):
            return True
        # Only lines behind the one that decided about the directory can change the verdict further down.
        decided = self._bits_of(directory).bit_length()
        parts = directory.split("/")
        return any(self.patterns[index].path.may_match_below(parts) for index in self._negated if index >= decided)

    def _bits_of(self, directory: str) -> int:
        known = self._bits.get(directory)
        if known is None:
            known = self._bits[directory] = self._evaluate(directory)
        return known

    def _evaluate(self, path: str) -> int:
        """Which lines match the path or a parent of it, bit by bit; the highest one decides.

        A line that could not change the verdict at its turn is passed over and leaves no bit, as in moby's matcher.
        """
        parent = posixpath.dirname(path)
        inherited = self._bits_of(parent) if parent else 0
        if not inherited and not self._any_positive(path):
            return 0
        bits = 0
        ignored = False
        for index, pattern in enumerate(self.patterns):
            if inherited >> index & 1 or (pattern.negated == ignored and pattern.path.match(path)):
                bits |= 1 << index
                ignored = not pattern.negated
        return bits


_NOT_IGNORED = IgnoreMatch(ignored=False, line=None, pattern=None)


def _read(lines: list[tuple[int, str, int]], *, comments: bool) -> IgnoreFile:
    patterns: list[IgnorePattern] = []
    problems: list[Problem] = []
    for number, raw, shift in lines:
        if comments and raw.startswith("#"):
            continue
        text = raw.strip()
        if not text:
            continue
        negated = text.startswith("!")
        start = shift + raw.index(text)
        span = Span(Position(number - 1, start), Position(number - 1, start + len(text)))
        cleaned = _cleaned(text[1:].strip() if negated else text)
        if not cleaned:
            message = 'illegal exclusion pattern: "!"'
            problems.append(error("invalid-pattern", message, span, "Write a path behind the exclamation mark."))
            continue
        try:
            path = pathpattern.compile_pattern(cleaned)
        except pathpattern.BadPatternError as wrong:
            hint = "Close the bracket, or write [[] for a bracket itself."
            problems.append(error("invalid-pattern", str(wrong), span, hint))
            continue
        patterns.append(IgnorePattern(number, text, negated, path))
    return IgnoreFile(tuple(patterns), tuple(problems))


def _cleaned(text: str) -> str:
    """The shortest equal path, without a slash in front; empty for an empty text."""
    if not text:
        return ""
    cleaned = posixpath.normpath(text)
    # normpath keeps two slashes in front, as POSIX allows them a meaning; here they have none.
    return cleaned.lstrip("/") or "/"
