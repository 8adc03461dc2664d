"""What a lint rule is: a name, what it stands for, and a function that finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from orlop.dockerfile.evaluation import Facts, Step
from orlop.dockerfile.ignorefile import IgnoreFile
from orlop.dockerfile.instructions import Instruction
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.position import Span
from orlop.dockerfile.stages import StageBase


@attrs.frozen(slots=True)
class Subject:
    """What the rules look at: the file, what is known besides it, and the walk through its stages, made once."""

    dockerfile: Dockerfile
    facts: Facts
    ignore: IgnoreFile | None
    bases: tuple[StageBase, ...]


@attrs.frozen(slots=True)
class Finding:
    """One thing found; `instruction` is the one whose comments may switch the rule off."""

    message: str
    span: Span
    instruction: Instruction
    hint: str | None = None
    replacement: str | None = None


def _nothing(_: Subject) -> Iterator[Finding]:
    return iter(())


def nothing_at(_: Subject, __: Step) -> Iterator[Finding]:
    """What a rule that does not go step by step finds at one."""
    return iter(())


@attrs.frozen(slots=True)
class Rule:
    """A rule by BuildKit's name; `check` sees the whole file, `check_step` each instruction at its turn."""

    name: str
    description: str
    check: Callable[[Subject], Iterator[Finding]] = _nothing
    check_step: Callable[[Subject, Step], Iterator[Finding]] = nothing_at
    experimental: bool = False
