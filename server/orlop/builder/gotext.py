"""Text as Go's `fmt` writes it, since the history of an image quotes commands that way (`%q`, `%v`, durations)."""

from __future__ import annotations

from collections.abc import Sequence

_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
}  # fmt: skip
_SECOND = 1_000_000_000


def quote(text: str) -> str:
    """`%q` of a string."""
    return '"' + "".join(_quoted(character, '"') for character in text) + '"'


def quote_rune(code: int) -> str:
    """`%q` of an integer, which Go prints as a character literal."""
    valid = 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return "'" + _quoted(chr(code) if valid else "\ufffd", "'") + "'"


def quote_all(words: Sequence[str]) -> str:
    """`%q` of a list of strings: `["a" "b"]`."""
    return "[" + " ".join(map(quote, words)) + "]"


def plain_all(words: Sequence[str]) -> str:
    """`%v` of a list of strings: `[a b]`."""
    return "[" + " ".join(words) + "]"


def duration(nanoseconds: int) -> str:
    """A duration as `time.Duration.String` writes it: `1h0m0s`, `1.5s`, `20ms`, `0s`."""
    if nanoseconds < 0:
        return "-" + duration(-nanoseconds)
    if nanoseconds < _SECOND:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return _decimal(nanoseconds, size) + unit
        return "0s"
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest, _SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def _quoted(character: str, delimiter: str) -> str:
    if character == delimiter:
        return "\\" + character
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
