"""Engine values as wire values, by hand: what the engine knows and what the editor sees may change apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orlop.builder import events
from orlop.builder.build import BuildResult
from orlop.core import errors, job
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem
from orlop.engine.dockerfiles import Description
from orlop.engine.inspection import HistoryRow
from orlop.protocol import builds, common, images
from orlop.store.images import Image


def image_summary(image: Image, containers: int) -> images.ImageSummary:
    """One row of the tree."""
    return images.ImageSummary(
        id=str(image.id),
        short_id=image.id.short,
        tags=[
            images.ImageTag(
                reference=str(reference),
                full_tag=reference.familiar,
                repository=_tree_repository(reference.domain, reference.path, reference.repository),
                tag=reference.tag or "<none>",
            )
            for reference in image.references
        ],
        repo_digests=[str(reference) for reference in image.repo_digests],
        created=image.config.created,
        size=image.size,
        platform=str(image.config.platform),
        labels=dict(image.config.config.labels),
        exposed_ports=list(image.config.config.exposed_ports),
        containers=containers,
    )


def history_row(row: HistoryRow) -> images.HistoryRow:
    """One step of an image."""
    return images.HistoryRow(
        id=row.id, created=row.created, created_by=row.created_by, size=row.size, comment=row.comment,
        empty_layer=row.empty_layer,
    )  # fmt: skip


def description(value: Description) -> builds.DockerfileDescribeResult:
    """What a build prompt needs; columns become UTF-16."""
    lines = value.text.splitlines()
    return builds.DockerfileDescribeResult(
        stages=[
            builds.StageInfo(index=stage.index, name=stage.name, base=stage.base, line=stage.line)
            for stage in value.stages
        ],
        args=[
            builds.ArgInfo(name=arg.name, default=arg.default, required=arg.required, stage=arg.stage, line=arg.line)
            for arg in value.args
        ],
        default_tag=value.default_tag,
        context=str(value.context),
        problems=[problem(item, lines) for item in value.problems],
    )


def problem(item: Problem, lines: list[str]) -> builds.ProblemInfo:
    """One finding."""
    return builds.ProblemInfo(
        code=item.code, severity=item.severity, message=item.message, hint=item.hint, range=text_range(item.span, lines)
    )


def text_range(span: Span, lines: list[str]) -> common.TextRange:
    """A span in UTF-16 columns."""
    return common.TextRange(
        start_line=span.start.line,
        start_column=utf16(lines, span.start.line, span.start.column),
        end_line=span.end.line,
        end_column=utf16(lines, span.end.line, span.end.column),
    )


def utf16(lines: list[str], line: int, column: int) -> int:
    """The UTF-16 column of a column in code points."""
    if line >= len(lines) or lines[line].isascii():
        return column
    return len(lines[line][:column].encode("utf-16-le", "surrogatepass")) // 2


def build_result(result: BuildResult, tags: list[str]) -> builds.BuildResult:
    """The end of a build."""
    return builds.BuildResult(
        id=str(result.image.id), tags=tags, size=result.image.size, seconds=result.seconds, steps=result.total,
        cached=result.cached,
    )  # fmt: skip


def build_event(event: Any) -> tuple[builds.BuildEvent | None, int]:
    """The wire form of what a build tells, and how many characters of text it carries."""
    match event:
        case events.BuildStarted():
            steps = [
                builds.StepInfo(id=step.id, stage=step.stage, name=step.name, line=step.line) for step in event.steps
            ]
            return builds.BuildStarted(steps=steps), 0
        case events.StepStarted():
            return builds.StepStarted(id=event.id), 0
        case events.StepCached():
            return builds.StepCached(id=event.id), 0
        case events.StepLog():
            return builds.StepLog(id=event.id, stream=event.stream, text=event.data), len(event.data)
        case events.StepDone():
            return builds.StepDone(id=event.id, seconds=event.seconds), 0
        case events.StepFailed():
            return builds.StepFailed(id=event.id, message=event.message, location=location(event.location)), 0
        case events.ContextRead():
            return builds.ContextRead(files=event.files, bytes=event.bytes), 0
        case events.BuildWarning():
            return builds.BuildWarning(code=event.code, message=event.message, location=location(event.location)), 0
        case job.Note():
            return common.Note(level=event.level, message=event.message), len(event.message)
    return None, 0


def transfer_event(event: Any) -> images.TransferEvent | None:
    """The wire form of what a load tells."""
    match event:
        case job.TransferProgress():
            return images.LayerProgress(digest=event.digest, phase=event.phase, done=event.done, total=event.total)
        case job.Note():
            return common.Note(level=event.level, message=event.message)
    return None


def location(value: errors.Location | None) -> common.TextLocation | None:
    """A place in a file."""
    if value is None:
        return None
    return common.TextLocation(
        path=str(Path(value.path)),
        range=common.TextRange(
            start_line=value.line, start_column=value.column, end_line=value.end_line, end_column=value.end_column
        ),
    )


def _tree_repository(domain: str, path: str, whole: str) -> str:
    """Official images stand bare, all others with their registry, as people know it from the Docker sidebar."""
    return path.removeprefix("library/") if domain == "docker.io" and path.startswith("library/") else whole
