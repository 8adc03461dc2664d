r"""Here-documents: `<<NAME`, `<<-NAME` and `<<"NAME"` in RUN, COPY and ADD, and in ONBUILD of these.

Source: the Dockerfile reference, "Here-Documents"; BuildKit's `parser/parser.go`.
"""

from __future__ import annotations

import re

import attrs

from orlop.dockerfile import command, expand, jsonform
from orlop.dockerfile.position import Span

_START = re.compile(r"(\d*)<<(-?)[\t\n\f\r ]*([^<]*)\Z", re.ASCII)
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_WITH_HEREDOC = frozenset({"RUN", "COPY", "ADD"})


@attrs.frozen(slots=True)
class HeredocStart:
    """The word that opens a here-document.

    `expand` is False when any part of the name was quoted; `start` and `end` are its offsets in the searched text.
    """

    name: str
    expand: bool
    strip_tabs: bool
    file_descriptor: int
    start: int = 0
    end: int = 0


@attrs.frozen(slots=True)
class Heredoc:
    """A here-document with its body.

    `source` is the word that opens it as written, `span` its place; `body` the lines of the body as they stand in the
    file, with their line endings and without the closing one, `body_span` their place. `strip_tabs` tells `<<-`.
    """

    name: str
    source: str
    body: str
    expand: bool
    strip_tabs: bool
    file_descriptor: int
    span: Span
    body_span: Span

    @property
    def text(self) -> str:
        """The body without the leading tabs that `<<-` allows: what a file made of it holds before expansion."""
        return strip_leading_tabs(self.body) if self.strip_tabs else self.body


def strip_leading_tabs(content: str) -> str:
    """The text with the tabs at the start of each line removed."""
    return _LEADING_TABS.sub("", content)


def parse_heredoc(word: str) -> HeredocStart | None:
    """What a word opens when it is a here-document, None when it is none."""
    match = _START.match(word)
    if match is None or not match.group(3):
        return None
    try:
        plain = expand.split_shell(match.group(3), keep_quotes=False, keep_escapes=False)
        kept = expand.split_shell(match.group(3), keep_quotes=True, keep_escapes=False)
    except expand.ExpandError:
        return None
    if len(plain) != 1 or len(kept) != 1:
        return None
    return HeredocStart(
        name=plain[0],
        expand=_quotes(plain[0]) == _quotes(kept[0]),
        strip_tabs=bool(match.group(2)),
        # Longer numbers are no file descriptor of any system.
        file_descriptor=int(match.group(1)[:9] or "0"),
    )


def find_starts(text: str, escape: str) -> tuple[HeredocStart, ...]:
    """The here-documents an instruction opens, in order; none in JSON form or in instructions that take none.

    A line whose quotes do not match opens none, as the shell would not see them either.
    """
    if "<<" not in text or not _can_contain(text, escape):
        return ()
    try:
        candidates = expand.split_shell(text, keep_quotes=True, keep_escapes=True)
    except expand.ExpandError:
        return ()
    found: list[HeredocStart] = []
    at = 0
    for candidate in candidates:
        start = parse_heredoc(candidate)
        if start is None:
            continue
        # The word is found again by its text; quoting inside variable forms may have changed it, then by its `<<`.
        place = text.find(candidate, at)
        length = len(candidate) if place >= 0 else 2
        place = place if place >= 0 else max(text.find("<<", at), 0)
        at = place + length
        found.append(attrs.evolve(start, start=place, end=at))
    return tuple(found)


def _can_contain(text: str, escape: str) -> bool:
    parts = command.split(text, 0, len(text), escape)
    if parts.keyword == "ONBUILD":
        parts = command.split(text, parts.start, parts.end, escape)
    if parts.keyword not in _WITH_HEREDOC:
        return False
    return not jsonform.is_strings(text[parts.start : parts.end])


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
