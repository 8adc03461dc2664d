"""Parser directives: the `# name=value` lines at the very top of a Dockerfile.

Source: the Dockerfile reference, "Parser directives"; BuildKit's `parser/directives.go`.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from orlop.dockerfile.position import LineIndex, Position, Span
from orlop.dockerfile.problems import Problem, error, warning

Name = Literal["syntax", "escape", "check"]

DEFAULT_ESCAPE = "\\"
_NAMES: dict[str, Name] = {"syntax": "syntax", "escape": "escape", "check": "check"}
_BLANKS = r"[\t\n\f\r ]*"
_DIRECTIVE = re.compile(rf"(\ufeff?\s*#\s*)([a-zA-Z][a-zA-Z0-9]*)({_BLANKS}={_BLANKS})(.+?){_BLANKS}\Z", re.DOTALL)


@attrs.frozen(slots=True)
class Directive:
    """One directive; `name` is in lower case, `value` as written, `line` 0-based."""

    name: Name
    value: str
    line: int
    name_span: Span
    value_span: Span


@attrs.frozen(slots=True)
class Directives:
    """The directives of a file, the escape character they leave in force, and what is wrong with them."""

    items: tuple[Directive, ...]
    escape: str
    problems: tuple[Problem, ...]

    def value(self, name: Name) -> str | None:
        """The value of a directive, None when absent; of `syntax` and `check` the first word counts."""
        for item in self.items:
            if item.name == name:
                return item.value if name == "escape" else item.value.split(" ", 1)[0]
        return None


def read(index: LineIndex) -> Directives:
    """The directives at the top of a text; the first line that is none ends them."""
    items: list[Directive] = []
    problems: list[Problem] = []
    first = 1 if index.line(0).lstrip("\ufeff").startswith("#!") else 0
    for line in range(first, len(index)):
        directive = _parse(index.line(line), line)
        if directive is None:
            break
        if any(item.name == directive.name for item in items):
            message = f"only one {directive.name} parser directive can be used"
            problems.append(error("duplicate-directive", message, directive.name_span, "Remove this line."))
        items.append(directive)
    escape = DEFAULT_ESCAPE
    for item in items:
        if item.name == "escape":
            if item.value in ("\\", "`"):
                # Behind a `#!` line the tokenizer no longer looks, though `syntax` and `check` are still found.
                escape = DEFAULT_ESCAPE if first else item.value
            else:
                problems.append(_bad_escape(item))
            break
    problems += [_foreign_syntax(item) for item in items if item.name == "syntax" and not _is_known(item.value)]
    return Directives(tuple(items), escape, tuple(problems))


def _parse(text: str, line: int) -> Directive | None:
    match = _DIRECTIVE.match(text)
    name = _NAMES.get(match.group(2).lower()) if match else None
    if match is None or name is None:
        return None

    def span(group: int) -> Span:
        return Span(Position(line, match.start(group)), Position(line, match.end(group)))

    return Directive(name, match.group(4), line, span(2), span(4))


def _bad_escape(item: Directive) -> Problem:
    message = f"invalid escape token '{item.value}' does not match ` or \\"
    return error("invalid-escape", message, item.value_span, "Use a backslash or a backtick.")


def _is_known(value: str) -> bool:
    image = value.split(" ", 1)[0].split("@", 1)[0]
    return image.rsplit("/", 1)[-1].split(":", 1)[0] in ("dockerfile", "dockerfile-upstream")


def _foreign_syntax(item: Directive) -> Problem:
    message = f"the frontend {item.value.split(' ', 1)[0]} is not used, the file is read as a Dockerfile"
    return warning("foreign-syntax", message, item.value_span, "Name docker/dockerfile, or remove the line.")
