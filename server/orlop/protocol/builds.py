"""Wire types of builds: what a Dockerfile asks for, a build's parameters, its events and its result."""

from __future__ import annotations

from typing import Literal

import attrs

from orlop.protocol.common import Note, TextLocation, TextRange, Token


@attrs.frozen(kw_only=True)
class DockerfileDescribeParams:
    """A Dockerfile on the server's host; `text` replaces what the disk holds (an unsaved editor)."""

    path: str
    text: str | None = None


@attrs.frozen(kw_only=True)
class StageInfo:
    """One build stage; `name` is null for a nameless one."""

    index: int
    name: str | None
    base: str
    line: int


@attrs.frozen(kw_only=True)
class ArgInfo:
    """One ARG; `required` when it has no default and something uses it. `stage` is null for a global one."""

    name: str
    default: str | None
    required: bool
    stage: str | None
    line: int


@attrs.frozen(kw_only=True)
class ProblemInfo:
    """One finding in a Dockerfile."""

    code: str
    severity: Literal["error", "warning"]
    message: str
    hint: str | None
    range: TextRange


@attrs.frozen(kw_only=True)
class DockerfileDescribeResult:
    """What a build of this file may ask a person for."""

    stages: list[StageInfo]
    args: list[ArgInfo]
    default_tag: str
    context: str
    problems: list[ProblemInfo]


@attrs.frozen(kw_only=True)
class BuildParams:
    """One build; paths are on the server's host. `dockerfile` defaults to the one in `context`.

    Base images that are missing are pulled; with `pull` all of them are asked for again.
    """

    context: str
    dockerfile: str | None = None
    tags: list[str] = attrs.field(factory=list)
    target: str | None = None
    build_args: dict[str, str] = attrs.field(factory=dict)
    labels: dict[str, str] = attrs.field(factory=dict)
    no_cache: bool = False
    pull: bool = False
    network: Literal["default", "none", "host"] = "default"
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class BuildResult:
    """The image that was built; seconds are wall time."""

    id: str
    tags: list[str]
    size: int
    seconds: float
    steps: int
    cached: int


@attrs.frozen(kw_only=True)
class StepInfo:
    """One step of the plan; `name` reads `[build 2/5] RUN npm ci`, `line` is 1-based."""

    id: int
    stage: str | None
    name: str
    line: int


@attrs.frozen(kw_only=True)
class BuildStarted:
    """The plan is made."""

    kind: Literal["started"] = "started"
    steps: list[StepInfo]


@attrs.frozen(kw_only=True)
class StepStarted:
    """A step runs."""

    kind: Literal["step-started"] = "step-started"
    id: int


@attrs.frozen(kw_only=True)
class StepCached:
    """A step's result was there already."""

    kind: Literal["step-cached"] = "step-cached"
    id: int


@attrs.frozen(kw_only=True)
class StepLog:
    """Text that a step's process wrote."""

    kind: Literal["step-log"] = "step-log"
    id: int
    stream: Literal["stdout", "stderr"]
    text: str


@attrs.frozen(kw_only=True)
class StepDone:
    """A step is finished."""

    kind: Literal["step-done"] = "step-done"
    id: int
    seconds: float


@attrs.frozen(kw_only=True)
class StepFailed:
    """A step failed, and with it the build."""

    kind: Literal["step-failed"] = "step-failed"
    id: int
    message: str
    location: TextLocation | None


@attrs.frozen(kw_only=True)
class ContextRead:
    """The build context was walked: files and bytes that the build uses."""

    kind: Literal["context"] = "context"
    files: int
    bytes: int


@attrs.frozen(kw_only=True)
class BuildWarning:
    """A finding that does not stop the build."""

    kind: Literal["warning"] = "warning"
    code: str
    message: str
    location: TextLocation | None


BuildEvent = (
    BuildStarted | StepStarted | StepCached | StepLog | StepDone | StepFailed | ContextRead | BuildWarning | Note
)
