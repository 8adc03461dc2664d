"""Signals by name and number, without the enumeration of the `signal` module (slow to import)."""

from __future__ import annotations

import _signal  # `signal` would load the enumerations

from orlop.core import errors

LAST = 64
_BY_NAME: dict[str, int] = {
    name[3:]: number
    for name, number in vars(_signal).items()
    if name.startswith("SIG") and not name.startswith("SIG_") and isinstance(number, int) and number > 0
}


def number(text: str) -> int:
    """The signal of `SIGTERM`, `term`, `15`, `SIGRTMIN+3`; raises `Invalid`."""
    plain = text.strip().upper().removeprefix("SIG")
    if plain.isascii() and plain.isdigit() and 1 <= int(plain) <= LAST:
        return int(plain)
    base, sign, offset = plain, 0, "0"
    for mark in ("+", "-"):
        if mark in plain:
            base, _, offset = plain.partition(mark)
            sign = 1 if mark == "+" else -1
    found = _BY_NAME.get(base)
    if found is not None and offset.isascii() and offset.isdigit() and 1 <= found + sign * int(offset) <= LAST:
        return found + sign * int(offset)
    raise errors.Invalid(f"unknown signal {text}", hint="Give a name such as SIGTERM, or its number.")


def name(signal: int) -> str:
    """`SIGKILL` of 9; the number as text when it has no name."""
    for key, value in _BY_NAME.items():
        if value == signal and key not in ("CLD", "POLL", "IOT"):
            return f"SIG{key}"
    return str(signal)


def restore_defaults() -> None:
    """Undo what Python and its parents ignore, so that a program starts as from a shell."""
    for signal in range(1, LAST + 1):
        if signal in (9, 19, 32, 33):  # KILL and STOP; two belong to the C library
            continue
        try:
            _signal.signal(signal, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
