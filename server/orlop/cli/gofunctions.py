"""The functions of Go's templates and those that Docker's CLI adds, and how Go prints and judges values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from orlop.builder import gotext

_VERB = re.compile(r"%([-+#0 ]*\d*(?:\.\d+)?)([a-zA-Z%])")


@attrs.frozen
class Nothing:
    """A value that is not there: how Go prints it; `null` in JSON, empty for every function."""

    printed: str

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())


# What a map says when it is asked for a key that it does not have.
MISSING = Nothing("<no value>")


class Struct(dict[str, Any]):
    """A mapping with fixed fields: asking for another is an error that names them."""


def text(value: object) -> str:
    """As `%v` prints it."""
    if isinstance(value, Struct) and not value:
        return "{}"
    if isinstance(value, Nothing):
        return value.printed
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{text(key)}:{text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(text, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def truth(value: object) -> bool:
    """Whether `if` takes it: not false, zero, empty or nothing."""
    return bool(value)


def to_json(value: object) -> str:
    """As Go's encoder writes it, in one line."""
    plain = None if isinstance(value, Nothing) else value
    return json.dumps(plain, default=lambda _: None, ensure_ascii=False, separators=(",", ":"))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Nothing):
            value = ""
        elif isinstance(value, Mapping):
            value = value.get(key, "" if all(isinstance(item, str) for item in value.values()) else MISSING)
        elif isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            raise IndexError(f"index out of range: {text(key)}")
    return value


def _slice(value: Any, *ends: int) -> Any:
    start = ends[0] if ends else 0
    stop = ends[1] if len(ends) > 1 else len(value)
    if not 0 <= start <= stop <= len(value):
        raise IndexError(f"index out of range: {stop}")
    return value[start:stop]


def _printf(form: str, *arguments: Any) -> str:
    """`printf` with the verbs v, s, q, d, x, f and t."""
    left = list(arguments)

    def written(match: re.Match[str]) -> str:
        flags, verb = match[1], match[2]
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        if verb == "q":
            return gotext.quote(value if isinstance(value, str) else text(value))
        if verb in "dxXofeg" and isinstance(value, int | float):
            return f"%{flags}{verb}" % value
        return f"%{flags}s" % text(value)

    return _VERB.sub(written, form)


def _join(values: Any, separator: str) -> str:
    return separator.join(map(str, values))


def _equal(first: Any, *others: Any) -> bool:
    return any(first == other for other in others)


def _pad(value: str, before: int, after: int) -> str:
    return value if not value else " " * before + value + " " * after


def _truncate(value: str, width: int) -> str:
    return value[:width]


def _spaced(*values: Any) -> str:
    """`print`: a blank between operands of which neither is a string."""
    parts: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            parts.append(" ")
        parts.append(text(value))
    return "".join(parts)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": to_json,
    "join": _join,
    "split": lambda value, separator: value.split(separator),
    "lower": str.lower,
    "upper": str.upper,
    "title": lambda value: re.sub(r"\b\w", lambda match: match[0].upper(), value),
    "pad": _pad,
    "truncate": _truncate,
    "println": lambda *values: " ".join(map(text, values)) + "\n",
    "print": _spaced,
    "printf": _printf,
    "len": len,
    "index": _index,
    "slice": _slice,
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda first, second: first != second,
    "lt": lambda first, second: first < second,
    "le": lambda first, second: first <= second,
    "gt": lambda first, second: first > second,
    "ge": lambda first, second: first >= second,
}
