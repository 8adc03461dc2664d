"""The work that a Dockerfile asks for, as values: stages with their bases and steps, and what their images will say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from orlop.builder.draft import HistoryLine
from orlop.builder.events import StepInfo
from orlop.builder.operations import CopyOp, ImageOrigin, Step
from orlop.core.errors import Location
from orlop.core.imageconfig import ImageConfig, RunConfig
from orlop.core.platform import Platform
from orlop.core.reference import Reference


@attrs.frozen(slots=True)
class ScratchBase:
    """Nothing at all."""


@attrs.frozen(slots=True)
class StageBase:
    """The result of an earlier stage."""

    index: int


@attrs.frozen(slots=True)
class ImageBase:
    """An image, with the configuration it has; `step` is how people see it being taken."""

    reference: Reference
    config: ImageConfig
    step: StepInfo


@attrs.frozen(slots=True)
class StagePlan:
    """One stage: where it starts, what it does, and what its image would say.

    `history` is this stage's own; that of the base comes before it. `variables` and `declared` are what a stage built
    from this one inherits.
    """

    index: int
    label: str
    base: ScratchBase | StageBase | ImageBase
    steps: tuple[Step, ...]
    config: RunConfig
    author: str
    history: tuple[HistoryLine, ...]
    variables: Mapping[str, str]
    declared: tuple[tuple[str, str], ...]


@attrs.frozen(slots=True)
class Plan:
    """All stages the target needs, by index; `platform` is that of the image to be.

    `unused_args` are build arguments that nothing declared.
    """

    stages: Mapping[int, StagePlan]
    target: int
    platform: Platform
    labels: Mapping[str, str]
    epoch: int | None
    unused_args: tuple[str, ...]

    @property
    def final(self) -> StagePlan:
        """The stage that becomes the image."""
        return self.stages[self.target]

    def image_sources(self) -> Iterator[tuple[Reference, Location]]:
        """Every image that a step copies from, and where it says so."""
        for stage in self.stages.values():
            for step in stage.steps:
                if isinstance(step.operation, CopyOp) and isinstance(step.operation.origin, ImageOrigin):
                    yield step.operation.origin.reference, step.location

    def chain(self, index: int) -> tuple[StagePlan, ...]:
        """The stage and those it is built from, the lowest first."""
        stage = self.stages[index]
        return (*(self.chain(stage.base.index) if isinstance(stage.base, StageBase) else ()), stage)

    def steps(self) -> Iterator[StepInfo]:
        """Every step in the order of the Dockerfile, bases first."""
        for stage in self.stages.values():
            label = stage.label or None
            if isinstance(stage.base, ImageBase):
                yield stage.base.step
            for step in stage.steps:
                yield StepInfo(step.id, label, step.index, step.total, step.name, step.location.line + 1)
