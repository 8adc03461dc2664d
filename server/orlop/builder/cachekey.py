"""The names of results: equal keys mean that running a step again could only give the same layer.

A key is a hash over everything that the step can see, chained to the key of the state it starts from. What it cannot
see (labels, CMD, EXPOSE, comments, host owners and times of context files, proxies) stays out. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import attrs

from orlop.builder.operations import (
    ContextOrigin,
    CopyOp,
    ImageOrigin,
    InlineFile,
    Operation,
    RunOp,
    StageOrigin,
    Step,
    WorkdirOp,
)
from orlop.builder.plan import ImageBase, Plan, ScratchBase, StageBase, StagePlan
from orlop.core.digest import Digest
from orlop.core.platform import Platform
from orlop.core.reference import Reference

# Raised whenever the meaning of a step changes, so that no result of older code is taken for one of newer code.
VERSION = "1"


def of_parts(kind: str, parts: Iterable[str | bytes]) -> str:
    """The hex key of a list of parts; every part is framed by its length, so no two lists look alike."""
    hasher = hashlib.sha256()
    for part in (VERSION, kind, *parts):
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def of_image(diff_ids: tuple[Digest, ...], platform: Platform) -> str:
    """The state of an image's file system; images of equal layers are one state, whatever their names."""
    return of_parts("image", (str(platform), *map(str, diff_ids)))


def of_scratch(platform: Platform) -> str:
    """The empty state."""
    return of_parts("image", (str(platform),))


@attrs.frozen(slots=True)
class Keys:
    """The state of each image and of each stage's start; the key of every step and the state after it, by step id.

    A state is named by the key of the step that first made it. It differs from the step's own key where another step
    is known to have given the same result.
    """

    images: Mapping[Reference, str]
    starts: Mapping[int, str]
    steps: Mapping[int, str]
    states: Mapping[int, str]

    def end(self, stage: StagePlan) -> str:
        """The state that a stage ends in."""
        return self.states[stage.steps[-1].id] if stage.steps else self.starts[stage.index]


def of_plan(
    plan: Plan,
    images: Mapping[Reference, str],
    contents: Mapping[int, str],
    known_state: Callable[[str], str | None] = lambda _: None,
) -> Keys:
    """The keys of a whole plan.

    `images` has the key of every image the plan names, `contents` the content digest of what each step takes from
    the build context, by step id. `known_state` tells the state that a key is known to give.
    """
    starts: dict[int, str] = {}
    steps: dict[int, str] = {}
    states: dict[int, str] = {}
    ends: dict[int, str] = {}

    def visit(index: int) -> str:
        if index in ends:
            return ends[index]
        stage = plan.stages[index]
        match stage.base:
            case StageBase(index=below):
                state = visit(below)
            case ImageBase(reference=name):
                state = images[name]
            case ScratchBase():
                state = of_scratch(plan.platform)
        starts[index] = state
        for step in stage.steps:
            key = of_step(state, step.operation, sources(step))
            state = known_state(key) or key
            steps[step.id] = key
            states[step.id] = state
        ends[index] = state
        return state

    def sources(step: Step) -> str:
        if not isinstance(step.operation, CopyOp):
            return ""
        match step.operation.origin:
            case ContextOrigin():
                return contents[step.id]
            case StageOrigin(index=other):
                return visit(other)
            case ImageOrigin(reference=name):
                return images[name]

    for index in plan.stages:
        visit(index)
    return Keys(images, starts, steps, states)


def of_copy_by_layers(parent: str, operation: CopyOp, layers: tuple[str, ...]) -> str:
    """A second key of a copy from another state: that of the layers which decide what is copied."""
    return of_parts("copy by layers", (parent, *_copy(operation), *layers))


def of_step(parent: str, operation: Operation, sources: str = "") -> str:
    """The key of the state after `operation` on the state `parent`.

    `sources` names what a COPY or ADD takes: the content digest of the selected context entries, or the key of the
    stage or image it copies from.
    """
    match operation:
        case RunOp():
            return of_parts("run", (parent, *_run(operation)))
        case CopyOp():
            return of_parts("copy", (parent, *_copy(operation), sources))
        case WorkdirOp():
            return of_parts("workdir", (parent, operation.path, operation.user))


def _run(operation: RunOp) -> Iterable[str | bytes]:
    yield from _listed(operation.argv)
    yield from _listed(operation.environment)
    yield from (operation.user, operation.working_dir, operation.network, operation.hostname)
    if operation.script is not None:
        yield from _inline((operation.script,))


def _copy(operation: CopyOp) -> Iterable[str | bytes]:
    yield "unpack" if operation.unpack else "plain"
    yield from (operation.destination, operation.chown or "", operation.chmod or "")
    yield from _listed(operation.excludes)
    yield from _inline(operation.inline)
    match operation.origin:
        case ContextOrigin():
            # The selection's digest stands for the sources: `./a`, `a` and `["a"]` are one thing.
            yield "context"
        case StageOrigin() | ImageOrigin():
            yield "snapshot"
            yield from _listed(operation.sources)


def _inline(files: tuple[InlineFile, ...]) -> Iterable[str | bytes]:
    yield str(len(files))
    for file in files:
        yield file.name
        yield file.data


def _listed(words: tuple[str, ...]) -> Iterable[str]:
    yield str(len(words))
    yield from words
