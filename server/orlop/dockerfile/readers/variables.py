"""Reads the instructions about names and values: ENV, LABEL and ARG."""

from __future__ import annotations

from orlop.dockerfile import words
from orlop.dockerfile.instructions import Arg, Env, Label, Pairs
from orlop.dockerfile.problems import quoted
from orlop.dockerfile.readers.reading import Reading
from orlop.dockerfile.words import Word


def read_env(reading: Reading) -> Env:
    """`ENV`."""
    pairs, legacy = _pairs(reading)
    return Env(reading.source, reading.found, pairs, legacy)


def read_label(reading: Reading) -> Label:
    """`LABEL`."""
    pairs, legacy = _pairs(reading)
    return Label(reading.source, reading.found, pairs, legacy)


def read_arg(reading: Reading) -> Arg:
    """`ARG`: names, some with `=` and a default."""
    entries: list[tuple[str, Word | None]] = []
    names: list[Word] = []
    found = reading.shell_words()
    if not found:
        reading.require_some()
    for word in found:
        name, value = _cut(word)
        if not name.text and value is not None:
            reading.fail("blank-name", "ARG names can not be blank", word.span)
            continue
        entries.append((name.text, value))
        names.append(name)
    return Arg(reading.source, reading.found, tuple(entries), tuple(names))


def _pairs(reading: Reading) -> tuple[Pairs, bool]:
    """The pairs, and whether they came as `key value`: so they do when the first word has no `=`."""
    found = reading.shell_words()
    if not found:
        reading.require_some()
        return (), False
    if "=" not in found[0].text:
        pair = words.first_and_rest(reading.line, reading.command.start, reading.command.end)
        if pair is None:
            message = f"{reading.keyword} must have two arguments"
            reading.fail("missing-value", message, hint=f"Write {reading.keyword} name=value.")
            return (), True
        return (pair,), True
    pairs: list[tuple[Word, Word]] = []
    for word in found:
        name, value = _cut(word)
        if value is None:
            message = f"Syntax error - can't find = in {quoted(word.text)}. Must be of the form: name=value"
            reading.fail("missing-equals", message, word.span, "Put values with blanks in quotes.")
        elif not name.text:
            reading.fail("blank-name", f"{reading.keyword} names can not be blank", word.span)
        else:
            pairs.append((name, value))
    return tuple(pairs), False


def _cut(word: Word) -> tuple[Word, Word | None]:
    """Name and value at the first `=`."""
    name, equals, value = word.text.partition("=")
    if not equals:
        return word, None
    cut = word.start + len(name)
    return Word(name, word.line, word.start, cut), Word(value, word.line, cut + 1, word.end)
