"""Options of the lint rules: `skip=Rule,...|all;error=true;experimental=Rule,...|all`.

Source: the Dockerfile reference, "check"; BuildKit's `linter/linter.go`.
"""

from __future__ import annotations

import re

import attrs

from orlop.dockerfile.problems import quoted

_CHECK = re.compile(r"check\s*=\s*(\S+)", re.IGNORECASE)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class OptionsError(ValueError):
    """Options that cannot be read; the text is BuildKit's."""


@attrs.frozen(slots=True)
class Options:
    """What to leave out, what to add, and whether a finding fails the build."""

    skip_all: bool = False
    skip: frozenset[str] = frozenset()
    experimental_all: bool = False
    experimental: frozenset[str] = frozenset()
    fail: bool = False

    def wants(self, rule: str, *, experimental: bool) -> bool:
        """Whether a rule is to be run."""
        if experimental:
            return self.experimental_all or rule in self.experimental
        return not (self.skip_all or rule in self.skip)

    def merged(self, other: Options) -> Options:
        """These options with those of a comment above an instruction added."""
        return Options(
            self.skip_all or other.skip_all,
            self.skip | other.skip,
            self.experimental_all or other.experimental_all,
            self.experimental | other.experimental,
            self.fail,
        )


def parse(text: str) -> Options:
    """Read options; raises `OptionsError`."""
    text = text.strip()
    options = Options()
    for part in text.split(";", 2) if text else ():
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals:
            raise OptionsError(f"invalid check option {quoted(part)}")
        match key:
            case "skip":
                options = attrs.evolve(options, skip_all=value == "all", skip=_rules(value))
            case "experimental":
                options = attrs.evolve(options, experimental_all=value == "all", experimental=_rules(value))
            case "error" if value in _TRUE or value in _FALSE:
                options = attrs.evolve(options, fail=value in _TRUE)
            case "error":
                reason = f"strconv.ParseBool: parsing {quoted(value)}: invalid syntax"
                raise OptionsError(f"failed to parse check option {quoted(part)}: {reason}")
            case _:
                raise OptionsError(f"invalid check option {quoted(key)}")
    return options


def from_comments(comments: tuple[str, ...]) -> Options | None:
    """The options in the comments above an instruction, the first of them; None without any, or for bad ones."""
    for comment in comments:
        match = _CHECK.match(comment)
        if match is not None:
            try:
                return parse(match.group(1))
            except OptionsError:
                return None
    return None


def _rules(value: str) -> frozenset[str]:
    return frozenset() if value == "all" else frozenset(rule.strip() for rule in value.split(","))
