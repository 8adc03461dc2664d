"""Lint rules about how instructions are written: continuations, JSON form, old and repeated instructions."""

from __future__ import annotations

from collections.abc import Iterator

from orlop.dockerfile.evaluation import Step
from orlop.dockerfile.instructions import Cmd, Entrypoint, Env, Healthcheck, Instruction, Label, Maintainer
from orlop.dockerfile.position import Position, Span
from orlop.dockerfile.rules.rule import Finding, Rule, Subject


def _empty_continuation(subject: Subject) -> Iterator[Finding]:
    index = subject.dockerfile.index
    for instruction in subject.dockerfile.instructions:
        line = instruction.source.line
        if line.blank_lines:
            # BuildKit reports the last line of the instruction, so that reports of both agree.
            span = Span(Position(line.last, 0), Position(line.last, len(index.line(line.last))))
            hint = "Remove the blank lines, or put a # on them."
            yield Finding("Empty continuation line", span, instruction, hint)


def _json_args(_: Subject, step: Step) -> Iterator[Finding]:
    instruction = step.instruction
    if isinstance(instruction, (Cmd, Entrypoint)) and instruction.exec_form is None and not step.has_shell:
        written = instruction.source.written
        message = f"JSON arguments recommended for {written} to prevent unintended behavior related to OS signals"
        hint = f'Write {written} ["program", "argument"].'
        yield Finding(message, instruction.span, instruction, hint)


def _maintainer(subject: Subject) -> Iterator[Finding]:
    for instruction in subject.dockerfile.instructions:
        if isinstance(instruction, Maintainer):
            message = "Maintainer instruction is deprecated in favor of using label"
            hint = "Write LABEL org.opencontainers.image.authors=NAME."
            yield Finding(message, instruction.span, instruction, hint)


def _repeated(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        last: dict[str, Instruction] = {}
        for instruction in stage.instructions:
            if not isinstance(instruction, (Cmd, Entrypoint, Healthcheck)):
                continue
            before = last.get(instruction.keyword)
            if before is not None:
                message = (
                    f"Multiple {instruction.source.written} instructions should not be used in the same stage "
                    "because only the last one will be used"
                )
                yield Finding(message, before.span, before, "Remove this one.")
            last[instruction.keyword] = instruction


def _legacy(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        for instruction in stage.instructions:
            if isinstance(instruction, (Env, Label)) and instruction.legacy and instruction.pairs:
                written = instruction.source.written
                message = f'"{written} key=value" should be used instead of legacy "{written} key value" format'
                yield Finding(message, instruction.span, instruction, "Put = between name and value.")


RULES = (
    Rule("NoEmptyContinuation", "Empty continuation lines will become errors in a future release", _empty_continuation),
    Rule(
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
        check_step=_json_args,
    ),
    Rule(
        "MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        _maintainer,
    ),
    Rule(
        "MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
        _repeated,
    ),
    Rule("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used", _legacy),
)
