"""Builds: from what a person asks for to what the builder needs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from orlop.builder.build import BuildRequest, BuildResult, BuildServices, build
from orlop.core import errors, platform
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.engine import dockerfiles
from orlop.engine.settings import Settings
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store

if TYPE_CHECKING:
    from orlop.engine.registries import Registries


@attrs.frozen(kw_only=True)
class BuildOptions:
    """One build as a front-end asks for it; without a context the build has no files to copy.

    Base images that are missing are pulled; with `pull` all of them are asked for again.
    """

    context: Path | None
    dockerfile: Path | None = None
    text: str | None = None
    tags: tuple[Reference, ...] = ()
    target: str | None = None
    build_args: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    no_cache: bool = False
    pull: bool = False
    network: str = "default"
    platform: str | None = None


class Builds:
    """Builds images and describes Dockerfiles."""

    def __init__(
        self,
        store: Store,
        workshop: Workshop,
        settings: Settings,
        registries: Callable[[], Registries],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._workshop = workshop
        self._settings = settings
        self._registries = registries
        self._now = now

    def build(self, options: BuildOptions, job: Job) -> BuildResult:
        """Build; raises `InvalidDockerfile`, `BuildFailed`, `Cancelled` and others, and leaves nothing half-made."""
        host = platform.of_machine(os.uname().machine)
        if options.platform and platform.parse(options.platform) != host:
            raise errors.Unavailable(
                f"cannot build for {options.platform}: only {host} for now", hint="Leave --platform out."
            )
        if options.context is None:
            with tempfile.TemporaryDirectory(prefix="orlop-context-") as empty:
                return self._build(options, Path(empty), host, job)
        return self._build(options, _checked_context(options.context), host, job)

    def describe(self, path: Path, text: str | None = None) -> dockerfiles.Description:
        """What the Dockerfile at `path` (or `text` in its place) asks for."""
        return dockerfiles.describe(path, text)

    def _build(self, options: BuildOptions, context: Path, host: platform.Platform, job: Job) -> BuildResult:
        file = options.dockerfile
        if file is None and options.text is None:
            file = dockerfiles.find(context)
        request = BuildRequest(
            context=context,
            dockerfile=file,
            dockerfile_text=options.text,
            tags=options.tags,
            target=options.target,
            build_args=dict(options.build_args),
            labels=dict(options.labels),
            no_cache=options.no_cache,
            pull=options.pull,
            network=options.network,
            platform=host,
            proxies=dict(self._settings.proxies),
        )
        return build(request, self._services(host), job)

    def _services(self, host: platform.Platform) -> BuildServices:
        return BuildServices(
            store=self._store,
            workshop=self._workshop,
            host=host,
            pull=self._pull,
            now=self._now,
            network_dir=self._settings.run_dir / "network",
        )

    def _pull(self, reference: Reference, wanted: platform.Platform, job: Job) -> Image:
        job.note(f"pulling {reference.familiar}")
        return self._registries().pull(reference, wanted, job).image


def _checked_context(context: Path) -> Path:
    try:
        if not context.is_dir():
            kind = "is a file" if context.exists() else "does not exist"
            raise errors.Invalid(
                f"cannot use {context} as build context: it {kind}", hint="Name a folder, for example a single dot."
            )
        os.listdir(context)
    except OSError as error:
        raise errors.from_os(error, f"read the build context {context}") from error
    return context.resolve()
