"""Lint rules about upper and lower case of keywords and stage names."""

from __future__ import annotations

from collections.abc import Iterator

from orlop.dockerfile.instructions import Instruction, Unknown
from orlop.dockerfile.rules.rule import Finding, Rule, Subject


def _stage_name(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        word = stage.from_.name_word
        if word is not None and word.text != word.text.lower():
            message = f"Stage name '{word.text}' should be lowercase"
            lower = word.text.lower()
            yield Finding(message, word.span, stage.from_, f"Write {lower}.", lower)


def _from_as(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        word, written = stage.from_.as_word, stage.from_.source.written
        # A keyword of mixed case is ConsistentInstructionCasing's business.
        if word is None or not _is_one_case(written):
            continue
        fitting = word.text.lower() if written == written.lower() else word.text.upper()
        if word.text != fitting:
            message = f"'{word.text}' and '{written}' keywords' casing do not match"
            yield Finding(message, word.span, stage.from_, f"Write {fitting}.", fitting)


def _consistent(subject: Subject) -> Iterator[Finding]:
    found: list[Instruction] = []
    for stage in subject.dockerfile.stages:
        found.append(stage.from_)
        found += [item for item in stage.instructions if not isinstance(item, Unknown)]
    words = [item.source.written for item in found]
    lower = sum(word == word.lower() for word in words)
    upper = sum(word == word.upper() for word in words)
    casing = "lowercase" if lower > upper else "uppercase"
    for item in found:
        written = item.source.written
        fitting = written.lower() if lower > upper else written.upper()
        if written != fitting:
            message = f"Command '{written}' should match the case of the command majority ({casing})"
            yield Finding(message, item.keyword_span, item, f"Write {fitting}.", fitting)


def _is_one_case(word: str) -> bool:
    return word in (word.lower(), word.upper())


RULES = (
    Rule("StageNameCasing", "Stage names should be lowercase", _stage_name),
    Rule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword", _from_as),
    Rule(
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
        _consistent,
    ),
)
