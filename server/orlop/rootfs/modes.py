"""`--chmod`: octal (`0755`) or symbolic (`u=rwX,go=rX`) changes of a file's mode."""

from __future__ import annotations

from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_DIR_FORMAT = 0o040000
_FORMAT = 0o170000


class Mode:
    """A change of modes, parsed once."""

    def __init__(self, change: Callable[[int], int]) -> None:
        self._change = change

    @classmethod
    def parse(cls, text: str | None) -> Mode | None:
        """The change a text describes, None for none; raises `Invalid` in Docker's words."""
        if not text:
            return None
        if text.isdigit():
            if len(text) > 5 or any(digit in "89" for digit in text) or int(text, 8) > 0o7777:
                raise _invalid(text)
            value = int(text, 8)
            return cls(lambda _: value)
        clauses = [_clause(part, text) for part in text.split(",")]

        def change(mode: int) -> int:
            for clause in clauses:
                mode = clause(mode)
            return mode & 0o7777

        return cls(change)

    def of(self, mode: int) -> int:
        """The permission bits for a file whose whole mode (type included) was `mode`."""
        return self._change(mode)


def _clause(part: str, text: str) -> Callable[[int], int]:
    who = 0
    position = 0
    while position < len(part) and part[position] in _WHO:
        who |= _WHO[part[position]]
        position += 1
    who = who or 0o7777
    steps: list[tuple[str, str]] = []
    while position < len(part):
        operator = part[position]
        if operator not in "+-=":
            raise _invalid(text)
        position += 1
        letters = ""
        while position < len(part) and part[position] in "rwxXst":
            letters += part[position]
            position += 1
        steps.append((operator, letters))
    if not steps:
        raise _invalid(text)

    def change(mode: int) -> int:
        for operator, letters in steps:
            bits = _bits(letters, mode) & who
            if operator == "+":
                mode |= bits
            elif operator == "-":
                mode &= ~bits
            else:
                mode = (mode & ~(who & 0o777 | who & 0o7000)) | bits
        return mode

    return change


def _bits(letters: str, mode: int) -> int:
    bits = 0
    for letter in letters:
        if letter == "r":
            bits |= 0o444
        elif letter == "w":
            bits |= 0o222
        elif letter == "x" or (letter == "X" and (mode & _FORMAT == _DIR_FORMAT or mode & 0o111)):
            bits |= 0o111
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
    return bits


def _invalid(text: str) -> errors.Invalid:
    return errors.Invalid(
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
        hint="Write an octal mode such as 0755, or a symbolic one such as u=rwX,go=rX.",
    )
