"""Guesses at what was meant, and quoting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.dockerfile.problems import quoted, suggest

INSTRUCTIONS = ("FROM", "RUN", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "WORKDIR")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("FNTRYPOINT", "ENTRYPOINT"),
        ("fntrypoint", "entrypoint"),
        ("Copi", "copy"),
        ("CPOY", "COPY"),
        ("RNU", "RUN"),
        ("HELTHCHEK", "HEALTHCHECK"),
        ("XYZ", None),
        ("RUN", None),
        ("run", None),
        ("", None),
        ("A", None),
        ("WORKINGDIRECTORY", None),
    ],
)
def test_the_nearest_instruction_is_offered_in_the_case_of_the_word(word, expected):
    assert expected == suggest(word, INSTRUCTIONS, fold=True)


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("mont", ("mount", "network"), "mount"),
        ("typ", ("type", "target"), "type"),
        ("tmp", ("bind", "tmpfs"), "tmpfs"),
        ("bulid", ("build", "test"), "build"),
        ("Build", ("build",), "build"),
        ("PAHT", ("PATH",), "PATH"),
        ("x", ("y",), None),
        ("x", ("ab",), None),
        ("base", ("base", "bass"), None),
        ("abc", (), None),
    ],
)
def test_guesses_are_at_most_two_edits_away(word, candidates, expected):
    assert expected == suggest(word, candidates)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", '"a b"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb\tc\rd", '"a\\nb\\tc\\rd"'),
        ("\x00\x1b", '"\\x00\\x1b"'),
        ("äö\U0001f433", '"äö\U0001f433"'),
        ("\u200b", '"\\u200b"'),
    ],
)
def test_texts_are_quoted_as_go_does(text, expected):
    assert expected == quoted(text)


@given(st.text(), st.lists(st.text()))
def test_a_guess_is_one_of_the_candidates(word, candidates):
    assert suggest(word, candidates) in (None, *candidates)
