"""Lint rules about paths: relative working directories, and sources the ignore file hides."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from orlop.dockerfile import evaluation, expand
from orlop.dockerfile.evaluation import Step
from orlop.dockerfile.instructions import Add, Copy, Workdir
from orlop.dockerfile.problems import quoted
from orlop.dockerfile.rules.rule import Finding, Rule, Subject

_REMOTE = re.compile(r"https?://|git://|ssh://|git@", re.IGNORECASE)
_WHOLE_CONTEXT = ("*", "**", "**/*")


def _relative(subject: Subject) -> Iterator[Finding]:
    """The first WORKDIR of a chain of stages; mending it mends all behind it."""
    decided: set[int] = set()
    parents = {base.stage.index: base.parent for base in subject.bases}
    settled: set[int] = set()
    for step in evaluation.walk(subject.dockerfile, subject.facts):
        index = step.stage.index
        parent = parents[index]
        if index not in settled:
            settled.add(index)
            if parent is not None and parent.index in decided:
                decided.add(index)
        if not isinstance(step.instruction, Workdir) or index in decided:
            continue
        decided.add(index)
        word = step.instruction.path
        try:
            expansion = expand.examine(word.text, step.variables, subject.dockerfile.escape)
        except expand.ExpandError:
            continue
        # With a variable that an unknown base image may set nobody can tell.
        unsure = not step.base_known and any(not use.is_set for use in expansion.uses)
        if not expansion.text.startswith("/") and not unsure and word.text:
            message = f"Relative workdir {quoted(expansion.text)} can have unexpected results if the base image changes"
            yield Finding(message, word.span, step.instruction, "Write an absolute path.")


def _ignored(subject: Subject, step: Step) -> Iterator[Finding]:
    ignore, instruction = subject.ignore, step.instruction
    # With exceptions in the file a directory may be ignored and yet have something to copy.
    if ignore is None or ignore.has_negation or not isinstance(instruction, (Copy, Add)):
        return
    if isinstance(instruction, Copy) and instruction.from_ is not None:
        return
    verb = "Add" if isinstance(instruction, Add) else "Copy"
    for word in instruction.sources:
        try:
            source = expand.expand(word.text, step.variables, subject.dockerfile.escape)
        except expand.ExpandError:
            continue
        if _REMOTE.match(source):
            continue
        source = posixpath.normpath(source)
        if source in (".", "/"):
            found = next((item for item in ignore.patterns if item.path.text in _WHOLE_CONTEXT), None)
            line = found.line if found else None
        else:
            line = ignore.match(source).line
        if line is not None:
            message = f"Attempting to {verb} file {quoted(source)} that is excluded by .dockerignore"
            hint = f"Change line {line} of the ignore file, or copy something else."
            yield Finding(message, word.span, instruction, hint)


RULES = (
    Rule(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the "
        "base image changes",
        _relative,
    ),
    Rule("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", check_step=_ignored),
)
