"""Parser directives at the top of a file."""

from __future__ import annotations

import pytest

from orlop.dockerfile import directives
from orlop.dockerfile.position import LineIndex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# escape=`\n", [("escape", "`")]),
        ("#escape=`\n", [("escape", "`")]),
        ("  #  ESCAPE  =  `  \n", [("escape", "`")]),
        (
            "# syntax=a:b c\n# check=skip=all\n# escape=\\\n",
            [("syntax", "a:b c"), ("check", "skip=all"), ("escape", "\\")],
        ),
        ("\ufeff# escape=`\r\n", [("escape", "`")]),
        ("#!/bin/x\n# syntax=a\n", [("syntax", "a")]),
        ("\n# escape=`\n", []),
        ("# comment\n# escape=`\n", []),
        ("# unknown=x\n# escape=`\n", []),
        ("FROM a\n# escape=`\n", []),
        ("# escape=\n", []),
        ("# escape = \n", [("escape", " ")]),
        ("# my escape=`\n", []),
        ("# syntax=a\n\n# escape=`\n", [("syntax", "a")]),
    ],
)
def test_directives_stand_at_the_very_top(text, expected):
    found = directives.read(LineIndex(text))
    assert expected == [(item.name, item.value) for item in found.items]


@pytest.mark.parametrize(
    ("text", "escape"),
    [("# escape=`\n", "`"), ("# escape=\\\n", "\\"), ("", "\\"), ("# escape=x\n", "\\"), ("#!x\n# escape=`\n", "\\")],
)
def test_the_escape_character(text, escape):
    assert escape == directives.read(LineIndex(text)).escape


@pytest.mark.parametrize(
    ("value", "foreign"),
    [
        ("docker/dockerfile", False),
        ("docker/dockerfile:1.7-labs", False),
        ("docker.io/docker/dockerfile-upstream:master", False),
        ("mirror.local:5000/docker/dockerfile:1@sha256:0", False),
        ("docker/dockerfile:1 comment", False),
        ("example/other:1", True),
    ],
)
def test_other_frontends_are_pointed_out(value, foreign):
    problems = directives.read(LineIndex(f"# syntax={value}\n")).problems
    assert (["foreign-syntax"] if foreign else []) == [problem.code for problem in problems]


def test_directives_know_their_places():
    (item,) = directives.read(LineIndex("# escape = `\n")).items
    assert (
        item.name_span.start.column, item.name_span.end.column, item.value_span.start.column, item.value_span.end.column,
    ) == (2, 8, 11, 12)  # fmt: skip


def test_the_first_word_of_syntax_counts():
    assert directives.read(LineIndex("# syntax=a:b c\n")).value("syntax") == "a:b"
    assert directives.read(LineIndex("")).value("check") is None
