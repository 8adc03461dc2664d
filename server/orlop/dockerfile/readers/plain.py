"""Reads the instructions without a grammar of their own: FROM, EXPOSE, USER, STOPSIGNAL and MAINTAINER."""

from __future__ import annotations

import re

from orlop.dockerfile.instructions import Expose, From, Maintainer, StopSignal, User
from orlop.dockerfile.problems import quoted
from orlop.dockerfile.readers.reading import Reading
from orlop.dockerfile.words import Word

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


def read_from(reading: Reading) -> From:
    """`FROM`."""
    words = reading.blank_words()
    as_word: Word | None = None
    name_word: Word | None = None
    name: str | None = None
    if len(words) == 3 and words[1].text.lower() == "as":
        as_word, name_word = words[1], words[2]
        name = name_word.text.lower()
        if not _STAGE_NAME.fullmatch(name):
            message = (
                f"invalid name for build stage: {quoted(name_word.text)}, "
                "name can't start with a number or contain symbols"
            )
            hint = "Use letters, digits, dashes, underscores and dots, with a letter in front."
            reading.fail("invalid-stage-name", message, name_word.span, hint)
            name = None
    elif len(words) != 1:
        hint = "Write FROM image, or FROM image AS name."
        reading.fail("argument-count", "FROM requires either one or three arguments", hint=hint)
    image = words[0] if words else reading.nothing()
    platform = reading.flags.one("platform")
    if platform is not None and not platform.text:
        platform = None
    return From(reading.source, reading.found, image, platform, name, as_word, name_word)


def read_expose(reading: Reading) -> Expose:
    """`EXPOSE`."""
    words = reading.blank_words()
    if not words:
        reading.require_some()
    return Expose(reading.source, reading.found, words)


def read_user(reading: Reading) -> User:
    """`USER`."""
    reading.require_one()
    return User(reading.source, reading.found, reading.whole())


def read_stop_signal(reading: Reading) -> StopSignal:
    """`STOPSIGNAL`."""
    reading.require_one()
    return StopSignal(reading.source, reading.found, reading.whole())


def read_maintainer(reading: Reading) -> Maintainer:
    """`MAINTAINER`."""
    reading.require_one()
    return Maintainer(reading.source, reading.found, reading.text)
