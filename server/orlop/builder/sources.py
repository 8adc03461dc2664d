"""What every COPY and ADD of a plan takes from the build context, found before anything runs.

A source that is not there fails the build at once, and says why: hidden by the ignore file (which line), mistyped
(near names), or outside the context.
"""

from __future__ import annotations

from collections.abc import Mapping

from orlop.builder.context import Context, Match, Missing
from orlop.builder.contexthash import ContextHasher, Selection
from orlop.builder.operations import ContextOrigin, CopyOp, Step
from orlop.builder.plan import Plan
from orlop.core import errors
from orlop.core.job import Job
from orlop.dockerfile.problems import suggest


def select(
    plan: Plan, context: Context, hasher: ContextHasher, ignore_path: str | None, job: Job
) -> Mapping[int, Selection]:
    """What each step takes from the context, by step id; raises `BuildFailed` for a missing source."""
    selections: dict[int, Selection] = {}
    for stage in plan.stages.values():
        for step in stage.steps:
            operation = step.operation
            if isinstance(operation, CopyOp) and isinstance(operation.origin, ContextOrigin):
                matches = _matches(step, operation, context, ignore_path, job)
                selections[step.id] = hasher.select(matches, job)
    return selections


def _matches(step: Step, operation: CopyOp, context: Context, ignore_path: str | None, job: Job) -> list[Match]:
    matches: list[Match] = []
    for source in operation.sources:
        try:
            found = context.find(source, operation.excludes, job)
        except errors.OrlopError as error:
            error.location = error.location or step.location
            raise
        if isinstance(found, Missing):
            raise _not_found(found, step, context, ignore_path)
        matches += found
    return matches


def _not_found(missing: Missing, step: Step, context: Context, ignore_path: str | None) -> errors.BuildFailed:
    message = f'failed to compute cache key: "/{missing.path}": not found'
    hint: str | None = None
    if missing.hidden is not None and context.ignore is not None:
        status = context.status(missing.hidden)
        match = context.ignore.match(missing.hidden, is_dir=status is not None and _is_dir(status.st_mode))
        message += f" (excluded by {ignore_path}:{match.line}: {match.pattern})"
        hint = f"Remove that line, or add !{missing.hidden} below it."
    else:
        near = suggest(missing.wanted, context.names_in(missing.reached))
        if near:
            folder = f"{missing.reached}/" if missing.reached else ""
            hint = f"Did you mean {folder}{near}? Paths are relative to the build context {context.root}."
        else:
            hint = f"Paths are relative to the build context {context.root} and cannot leave it."
    return errors.BuildFailed(message, hint=hint, location=step.location)


def _is_dir(mode: int) -> bool:
    return (mode & 0o170000) == 0o040000
