"""Reads the instructions about paths: COPY, ADD, VOLUME and WORKDIR."""

from __future__ import annotations

import attrs

from orlop.dockerfile import heredoc
from orlop.dockerfile.heredoc import Heredoc
from orlop.dockerfile.instructions import Add, Copy, Volume, Workdir
from orlop.dockerfile.position import Span
from orlop.dockerfile.readers.reading import Reading
from orlop.dockerfile.words import Word


@attrs.frozen(slots=True)
class _Paths:
    sources: tuple[Word, ...]
    destination: Word
    heredocs: tuple[Heredoc, ...]


def read_copy(reading: Reading) -> Copy:
    """`COPY`."""
    paths = _paths(reading)
    flags = reading.flags
    from_ = flags.one("from")
    return Copy(
        sources=paths.sources,
        destination=paths.destination,
        heredocs=paths.heredocs,
        from_=from_.text if from_ and from_.text else None,
        chown=flags.one("chown"),
        chmod=flags.one("chmod"),
        link=bool(flags.switch("link")),
        parents=bool(flags.switch("parents")),
        excludes=flags.many("exclude"),
        source=reading.source,
        problems=reading.found,
    )


def read_add(reading: Reading) -> Add:
    """`ADD`."""
    paths = _paths(reading)
    flags = reading.flags
    return Add(
        sources=paths.sources,
        destination=paths.destination,
        heredocs=paths.heredocs,
        chown=flags.one("chown"),
        chmod=flags.one("chmod"),
        link=bool(flags.switch("link")),
        checksum=flags.one("checksum"),
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
        excludes=flags.many("exclude"),
        source=reading.source,
        problems=reading.found,
    )


def read_volume(reading: Reading) -> Volume:
    """`VOLUME`."""
    paths = tuple([attrs.evolve(word, text=word.text.strip()) for word in reading.json_or_blank_words()])
    if not paths:
        reading.require_some()
    for path in paths:
        if not path.text:
            reading.fail("empty-volume", "VOLUME specified can not be an empty string", path.span)
    return Volume(reading.source, reading.found, paths)


def read_workdir(reading: Reading) -> Workdir:
    """`WORKDIR`."""
    reading.require_one()
    return Workdir(reading.source, reading.found, reading.whole())


def _paths(reading: Reading) -> _Paths:
    words = reading.json_or_blank_words()
    if len(words) < 2:
        reading.fail(
            "argument-count",
            f"{reading.keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined",
            hint="Write the sources, then the destination.",
        )
        return _Paths(words, reading.nothing(), ())
    destination = words[-1]
    if _start(destination):
        message = f"{reading.keyword} cannot accept a heredoc as a destination"
        reading.fail("heredoc-destination", message, destination.span, "Write the destination behind the heredocs.")
    bodies = {item.name: item for item in reading.line.heredocs}
    sources: list[Word] = []
    documents: list[Heredoc] = []
    for word in words[:-1]:
        start = _start(word)
        if start is None:
            sources.append(word)
        else:
            documents.append(bodies.get(start.name) or _empty(start, word))
    return _Paths(tuple(sources), destination, tuple(documents))


def _start(word: Word) -> heredoc.HeredocStart | None:
    return heredoc.parse_heredoc(word.text) if "<<" in word.text else None


def _empty(start: heredoc.HeredocStart, word: Word) -> Heredoc:
    """A here-document without a body, which JSON form makes of such a word."""
    end = Span(word.span.end, word.span.end)
    return Heredoc(
        start.name, word.text, "", start.expand, start.strip_tabs, start.file_descriptor, word.span, end
    )  # fmt: skip
