"""The names of results: equal keys mean that running a step again could only give the same layer.

A key is a hash over everything that the step can see, chained to the key of the state it starts from. What it cannot
see (labels, CMD, EXPOSE, comments, host owners and times of context files, proxies) stays out. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

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
    """The key of every stage's start by stage index, and of the state after every step by step id."""

    starts: Mapping[int, str]
    steps: Mapping[int, str]

    def end(self, stage: StagePlan) -> str:
        """The key of a stage's result."""
        return self.steps[stage.steps[-1].id] if stage.steps else self.starts[stage.index]


def of_plan(plan: Plan, images: Mapping[Reference, str], contents: Mapping[int, str]) -> Keys:
    """The keys of a whole plan.

    `images` has the key of every image the plan names, `contents` the content digest of what each step takes from
    the build context, by step id.
    """
    starts: dict[int, str] = {}
    steps: dict[int, str] = {}
    ends: dict[int, str] = {}

    def visit(index: int) -> str:
        if index in ends:
            return ends[index]
        stage = plan.stages[index]
        match stage.base:
            case StageBase(index=below):
                key = visit(below)
            case ImageBase(reference=name):
                key = images[name]
            case ScratchBase():
                key = of_scratch(plan.platform)
        starts[index] = key
        for step in stage.steps:
            key = of_step(key, step.operation, sources(step))
            steps[step.id] = key
        ends[index] = key
        return key

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
    return Keys(starts, steps)


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
