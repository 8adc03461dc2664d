"""What stages build on and copy from: bases, targets, which stages a target needs, and references that cannot work.

Source: the Dockerfile reference, "FROM"; BuildKit's `dockerfile2llb/convert.go`. Names are compared without case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from orlop.dockerfile import expand, imagename
from orlop.dockerfile.instructions import Copy, Instruction, OnBuild, Run
from orlop.dockerfile.mounts import Mount
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.position import Position, Span
from orlop.dockerfile.problems import Problem, did_you_mean, error, quoted, suggest
from orlop.dockerfile.stage import Stage

__all__ = [
    "SCRATCH", "Dependency", "Stage", "StageBase", "StageError", "check_references", "dependencies", "find_stage",
    "global_values", "needed_stages", "resolve_target", "stage_bases",
]  # fmt: skip

SCRATCH = "scratch"
_NUMBER = re.compile(r"[+-]?[0-9]+")


class StageError(ValueError):
    """A stage that does not exist or cannot be used; `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@attrs.frozen(slots=True)
class StageBase:
    """What a stage builds on: `parent` when that is an earlier stage, else the image of that name.

    `image` and `platform` are expanded; `problem` is set when they cannot be used.
    """

    stage: Stage
    image: str
    parent: Stage | None
    platform: str | None
    problem: Problem | None = None

    @property
    def is_scratch(self) -> bool:
        """Whether the stage starts from nothing."""
        return self.parent is None and self.image == SCRATCH


@attrs.frozen(slots=True)
class Dependency:
    """A stage reads another, `source`, by its `COPY --from` or by a mount; `name` as written, `span` its place."""

    stage: Stage
    source: Stage
    instruction: Instruction
    name: str
    mount: Mount | None
    span: Span


def resolve_target(dockerfile: Dockerfile, target: str | None) -> Stage:
    """The stage of a name, the last one without a name; raises `StageError`. Numbers are no names."""
    if not dockerfile.stages:
        start = Span(Position(0, 0), Position(0, 0))
        raise StageError(error("no-stages", "dockerfile contains no stages to build", start, "Start one with FROM."))
    if not target:
        return dockerfile.stages[-1]
    stage = find_stage(dockerfile.stages, target)
    if stage is None:
        meant = suggest(target, [item.label for item in dockerfile.stages])
        message = f"target stage {quoted(target)} could not be found{did_you_mean(meant)}"
        names = ", ".join(item.name for item in dockerfile.stages if item.name)
        hint = f"Choose one of {names}." if names else "Name a stage with FROM ... AS name."
        raise StageError(error("unknown-target", message, dockerfile.stages[-1].from_.span, hint))
    return stage


def find_stage(stages: tuple[Stage, ...], name: str) -> Stage | None:
    """The last of the stages that has the name."""
    wanted = name.lower()
    return next((stage for stage in reversed(stages) if stage.name == wanted), None)


def global_values(
    dockerfile: Dockerfile, build_args: Mapping[str, str], platform_args: Mapping[str, str]
) -> dict[str, str]:
    """The variables FROM sees: the automatic ones, then the ARGs before the first FROM; raises `StageError`."""
    values = {name: build_args.get(name, value) for name, value in platform_args.items()}
    for arg in dockerfile.global_args:
        for name, default in arg.entries:
            if name in build_args:
                values[name] = build_args[name]
            elif default is not None:
                values[name] = _expanded(default.text, default.span, values, dockerfile.escape)
    return values


def stage_bases(
    dockerfile: Dockerfile, build_args: Mapping[str, str], platform_args: Mapping[str, str]
) -> tuple[StageBase, ...]:
    """The base of each stage, in order; raises `StageError` for a global ARG that cannot be expanded."""
    values = global_values(dockerfile, build_args, platform_args)
    return tuple([_base(dockerfile, stage, values) for stage in dockerfile.stages])


def dependencies(dockerfile: Dockerfile, stage: Stage, instructions: tuple[Instruction, ...]) -> Iterator[Dependency]:
    """The stages that instructions of a stage read; raises `StageError` for a reference that can mean nothing.

    Names that are no stage are images and not told.
    """
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.from_ is not None:
            flag = instruction.flag("from")
            span = flag.value_span if flag else instruction.span
            source = _copied(dockerfile, instruction.from_, span)
            if source is not None:
                yield Dependency(stage, source, instruction, instruction.from_, None, span)
        elif isinstance(instruction, Run):
            for mount in instruction.mounts:
                word = mount.word("from")
                source = find_stage(dockerfile.stages, word.text) if word else None
                if word is not None and source is not None:
                    yield Dependency(stage, source, instruction, word.text, mount, word.span)


def check_references(dockerfile: Dockerfile) -> tuple[Problem, ...]:
    """All that is wrong with references between the stages of a file, needed or not: as BuildKit, then forward ones."""
    problems: list[Problem] = []
    edges: list[list[Dependency]] = []
    for stage in dockerfile.stages:
        found: list[Dependency] = []
        for instruction in stage.instructions:
            try:
                found += dependencies(dockerfile, stage, (instruction,))
            except StageError as wrong:
                problems.append(wrong.problem)
        edges.append(found)
    cycle = _cycle(edges)
    if cycle is not None:
        problems.append(cycle)
    circular = cycle.span if cycle else None
    problems += [
        _too_early(edge)
        for found in edges
        for edge in found
        if edge.source.index >= edge.stage.index and edge.span != circular
    ]
    return tuple(problems)


def needed_stages(dockerfile: Dockerfile, bases: tuple[StageBase, ...], target: Stage) -> tuple[Stage, ...]:
    """The stages that must be built for a target, it included, in order; raises `StageError`.

    Triggers of a stage that another builds on fire there, and may need stages of their own.
    """
    edges = [list(dependencies(dockerfile, stage, stage.instructions)) for stage in dockerfile.stages]
    cycle = _cycle(edges)
    if cycle is not None:
        raise StageError(cycle)
    needed: set[int] = set()
    waiting = [target.index]
    while waiting:
        index = waiting.pop()
        if index in needed:
            continue
        needed.add(index)
        parent = bases[index].parent
        if parent is not None:
            waiting.append(parent.index)
            fired = tuple([item.instruction for item in parent.instructions if isinstance(item, OnBuild)])
            edges[index] += dependencies(dockerfile, dockerfile.stages[index], fired)
        waiting += [edge.source.index for edge in edges[index]]
    for index in sorted(needed):
        for edge in edges[index]:
            if edge.source.index >= index:
                raise StageError(_too_early(edge))
    return tuple([dockerfile.stages[index] for index in sorted(needed)])


def _base(dockerfile: Dockerfile, stage: Stage, values: Mapping[str, str]) -> StageBase:
    word, platform_word = stage.from_.image, stage.from_.platform
    if not word.text:
        # The parser has said that the name is missing.
        return StageBase(stage, "", None, None)
    platform: str | None = None
    try:
        image = _expanded(word.text, word.span, values, dockerfile.escape)
        if platform_word is not None:
            platform = _expanded(platform_word.text, platform_word.span, values, dockerfile.escape)
    except StageError as wrong:
        return StageBase(stage, word.text, None, None, wrong.problem)
    if not image:
        hint = "Give the ARG before FROM a default, or pass it as a build argument."
        message = f"base name ({word.text}) should not be blank"
        return StageBase(stage, "", None, platform, error("blank-base", message, word.span, hint))
    if platform_word is not None and not platform:
        message = f"empty platform value from expression {platform_word.text}"
        return StageBase(stage, image, None, "", error("blank-platform", message, platform_word.span))
    parent = find_stage(dockerfile.stages[: stage.index], image) if image != SCRATCH else None
    wrong_name = imagename.complaint(image) if parent is None and image != SCRATCH else None
    problem: Problem | None = None
    if wrong_name is not None:
        problem = error("invalid-image-name", f"failed to parse stage name {quoted(image)}: {wrong_name}", word.span)
    return StageBase(stage, image, parent, platform, problem)


def _expanded(text: str, span: Span, values: Mapping[str, str], escape: str) -> str:
    try:
        return expand.expand(text, values, escape)
    except expand.ExpandError as wrong:
        raise StageError(error("substitution", str(wrong), span)) from None


def _copied(dockerfile: Dockerfile, name: str, span: Span) -> Stage | None:
    """The stage that `COPY --from` means, by number or by name; None for an image."""
    if _expanded(name, span, {}, dockerfile.escape) != name:
        message = (
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
            "as a workaround"
        )
        hint = "Write FROM with the variable AS a name, and copy from that name."
        raise StageError(error("variable-in-from", message, span, hint))
    if _NUMBER.fullmatch(name):
        index = int(name[-9:]) if name[0] != "-" else -1
        if name[0] == "-" or len(name) > 9 or index >= len(dockerfile.stages):
            message = f"invalid stage index {name.lstrip('+')}"
            last = len(dockerfile.stages) - 1
            raise StageError(error("invalid-stage-index", message, span, f"Stages count from 0; the last is {last}."))
        return dockerfile.stages[index]
    return find_stage(dockerfile.stages, name)


def _too_early(edge: Dependency) -> Problem:
    if edge.mount is not None:
        word = edge.mount.word("target", "dst", "destination")
        target = quoted(word.text if word else "")
        message = (
            f"cannot mount from stage {quoted(edge.name)} to {target}, stage needs to be defined before current command"
        )
    else:
        message = (
            f"cannot copy from stage {quoted(edge.name)}, "
            f"it needs to be defined before current stage {quoted(edge.stage.label)}"
        )
    return error("stage-too-early", message, edge.span, "Move that stage up.")


def _cycle(edges: list[list[Dependency]]) -> Problem | None:
    """The first circle among the stages, told at its first step; the name is that of the stage the search began at."""
    finished: set[int] = set()
    for start in range(len(edges)):
        path: list[Dependency] = []
        on_path = {start}
        stack = [iter(edges[start])]
        if start in finished:
            continue
        while stack:
            edge = next(stack[-1], None)
            if edge is None:
                stack.pop()
                done = path.pop().source.index if path else start
                on_path.discard(done)
                finished.add(done)
            elif edge.source.index in on_path:
                first = (path or [edge])[0]
                message = f"circular dependency detected on stage: {first.stage.label}"
                return error("circular-dependency", message, first.span)
            elif edge.source.index not in finished:
                path.append(edge)
                on_path.add(edge.source.index)
                stack.append(iter(edges[edge.source.index]))
    return None
