"""The exec form: a JSON array of strings, or silently something else.

Source: BuildKit's `parser/line_parsers.go`. Text that is no valid JSON array is not wrong, it is shell form.
"""

from __future__ import annotations

import json
import re

import attrs

NOT_STRINGS = "when using JSON array syntax, arrays must be comprised of strings only"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"""\[\s*(?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*\s*\]""")
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@attrs.frozen(slots=True)
class JsonString:
    """One element; `start` and `end` are the offsets of its literal, quotes included."""

    text: str
    start: int
    end: int


class NotStringsError(ValueError):
    """A valid JSON array that holds something else than strings."""


def parse(text: str) -> tuple[JsonString, ...] | None:
    """The elements of a JSON array, None when the text is none; raises `NotStringsError`."""
    if text[:1] != "[":
        return None
    try:
        values = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise NotStringsError(NOT_STRINGS)
    if _LONE_SURROGATE.search(text):
        values = [re.sub("[\ud800-\udfff]", "\ufffd", value) for value in values]
    places = [match.span() for match in _STRING.finditer(text)]
    return tuple(JsonString(value, *place) for value, place in zip(values, places, strict=True))


def is_strings(text: str) -> bool:
    """Whether the text is a JSON array of strings."""
    try:
        return parse(text) is not None
    except NotStringsError:
        return False


def has_single_quotes(text: str) -> bool:
    """Whether a text would be an array of strings, were its single quotes double ones."""
    return _SINGLE_QUOTED.fullmatch(text) is not None


def _refuse(constant: str) -> float:
    raise ValueError(f"not JSON: {constant}")


# Numbers are only looked at to tell that they are no strings, so that their size does not matter.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=float, parse_float=float)
