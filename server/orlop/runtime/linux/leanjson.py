"""JSON without the `json` package, whose imports (re, enum) take as long as starting the interpreter.

It stands on the same C scanner and encoder; values are what `json` would give.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner
except ImportError:  # an interpreter without the C accelerator
    import json

    loads: Callable[[str | bytes], Any] = json.loads

    def dumps(value: Any) -> str:
        """The JSON text of a value, compact, ASCII only."""
        return json.dumps(value, separators=(",", ":"))

    quote: Callable[[str], str] = json.dumps
else:
    quote = encode_basestring_ascii

    class _Context:
        """What the C scanner asks a decoder for."""

        strict = False
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        memo: dict[str, str] = {}  # noqa: RUF012 - the scanner empties it after each document

        @staticmethod
        def parse_constant(name: str) -> float:
            """NaN and the infinities."""
            return float(name)

    _scan = make_scanner(_Context())  # type: ignore[arg-type]

    def loads(text: str | bytes) -> Any:
        """The value of a JSON document; raises `ValueError` when it is not one."""
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        text = text.strip(" \t\r\n")
        try:
            value, end = _scan(text, 0)
        except StopIteration as error:
            raise ValueError(f"no JSON value at offset {error.value}") from None
        except ImportError:  # the scanner builds json.JSONDecodeError, which the import freeze may forbid
            raise ValueError("broken JSON") from None
        if end != len(text):
            raise ValueError(f"trailing data at offset {end}")
        return value

    def dumps(value: Any) -> str:
        """The JSON text of a value, compact, ASCII only."""
        return "".join(_encode(value, 0))

    def _refuse(value: object) -> object:
        raise TypeError(f"{type(value).__name__} has no JSON form")

    _encode = make_encoder(None, _refuse, quote, None, ":", ",", False, False, True)
