"""Handlers of `image/build` and `dockerfile/describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orlop.builder import events
from orlop.core import reference
from orlop.engine.builds import BuildOptions
from orlop.engine.engine import Engine
from orlop.protocol import builds, common
from orlop.rpc import convert
from orlop.rpc.dispatch import Call


class BuildHandlers:
    """Answers about builds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self, params: builds.DockerfileDescribeParams, _: Call) -> builds.DockerfileDescribeResult:
        """Stages, arguments and findings of a Dockerfile."""
        return convert.description(self._engine.builds.describe(Path(params.path), params.text))

    def build(self, params: builds.BuildParams, call: Call) -> builds.BuildResult:
        """Build, telling each event as it happens."""
        tags = tuple(reference.parse(tag).or_latest() for tag in params.tags)
        options = BuildOptions(
            context=Path(params.context),
            dockerfile=Path(params.dockerfile) if params.dockerfile else None,
            tags=tags,
            target=params.target,
            build_args=params.build_args,
            labels=params.labels,
            no_cache=params.no_cache,
            pull=params.pull,
            network=params.network,
        )
        teller = _Teller(call)
        result = self._engine.builds.build(options, call.job(teller))
        return convert.build_result(result, [tag.familiar for tag in tags])


class _Teller:
    """Sends events; a log that the client cannot keep up with is cut, and the cut is told."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._names: dict[int, str] = {}
        self._dropped = 0

    def __call__(self, event: Any, /) -> None:
        if isinstance(event, events.BuildStarted):
            self._names = {step.id: step.name for step in event.steps}
        if isinstance(event, events.StepStarted):
            self._call.report(self._names.get(event.id, ""))
        if isinstance(event, events.StepLog) and self._call.stream.flooded:
            self._dropped += event.data.count("\n")
            return
        if self._dropped:
            text = f"dropped {self._dropped} lines of log that came faster than they could be shown"
            self._call.stream.push(common.Note(level="warning", message=text))
            self._dropped = 0
        wire, characters = convert.build_event(event)
        if wire is not None:
            self._call.stream.push(wire, characters)
