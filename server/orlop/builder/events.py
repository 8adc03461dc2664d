"""What a build tells while it runs; each event is a value handed to `job.tell`, from any thread.

`BuildStarted` comes once the plan is made. Every step then ends in exactly one of `StepCached`, `StepDone` and
`StepFailed`, unless the build ends before it starts or is cancelled while it runs. `BuildDone` comes last, only after
success.
"""

from __future__ import annotations

from typing import Literal

import attrs

from orlop.core.digest import Digest
from orlop.core.errors import Location
from orlop.core.reference import Reference


@attrs.frozen(slots=True)
class StepInfo:
    """One step of the plan.

    `stage` is the stage's name, None when the Dockerfile has a single stage; `index` of `total` counts the steps of
    that stage; `name` reads `[build 2/5] RUN npm ci`; `line` is 1-based.
    """

    id: int
    stage: str | None
    index: int
    total: int
    name: str
    line: int


@attrs.frozen(slots=True)
class BuildStarted:
    """The plan is made: these steps, in the order of the Dockerfile."""

    steps: tuple[StepInfo, ...]


@attrs.frozen(slots=True)
class ContextRead:
    """The build context was walked: files that the build uses, and their bytes."""

    files: int
    bytes: int


@attrs.frozen(slots=True)
class StepStarted:
    """A step runs; `time` is seconds since the epoch."""

    id: int
    time: float


@attrs.frozen(slots=True)
class StepCached:
    """A step's result was there already."""

    id: int


@attrs.frozen(slots=True)
class StepLog:
    """Text that a step's process wrote; pieces end anywhere, but never within a character."""

    id: int
    stream: Literal["stdout", "stderr"]
    data: str


@attrs.frozen(slots=True)
class StepDone:
    """A step is finished, after this many seconds."""

    id: int
    seconds: float


@attrs.frozen(slots=True)
class StepFailed:
    """A step failed, and with it the build."""

    id: int
    message: str
    location: Location | None


@attrs.frozen(slots=True)
class BuildWarning:
    """A finding that does not stop the build; `code` is the lint rule's name or a name of ours in kebab-case."""

    code: str
    message: str
    location: Location | None = None
    hint: str | None = None


@attrs.frozen(slots=True)
class BuildDone:
    """The image exists and has its tags; `cached` of `total` steps were not run."""

    image_id: Digest
    tags: tuple[Reference, ...]
    seconds: float
    cached: int
    total: int


BuildEvent = (
    BuildStarted | ContextRead | StepStarted | StepCached | StepLog | StepDone | StepFailed | BuildWarning | BuildDone
)
