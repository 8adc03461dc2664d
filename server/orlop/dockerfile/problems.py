"""What is wrong with a Dockerfile: problems with a code and a place, and the guess at what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from orlop.dockerfile.position import Span

Severity = Literal["error", "warning"]

# BuildKit guesses up to this many edits away (util/suggest).
_MAX_EDITS = 2


@attrs.frozen(slots=True)
class Problem:
    """One finding.

    `code` is a kebab-case word for errors and the name of BuildKit's rule for lint warnings; `message` is BuildKit's
    text; `hint` is one sentence about what to do; `replacement` is the text that would mend the span, where known.
    """

    code: str
    severity: Severity
    message: str
    span: Span
    hint: str | None = None
    replacement: str | None = None


def error(code: str, message: str, span: Span, hint: str | None = None) -> Problem:
    """A problem that stops a build."""
    return Problem(code, "error", message, span, hint)


def warning(code: str, message: str, span: Span, hint: str | None = None) -> Problem:
    """A problem that does not."""
    return Problem(code, "warning", message, span, hint)


def misspelled(code: str, message: str, span: Span, word: str, candidates: Iterable[str], *, fold: bool) -> Problem:
    """An error about a word; the message ends with `(did you mean x?)` when a candidate is near.

    `fold` compares without regard to case.
    """
    meant = suggest(word, candidates, fold=fold)
    return Problem(code, "error", message + did_you_mean(meant), span, replacement=meant)


def did_you_mean(meant: str | None) -> str:
    """The end of a message that offers a guess."""
    return f" (did you mean {meant}?)" if meant else ""


def suggest(word: str, candidates: Iterable[str], *, fold: bool = False) -> str | None:
    """The candidate nearest to the word, at most two edits away and with something in common; else None.

    None as well when the word is one of the candidates: then the spelling was not what was wrong. With `fold` the
    answer takes the word's case.
    """
    best: str | None = None
    least = _MAX_EDITS + 1
    wanted = word.lower() if fold else word
    for candidate in candidates:
        option = candidate.lower() if fold else candidate
        if option == wanted:
            return None
        if abs(len(option) - len(wanted)) >= least:
            continue
        edits = _distance(wanted, option)
        if edits < min(least, max(len(wanted), len(option))):
            least = edits
            best = _with_case_of(word, option) if fold else candidate
    return best


def quoted(text: str) -> str:
    r"""The text as Go's `%q` prints it, which BuildKit's messages use: in double quotes, with `\n` and the like."""
    return '"' + "".join(_QUOTED.get(character) or _printable(character) for character in text) + '"'


_QUOTED = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


def _printable(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _with_case_of(word: str, option: str) -> str:
    if word == word.lower():
        return option.lower()
    return option.upper() if word == word.upper() else option


def _distance(left: str, right: str) -> int:
    """Levenshtein's distance: insertions, deletions and replacements."""
    row = list(range(len(right) + 1))
    for i, first in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, second in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (first != second))
    return row[-1]
