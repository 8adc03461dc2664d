"""What a Dockerfile asks of whoever builds it: its stages, its build arguments, a good name, a context."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from orlop.core import errors
from orlop.dockerfile import parser
from orlop.dockerfile.instructions import Arg
from orlop.dockerfile.problems import Problem

NAMES = ("Dockerfile", "dockerfile", "Containerfile", "containerfile")


@attrs.frozen
class StageSummary:
    """One build stage; `line` is 1-based."""

    index: int
    name: str | None
    base: str
    line: int


@attrs.frozen
class ArgSummary:
    """One ARG; `required` when it has no default anywhere and no platform or proxy provides it."""

    name: str
    default: str | None
    required: bool
    stage: str | None
    line: int


@attrs.frozen
class Description:
    """All that a build prompt needs to know."""

    stages: tuple[StageSummary, ...]
    args: tuple[ArgSummary, ...]
    default_tag: str
    context: Path
    problems: tuple[Problem, ...]
    text: str


def describe(path: Path, text: str | None = None) -> Description:
    """Parse the Dockerfile at `path`, or `text` in its place; raises when it cannot be read."""
    content = read(path) if text is None else text
    tree = parser.parse(content)
    stages = tuple(
        StageSummary(stage.index, stage.name, stage.from_.image.text, stage.from_.lines[0]) for stage in tree.stages
    )
    return Description(
        stages=stages,
        args=_args(tree),
        default_tag=default_tag(path),
        context=path.parent,
        problems=tree.problems,
        text=content,
    )


def read(path: Path) -> str:
    """The text of a Dockerfile."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError as error:
        raise errors.NotFound(
            f"cannot find the Dockerfile {path}", hint="Check the path, or name the file with -f."
        ) from error
    except OSError as error:
        raise errors.from_os(error, f"read {path}") from error


def find(context: Path) -> Path:
    """The Dockerfile of a context folder; raises `NotFound`."""
    for name in NAMES:
        if (context / name).is_file():
            return context / name
    raise errors.NotFound(f"cannot find a Dockerfile in {context}", hint="Create one there, or name the file with -f.")


def default_tag(path: Path) -> str:
    """A valid repository name from the Dockerfile's folder, keeping its dots, dashes and underscores."""
    name = path.parent.resolve().name.lower()
    suffix = path.name.lower().removeprefix("dockerfile").removeprefix("containerfile").strip(".")
    if suffix and path.name.lower().startswith(("dockerfile.", "containerfile.")):
        name = f"{name}-{suffix}"
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", name)
    cleaned = re.sub(r"([._-])[._-]*", r"\1", cleaned).strip("._-")
    return f"{cleaned or 'image'}:latest"


def _args(tree: parser.Dockerfile) -> tuple[ArgSummary, ...]:
    found: dict[tuple[str, str | None], ArgSummary] = {}
    global_names = {name for arg in tree.global_args for name, _ in arg.entries}
    places: list[tuple[str | None, Arg]] = [(None, arg) for arg in tree.global_args]
    for stage in tree.stages:
        label = stage.name or str(stage.index)
        places += [(label, item) for item in stage.instructions if isinstance(item, Arg)]
    for where, arg in places:
        for name, default in arg.entries:
            required = default is None and not _provided(name) and (where is None or name not in global_names)
            summary = ArgSummary(name, default.text if default else None, required, where, arg.lines[0])
            found.setdefault((name, where), summary)
    return tuple(found.values())


def _provided(name: str) -> bool:
    upper = name.upper()
    return (
        upper.endswith("_PROXY")
        or upper.startswith(("TARGET", "BUILDKIT_", "SOURCE_DATE"))
        or (upper.startswith("BUILD") and upper[5:] in ("PLATFORM", "OS", "ARCH", "VARIANT", "OSVERSION"))
    )
