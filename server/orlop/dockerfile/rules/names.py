"""Lint rules about the names of stages and the comments that describe them."""

from __future__ import annotations

from collections.abc import Iterator

from orlop.dockerfile.instructions import Arg, From
from orlop.dockerfile.problems import quoted
from orlop.dockerfile.rules.rule import Finding, Rule, Subject

_RESERVED = ("context", "scratch")


def _duplicate(subject: Subject) -> Iterator[Finding]:
    seen: set[str] = set()
    for stage in subject.dockerfile.stages:
        if stage.name is None:
            continue
        if stage.name in seen:
            message = f"Duplicate stage name {quoted(stage.name)}, stage names should be unique"
            word = stage.from_.name_word
            span = word.span if word else stage.from_.span
            yield Finding(message, span, stage.from_, "Choose another name; later references mean this stage.")
        seen.add(stage.name)


def _reserved(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        if stage.name in _RESERVED:
            message = f"Stage name should not use the same name as reserved stage {quoted(stage.name or '')}"
            word = stage.from_.name_word
            yield Finding(message, word.span if word else stage.from_.span, stage.from_, "Choose another name.")


def _description(subject: Subject) -> Iterator[Finding]:
    for instruction in subject.dockerfile.instructions:
        names: tuple[str, ...] = ()
        if isinstance(instruction, Arg):
            names = tuple(name for name, _ in instruction.entries)
        elif isinstance(instruction, From) and instruction.name:
            names = (instruction.name,)
        comments = [comment for comment in instruction.comments if not comment.startswith("check=")]
        if not names or not comments or comments[-1].split(" ", 1)[0] in names:
            continue
        example = names[0] if len(names) == 1 else "<arg_key>"
        message = f"Comment for {instruction.keyword} should follow the format: `# {example} <description>`"
        hint = "Start the comment with the name, or put an empty comment below it."
        yield Finding(message, instruction.keyword_span, instruction, hint)


RULES = (
    Rule("DuplicateStageName", "Stage names should be unique", _duplicate),
    Rule("ReservedStageName", "Reserved words should not be used as stage names", _reserved),
    Rule(
        "InvalidDefinitionDescription",
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. "
        "If this is not intended to be a description comment, add an empty line or comment between the instruction "
        "and the comment.",
        _description,
        experimental=True,
    ),
)
