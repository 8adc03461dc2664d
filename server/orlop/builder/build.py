"""Builds an image: the one call that front-ends of the builder need."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from orlop.builder import cachekey, commit, dockerfiles, events, planner, sources, variables
from orlop.builder.context import Context
from orlop.builder.contexthash import ContextHasher, Selection
from orlop.builder.executor import Executor
from orlop.builder.images import BaseImages, Pull
from orlop.builder.ops.networks import Networks
from orlop.builder.ops.perform import Performer
from orlop.builder.plan import Plan
from orlop.builder.results import Results
from orlop.core import errors
from orlop.core.job import Job
from orlop.core.platform import Platform
from orlop.core.reference import Reference
from orlop.rootfs import layers as rootfs_layers
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store

NETWORKS = ("default", "none", "host")


@attrs.frozen(kw_only=True)
class BuildRequest:
    """What to build.

    Without `dockerfile` the usual names are tried in `context`; `dockerfile_text` replaces the file's content.
    `platform` None is the host's. `proxies` reach every RUN and no image. `network` is the default of RUN steps.
    Images that the store lacks are pulled; with `pull` all are.
    """

    context: Path
    dockerfile: Path | None = None
    dockerfile_text: str | None = None
    tags: tuple[Reference, ...] = ()
    target: str | None = None
    build_args: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    no_cache: bool = False
    pull: bool = False
    platform: Platform | None = None
    proxies: Mapping[str, str] = attrs.field(factory=dict)
    network: str = "default"


@attrs.frozen(kw_only=True)
class BuildServices:
    """What a build works with.

    `pull` fetches images that the store lacks. `network_dir` keeps track of the networks of all this user's
    containers; None is a directory of the builder's own.
    """

    store: Store
    workshop: Workshop
    host: Platform
    pull: Pull | None = None
    now: Callable[[], float] = time.time
    network_dir: Path | None = None


@attrs.frozen(kw_only=True)
class BuildResult:
    """The image; `cached` of `total` steps were not run; `seconds` is wall time."""

    image: Image
    cached: int
    total: int
    seconds: float


def build(request: BuildRequest, services: BuildServices, job: Job) -> BuildResult:
    """Build one image and give it its tags.

    Raises `InvalidDockerfile` with all problems, `Unavailable` for what is not supported, `ImageNotFound`,
    `BuildFailed` (`RunFailed` with the exit code) with the instruction's place, `Cancelled`. Whatever it raises,
    no process and no half-made layer is left; finished steps stay cached.
    """
    began = time.monotonic()
    if request.network not in NETWORKS:
        raise errors.Invalid(f'invalid network mode "{request.network}"', hint="Use default, none or host.")
    source = dockerfiles.read(request.context, request.dockerfile, request.dockerfile_text)
    tree = dockerfiles.parse(source)
    named = request.dockerfile or (Path(source.path) if request.dockerfile_text is None else None)
    ignore, ignore_name = dockerfiles.read_ignore(request.context, named)
    target_platform = request.platform or services.host
    if target_platform != services.host:
        raise errors.Unavailable(
            f"cannot build for {target_platform} on {services.host}: other platforms are not supported yet",
            hint="Leave --platform out, or build on a machine of that platform.",
        )
    platform_args = variables.automatic(services.host, target_platform, request.target or "default")
    images = BaseImages(services.store, services.pull, target_platform, job, always=request.pull)
    plan_request = planner.PlanRequest(
        path=source.path,
        target=request.target,
        build_args=request.build_args,
        labels=request.labels,
        network=request.network,
        proxies=request.proxies,
        build_platform=services.host,
        target_platform=target_platform,
    )
    try:
        plan = planner.make(tree, plan_request, images.config)
    except errors.InvalidDockerfile as error:
        error.detail = error.detail or dockerfiles.all_problems(source, tree, request.build_args, platform_args)
        raise
    for reference, location in plan.image_sources():
        images.get(reference, location)
    job.tell(events.BuildStarted(tuple(plan.steps())))
    for warning in dockerfiles.lint(source, tree, ignore, request.build_args, platform_args, images.known):
        job.tell(warning)
    _warn_of_unused(plan, job)
    root = str(request.context)
    hasher = ContextHasher(root, services.store.files, services.now)
    selections = sources.select(plan, Context(root, ignore), hasher, ignore_name, job)
    _tell_context(selections, job)
    contents = {step: selection.digest for step, selection in selections.items()}
    performer = Performer(
        store=services.store,
        workshop=services.workshop,
        context_root=root,
        selections=selections,
        hasher=hasher,
        networks=Networks(services.network_dir or services.store.root / "network"),
    )
    # Protects whatever the build finds or makes from collections until the image holds it.
    with services.store.leases.hold("build", (image.id for image in images.found.values())):
        results = Results(services.store, no_cache=request.no_cache)
        executor = Executor(
            plan,
            cachekey.of_plan(plan, images.keys(), contents, results.state),
            contents,
            images.layers(),
            results,
            services.store,
            performer,
            lambda layer, seal_job: rootfs_layers.seal(services.store, services.workshop, layer, seal_job),
            services.now,
        )
        executed = executor.run(job)
        image = commit.commit(plan, executed, images.found, request.tags, services.store, services.now, job)
    seconds = time.monotonic() - began
    job.tell(events.BuildDone(image.id, request.tags, seconds, executed.cached, executed.total))
    return BuildResult(image=image, cached=executed.cached, total=executed.total, seconds=seconds)


def _warn_of_unused(plan: Plan, job: Job) -> None:
    if plan.unused_args:
        names = " ".join(plan.unused_args)
        job.tell(events.BuildWarning("unused-build-arg", f"One or more build-args [{names}] were not consumed"))


def _tell_context(selections: Mapping[int, Selection], job: Job) -> None:
    if not selections:
        return
    if len(selections) == 1:
        selection = next(iter(selections.values()))
        job.tell(events.ContextRead(selection.files, selection.bytes))
        return
    seen: dict[str, int] = {}
    for selection in selections.values():
        for match in selection.matches:
            seen.update((path, status.st_size) for path, status in match.files())
    job.tell(events.ContextRead(len(seen), sum(seen.values())))
