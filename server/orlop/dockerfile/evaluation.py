"""The variables each instruction sees, walked through a file without building it.

Source: the Dockerfile reference, "Environment replacement" and "ARG"; BuildKit's `dockerfile2llb/convert.go`. ENV
and ARG share one list, the later line counts; a stage inherits both from the stage it is built on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from orlop.dockerfile import expand, stages
from orlop.dockerfile.heredoc import Heredoc
from orlop.dockerfile.instructions import (
    Add,
    Arg,
    Copy,
    Env,
    Expose,
    Instruction,
    Label,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.stages import Stage, StageBase
from orlop.dockerfile.words import Word

# The values are those of the most common machine; whoever knows better passes others.
AUTOMATIC_ARGS: Mapping[str, str] = {
    "BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDOSVERSION": "", "BUILDARCH": "amd64", "BUILDVARIANT": "",
    "TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETOSVERSION": "", "TARGETARCH": "amd64",
    "TARGETVARIANT": "", "TARGETSTAGE": "default",
}  # fmt: skip
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen(slots=True)
class BaseImage:
    """What is known of an image: its environment, `os/architecture`, and whether it sets a SHELL."""

    environment: Mapping[str, str]
    platform: str | None = None
    has_shell: bool = False


# Looks an image up by the name FROM has after expansion; None when nothing is known of it.
FindImage = Callable[[str], BaseImage | None]


@attrs.frozen(slots=True)
class Facts:
    """What is known besides the file."""

    build_args: Mapping[str, str] = attrs.field(factory=dict)
    platform_args: Mapping[str, str] = AUTOMATIC_ARGS
    find_image: FindImage | None = None


@attrs.frozen(slots=True)
class Step:
    """An instruction and what stands when its turn comes; the mappings hold until the next step is asked for.

    `declared` are the names of ARGs in force, with or without a value. `base_known` is False when the image at the
    bottom is not known, so that a missing variable may yet be there.
    """

    stage: Stage
    instruction: Instruction
    variables: Mapping[str, str]
    declared: frozenset[str]
    has_shell: bool
    base_known: bool


@attrs.define(slots=True)
class _State:
    variables: dict[str, str]
    declared: frozenset[str]
    has_shell: bool
    base_known: bool

    def copy(self) -> _State:
        return _State(dict(self.variables), self.declared, self.has_shell, self.base_known)


def walk(dockerfile: Dockerfile, facts: Facts) -> Iterator[Step]:
    """Every instruction of every stage, in order; global ARGs that cannot be expanded count as unset."""
    try:
        known = stages.global_values(dockerfile, facts.build_args, facts.platform_args)
    except stages.StageError:
        known = dict(facts.platform_args)
    finished: dict[int, _State] = {}
    for base in bases(dockerfile, facts):
        state = _start(base, finished, facts)
        for instruction in base.stage.instructions:
            yield Step(base.stage, instruction, state.variables, state.declared, state.has_shell, state.base_known)
            _apply(state, instruction, dockerfile.escape, known, facts.build_args)
        finished[base.stage.index] = state


def bases(dockerfile: Dockerfile, facts: Facts) -> tuple[StageBase, ...]:
    """The base of each stage; none when a global ARG cannot be expanded."""
    try:
        return stages.stage_bases(dockerfile, facts.build_args, facts.platform_args)
    except stages.StageError:
        return tuple(
            [StageBase(stage, stage.from_.image.text, None, None) for stage in dockerfile.stages]
        )  # fmt: skip


def expanded_words(instruction: Instruction) -> Iterator[Word]:
    """The words of an instruction that a build expands, except defaults of ARG, which may not be used."""
    match instruction:
        case Env() | Label():
            for name, value in instruction.pairs:
                yield name
                yield value
        case Copy() | Add():
            yield from (word for word in (instruction.chown, instruction.chmod) if word is not None)
            if isinstance(instruction, Add) and instruction.checksum is not None:
                yield instruction.checksum
            yield from instruction.sources
            yield instruction.destination
        case Run():
            for mount in instruction.mounts:
                # `from` must not hold variables, which the parser has told.
                yield from (field.value for field in mount.fields if field.value is not None and field.key != "from")
        case Workdir():
            yield instruction.path
        case User():
            yield instruction.user
        case Volume():
            yield from instruction.paths
        case StopSignal():
            yield instruction.signal
        case Expose():
            yield from instruction.words
        case _:
            return


def expanded_heredocs(instruction: Instruction) -> Iterator[Heredoc]:
    """The here-documents whose bodies a build expands."""
    if isinstance(instruction, (Copy, Add)):
        yield from (item for item in instruction.heredocs if item.expand)


def _start(base: StageBase, finished: Mapping[int, _State], facts: Facts) -> _State:
    if base.parent is not None and base.parent.index in finished:
        return finished[base.parent.index].copy()
    if base.is_scratch:
        return _State({"PATH": DEFAULT_PATH}, frozenset(), has_shell=False, base_known=True)
    image = facts.find_image(base.image) if facts.find_image and base.image else None
    if image is None:
        return _State({"PATH": DEFAULT_PATH}, frozenset(), has_shell=False, base_known=False)
    variables = {**image.environment}
    variables.setdefault("PATH", DEFAULT_PATH)
    return _State(variables, frozenset(), image.has_shell, base_known=True)


def _apply(
    state: _State, instruction: Instruction, escape: str, known: Mapping[str, str], build_args: Mapping[str, str]
) -> None:
    match instruction:
        case Env():
            before = dict(state.variables)
            for key, value in instruction.pairs:
                state.variables[_expand(key.text, before, escape)] = _expand(value.text, before, escape)
        case Arg():
            for name, default in instruction.entries:
                given = build_args.get(name)
                if given is None:
                    given = known.get(name) if default is None else _expand(default.text, state.variables, escape)
                state.declared |= {name}
                if given is not None:
                    state.variables[name] = given
        case Shell():
            state.has_shell = True
        case _:
            return


def _expand(text: str, variables: Mapping[str, str], escape: str) -> str:
    """The word expanded, or as it stands when that fails: the failure is told where the word is checked."""
    try:
        return expand.expand(text, variables, escape)
    except expand.ExpandError:
        return text
