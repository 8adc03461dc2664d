"""COPY and ADD: the selected files of the context, or files of another state, into the snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orlop.builder import globs
from orlop.builder.context import Match
from orlop.builder.contexthash import Selection
from orlop.builder.operations import ContextOrigin, CopyOp
from orlop.core import errors
from orlop.core.job import Job
from orlop.rootfs import excludes
from orlop.rootfs.workshop import Workshop


def perform(
    operation: CopyOp,
    target: dict[str, Any],
    workshop: Workshop,
    job: Job,
    *,
    context_root: str | None,
    selection: Selection | None,
    source: list[str] | None,
    is_archive: Callable[[Match], bool],
) -> int:
    """Copy; the bytes of the files that are new in the upper directory.

    `selection` is what to take from the context at `context_root`, `source` the layers (topmost first) of the state
    to copy from. Raises `BuildFailed` for what cannot be placed.
    """
    if source is None and not isinstance(operation.origin, ContextOrigin):
        _refuse_missing(operation)
    matches = selection.matches if selection is not None else ()
    result = workshop.call(
        "copy",
        {
            "target": target,
            "destination": operation.destination,
            "context": context_root if matches else None,
            "matches": [_described(match, operation.unpack and is_archive(match)) for match in matches],
            "source": source,
            "sources": list(operation.sources) if source is not None else [],
            "excludes": excludes.compiled(operation.excludes),
            "inline": [[file.name, file.data.decode("utf-8", "surrogateescape")] for file in operation.inline],
            "chown": operation.chown,
            "chmod": operation.chmod,
        },
        job,
        on_event=lambda event: _warn(event, job),
    )
    size: int = result["size"]
    return size


def _refuse_missing(operation: CopyOp) -> None:
    """A state without any layer has nothing but its root to copy."""
    missing = next((path for path in operation.sources if path and not globs.has_wildcard(path)), None)
    if missing is not None:
        raise errors.BuildFailed(
            f'failed to compute cache key: failed to calculate checksum of ref: "/{missing}": not found',
            hint="The stage that is copied from is empty.",
        )


def _described(match: Match, unpack: bool) -> dict[str, Any]:
    return {
        "path": match.path,
        "name": match.name,
        "dir": match.is_dir,
        "unpack": unpack,
        "entries": [path for path, _ in match.entries],
    }


def _warn(event: dict[str, Any], job: Job) -> None:
    if event.get("event") == "warning":
        job.note(event["message"], "warning")
