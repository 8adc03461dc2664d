"""Golden files: `tests/golden/dockerfile/<case>/Dockerfile` and, beside it, what is read from it.

`UPDATE_GOLDEN=1 pytest` writes the results anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from orlop.dockerfile import rules, semantics
from orlop.dockerfile.heredoc import Heredoc
from orlop.dockerfile.ignorefile import parse_ignore
from orlop.dockerfile.instructions import Instruction
from orlop.dockerfile.mounts import Mount
from orlop.dockerfile.parser import parse
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem
from orlop.dockerfile.words import Word

GOLDEN = Path(__file__).parents[2] / "golden" / "dockerfile"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_read_as_before(case):
    folder = GOLDEN / case
    text = (folder / "Dockerfile").read_bytes().decode("utf-8", "surrogateescape")
    ignore = folder / "dockerignore"
    result = "\n".join(dump(text, ignore.read_text(encoding="utf-8") if ignore.exists() else None)) + "\n"
    expected = folder / "result.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(result, encoding="utf-8")
    assert expected.read_text(encoding="utf-8") == result


def dump(text: str, ignore: str | None) -> Iterator[str]:
    tree = parse(text)
    yield f"escape {tree.escape}"
    for item in tree.directives.items:
        yield f"directive {item.name} = {item.value!r}"
    for node in tree.nodes:
        if node.instruction is None:
            yield f"{node.first + 1}-{node.last + 1} {node.kind}"
        else:
            yield from instruction(node.instruction, "")
    for stage in tree.stages:
        yield f"stage {stage.index} {stage.name} lines {stage.lines[0]}-{stage.lines[1]}"
    hidden = parse_ignore(ignore) if ignore is not None else None
    for title, problems in (
        ("problem", tree.problems),
        ("semantic", semantics.check(tree)),
        ("rule", rules.check(tree, ignore=hidden)),
    ):
        for problem in problems:
            yield f"{title} {shown(problem)}"


def instruction(item: Instruction, indent: str) -> Iterator[str]:
    yield f"{indent}{item.lines[0]}-{item.lines[1]} {item.keyword} {item.original!r}"
    for flag in item.flags:
        yield f"{indent}    flag {flag.name} = {flag.value!r} {place(flag.span)}"
    for field in attrs.fields(type(item)):
        if field.name in ("source", "problems"):
            continue
        value = getattr(item, field.name)
        if isinstance(value, Instruction):
            yield from instruction(value, indent + "    ")
        elif value not in (None, (), False, 0):
            yield f"{indent}    {field.name} {one(value)}"


def one(value: object) -> str:
    match value:
        case Word():
            return f"{value.text!r}@{place(value.span)}"
        case Heredoc():
            marks = ("expand " if value.expand else "") + ("tabs " if value.strip_tabs else "")
            return f"<<{value.name} {marks}{value.text!r}"
        case Mount():
            return "{" + ", ".join(f"{field.text}@{place(field.span)}" for field in value.fields) + "}"
        case tuple():
            return "(" + ", ".join(one(part) for part in value) + ")"
        case _:
            return repr(value)


def place(span: Span) -> str:
    return f"{span.start.line + 1}:{span.start.column}-{span.end.line + 1}:{span.end.column}"


def shown(problem: Problem) -> str:
    mended = f" -> {problem.replacement!r}" if problem.replacement is not None else ""
    return f"{place(problem.span)} {problem.severity} {problem.code}: {problem.message}{mended}"
