"""`--chmod`: octal (`0755`) or symbolic (`u=rwX,go=rX`) changes of a file's mode, as in POSIX and BuildKit."""

from __future__ import annotations

from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_WHO: Final = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_COPY: Final = {"u": 6, "g": 3, "o": 0}
_FORMAT, _DIRECTORY = 0o170000, 0o040000
# Without a letter for whom, the bits of the usual umask stay as they are.
_UMASK = 0o022


class Mode:
    """A change of modes, parsed once."""

    __slots__ = ("_clauses", "_octal")

    def __init__(self, text: str) -> None:
        """Read the change; raises `Invalid` in Docker's words."""
        self._octal: int | None = None
        self._clauses: list[tuple[int, list[tuple[str, str]]]] = []
        if text[:1].isdecimal():
            if len(text) > 5 or not set(text) <= set("01234567") or int(text, 8) > 0o7777:
                raise _invalid(text)
            self._octal = int(text, 8)
        else:
            self._clauses = [_clause(part, text) for part in text.split(",")]

    def of(self, mode: int) -> int:
        """The permission bits for a file whose whole mode (type included) was `mode`."""
        if self._octal is not None:
            return self._octal
        bits = mode & 0o7777
        for who, steps in self._clauses:
            for operator, letters in steps:
                wanted = _bits(letters, mode, bits) & (who or 0o7777 & ~_UMASK)
                if operator == "+":
                    bits |= wanted
                elif operator == "-":
                    bits &= ~wanted
                else:
                    bits = bits & ~(who or 0o7777) | wanted
        return bits


def _clause(part: str, text: str) -> tuple[int, list[tuple[str, str]]]:
    """For whom (0: nobody in particular), and the steps: an operator and its letters."""
    position = who = 0
    while position < len(part) and part[position] in _WHO:
        who |= _WHO[part[position]]
        position += 1
    steps: list[tuple[str, str]] = []
    while position < len(part):
        if part[position] not in "+-=":
            raise _invalid(text)
        start = position + 1
        end = start
        while end < len(part) and part[end] in "rwxXstugo":
            end += 1
        if end - start > 1 and any(letter in _COPY for letter in part[start:end]):
            raise _invalid(text)
        steps.append((part[position], part[start:end]))
        position = end
    if not steps:
        raise _invalid(text)
    return who, steps


def _bits(letters: str, original: int, current: int) -> int:
    bits = 0
    for letter in letters:
        if letter == "r":
            bits |= 0o444
        elif letter == "w":
            bits |= 0o222
        elif letter == "x" or (letter == "X" and (original & _FORMAT == _DIRECTORY or original & 0o111)):
            bits |= 0o111
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        elif letter in _COPY:
            bits |= (current >> _COPY[letter] & 7) * 0o111
    return bits


def _invalid(text: str) -> errors.Invalid:
    return errors.Invalid(
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
        hint="Write an octal mode such as 0755, or a symbolic one such as u=rwX,go=rX.",
    )
