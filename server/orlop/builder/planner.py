"""From a Dockerfile to the work it asks for: only the stages the target needs, each with its base and its steps.

Pure but for `find_image`, which gives the configuration of a base image. Whatever the builder cannot do yet is refused
here, by name and place, before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from orlop.builder import instructions, variables
from orlop.builder.draft import Draft, Surroundings
from orlop.builder.events import StepInfo
from orlop.builder.operations import ImageOrigin, Origin, StageOrigin, Step
from orlop.builder.plan import ImageBase, Plan, ScratchBase, StageBase, StagePlan
from orlop.builder.refusals import refuse_unsupported
from orlop.builder.variables import Variables
from orlop.core import errors, imageconfig, platform, reference
from orlop.core.errors import Location
from orlop.core.imageconfig import ImageConfig, RunConfig
from orlop.core.platform import Platform
from orlop.core.reference import Reference
from orlop.dockerfile import expand, imagename, parser, stages
from orlop.dockerfile import instructions as syntax
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem, quoted
from orlop.dockerfile.stage import Stage

HOSTNAME = "buildkitsandbox"

FindImage = Callable[[Reference, Location], ImageConfig]


@attrs.frozen(kw_only=True)
class PlanRequest:
    """What a person asks of a Dockerfile; `path` is its name in messages."""

    path: str
    target: str | None
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    network: str
    proxies: Mapping[str, str]
    build_platform: Platform
    target_platform: Platform


def make(tree: parser.Dockerfile, request: PlanRequest, find_image: FindImage) -> Plan:
    """Plan the build of `request.target`; raises `InvalidDockerfile`, `Unavailable`, or what `find_image` raises."""
    target = _target(tree, request)
    planner = _Planner(tree, request, target.name or "default", find_image)
    planner.visit(target.index)
    return Plan(
        stages=planner.numbered(),
        target=target.index,
        platform=request.target_platform,
        labels=dict(request.labels),
        epoch=_epoch(request),
        unused_args=planner.unused_args(),
    )


@attrs.define
class _Finished:
    """A stage that was carried out on paper, before its steps have numbers."""

    stage: Stage
    base: Reference | StageBase | None
    base_config: ImageConfig | None
    draft: Draft


class _Planner:
    """Visits stages from the target down; every stage once."""

    def __init__(self, tree: parser.Dockerfile, request: PlanRequest, stage_name: str, find_image: FindImage) -> None:
        self._tree = tree
        self._request = request
        self._find_image = find_image
        self._done: dict[int, _Finished] = {}
        self._open: list[int] = []
        self._declared: set[str] = set()
        self._proxies = variables.proxies(request.proxies, request.build_args)
        platform_args = variables.automatic(request.build_platform, request.target_platform, stage_name)
        try:
            self._globals = stages.global_values(tree, request.build_args, platform_args)
            self._bases = stages.stage_bases(tree, request.build_args, platform_args)
        except stages.StageError as error:
            raise self._from_problem(error.problem) from error
        self._declared.update(name for arg in tree.global_args for name, _ in arg.entries)

    def visit(self, index: int) -> _Finished:
        """Carry out the stage on paper, and before it whatever it needs."""
        if index in self._done:
            return self._done[index]
        stage = self._tree.stages[index]
        if index in self._open:
            raise self._invalid(f"circular dependency detected on stage: {stage.label}", self._location(stage.from_))
        self._open.append(index)
        finished = self._carry_out(stage)
        self._open.pop()
        self._done[index] = finished
        return finished

    def unused_args(self) -> tuple[str, ...]:
        """Build arguments that no ARG of the needed stages took and that mean nothing by themselves."""
        known = self._declared | set(variables.PROXIES) | variables.CONTROLS | set(self._globals)
        return tuple(sorted(name for name in self._request.build_args if name not in known))

    def numbered(self) -> dict[int, StagePlan]:
        """The stages in the order of the file, with their steps numbered through."""
        several = len(self._tree.stages) > 1
        plans: dict[int, StagePlan] = {}
        number = 0
        for index in sorted(self._done):
            finished = self._done[index]
            label = finished.stage.label if several else ""
            from_image = isinstance(finished.base, Reference)
            total = len(finished.draft.steps) + from_image
            base: ScratchBase | StageBase | ImageBase = ScratchBase()
            if isinstance(finished.base, StageBase):
                base = finished.base
            elif finished.base is not None:
                assert finished.base_config is not None
                number += 1
                line = finished.stage.from_.lines[0]
                name = _step_name(label, 1, total, f"FROM {finished.base}")
                base = ImageBase(
                    finished.base, finished.base_config, StepInfo(number, label or None, 1, total, name, line)
                )
            steps: list[Step] = []
            for position, pending in enumerate(finished.draft.steps, start=1 + from_image):
                number += 1
                name = _step_name(label, position, total, pending.text)
                steps.append(
                    Step(number, position, total, name, pending.operation, pending.created_by, pending.location)
                )
            draft = finished.draft
            plans[index] = StagePlan(
                index=index,
                label=label,
                base=base,
                steps=tuple(steps),
                config=draft.config,
                author=draft.author,
                history=tuple(draft.history),
                variables=dict(draft.variables.values),
                declared=draft.variables.declared,
            )
        return plans

    def _carry_out(self, stage: Stage) -> _Finished:
        location = self._location(stage.from_)
        base = self._base(stage, location)
        base_config: ImageConfig | None = None
        author = ""
        if isinstance(base, StageBase):
            below = self.visit(base.index).draft
            values, declared = below.variables.values, below.variables.declared
            config, author = below.config, below.author
        elif base is None:
            config = RunConfig(working_dir="/", env=(f"PATH={imageconfig.DEFAULT_PATH}",))
            values, declared = config.environment(), ()
        else:
            base_config = self._find_image(base, location)
            config, author = _with_path(base_config.config), base_config.author
            values, declared = config.environment(), ()
        draft = Draft(self._surroundings(stage), Variables(values, declared), config, author)
        triggers = config.on_build
        draft.change(on_build=())
        for text in triggers:
            for instruction in self._trigger(text, stage.from_.image.text, location):
                self._apply(draft, instruction, location)
        for instruction in stage.instructions:
            self._apply(draft, instruction, self._location(instruction))
        return _Finished(stage, base, base_config, draft)

    def _apply(self, draft: Draft, instruction: syntax.Instruction, location: Location) -> None:
        if isinstance(instruction, syntax.Arg):
            self._declared.update(name for name, _ in instruction.entries)
        try:
            refuse_unsupported(instruction)
            instructions.apply(draft, instruction, location)
        except expand.ExpandError as error:
            raise self._invalid(str(error), location) from error
        except errors.InvalidDockerfile:
            raise
        except errors.Invalid as error:
            raise self._invalid(error.message, location, error.hint) from error
        except errors.Unavailable as error:
            error.location = error.location or location
            raise

    def _trigger(self, text: str, base: str, location: Location) -> Iterable[syntax.Instruction]:
        """The instructions of one ONBUILD trigger, read under the escape character of this file."""
        tree = parser.parse(f"# escape={self._tree.escape}\nFROM {stages.SCRATCH}\n{text}\n")
        wrong = next((problem for problem in tree.problems if problem.severity == "error"), None)
        if wrong is not None:
            raise self._invalid(f"invalid ONBUILD trigger {text!r} of {base}: {wrong.message}", location)
        return tree.stages[0].instructions

    def _surroundings(self, stage: Stage) -> Surroundings:
        return Surroundings(
            escape=self._tree.escape,
            globals=self._globals,
            build_args=self._request.build_args,
            network=self._request.network,
            hostname=self._request.build_args.get("BUILDKIT_SANDBOX_HOSTNAME") or HOSTNAME,
            proxies=self._proxies,
            origin=lambda copy: self._origin(copy, stage),
        )

    def _base(self, stage: Stage, location: Location) -> Reference | StageBase | None:
        """What the stage starts from; None for nothing."""
        base = self._bases[stage.index]
        if base.problem is not None:
            raise self._from_problem(base.problem)
        if base.parent is not None:
            return StageBase(base.parent.index)
        if base.platform is not None:
            self._check_platform(base.platform, location)
        if base.is_scratch:
            return None
        try:
            return reference.parse(base.image).or_latest()
        except errors.InvalidReference as error:
            raise self._invalid(error.message, location, error.hint) from error

    def _check_platform(self, text: str, location: Location) -> None:
        try:
            wanted = platform.parse(text)
        except errors.Invalid as error:
            raise self._invalid(f"failed to parse platform {text}: {error.message}", location, error.hint) from error
        if wanted != self._request.build_platform:
            raise errors.Unavailable(
                f"cannot build for {wanted} on {self._request.build_platform}: other platforms are not supported yet",
                hint="Leave --platform out, or build on a machine of that platform.",
                location=location,
            )

    def _origin(self, copy: syntax.Copy, stage: Stage) -> Origin:
        """What `--from` means: a stage by number or name, otherwise an image."""
        assert copy.from_ is not None
        try:
            found = next(stages.dependencies(self._tree, stage, (copy,)), None)
        except stages.StageError as error:
            raise errors.Invalid(error.problem.message, hint=error.problem.hint) from error
        if found is not None:
            return self._earlier(found.source.index, copy.from_, stage)
        try:
            return ImageOrigin(reference.parse(copy.from_).or_latest())
        except errors.InvalidReference as error:
            wrong = imagename.complaint(copy.from_) or error.message
            message = f"failed to parse stage name {quoted(copy.from_)}: {wrong}"
            raise errors.Invalid(message, hint=error.hint) from error

    def _earlier(self, index: int, name: str, stage: Stage) -> StageOrigin:
        if index in self._open:
            raise errors.Invalid(f"circular dependency detected on stage: {stage.label}")
        if index > stage.index:
            raise errors.Invalid(
                f"cannot copy from stage {quoted(name)}, it needs to be defined before current stage "
                f"{quoted(stage.label)}",
                hint="Move that stage up.",
            )
        self.visit(index)
        return StageOrigin(index)

    def _location(self, instruction: syntax.Instruction) -> Location:
        return locate(self._request.path, instruction)

    def _from_problem(self, problem: Problem) -> errors.InvalidDockerfile:
        return invalid(self._request.path, problem)

    def _invalid(self, message: str, location: Location, hint: str | None = None) -> errors.InvalidDockerfile:
        return errors.InvalidDockerfile(message, hint=hint, location=location)


def locate(path: str, instruction: syntax.Instruction) -> Location:
    """Where an instruction stands."""
    return place(path, instruction.span)


def place(path: str, span: Span) -> Location:
    """Where a span of the Dockerfile is."""
    return Location(path, span.start.line, span.start.column, span.end.line, span.end.column)


def invalid(path: str, problem: Problem) -> errors.InvalidDockerfile:
    """The error that tells one problem."""
    return errors.InvalidDockerfile(problem.message, hint=problem.hint, location=place(path, problem.span))


def _target(tree: parser.Dockerfile, request: PlanRequest) -> Stage:
    try:
        return stages.resolve_target(tree, request.target)
    except stages.StageError as error:
        raise invalid(request.path, error.problem) from error


def _epoch(request: PlanRequest) -> int | None:
    text = request.build_args.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise errors.Invalid(f"invalid SOURCE_DATE_EPOCH: {text}", hint="Give the seconds since 1970 as a number.")
    return int(text)


def _with_path(config: RunConfig) -> RunConfig:
    return config if "PATH" in config.environment() else config.with_env("PATH", imageconfig.DEFAULT_PATH)


def _step_name(label: str, position: int, total: int, text: str) -> str:
    stage = f"{label} " if label else ""
    return f"[{stage}{position:>{len(str(total))}}/{total}] {text}"
