"""What a container is to be, out of an image's configuration and what a person asked for."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from orlop.core import errors
from orlop.core.imageconfig import DEFAULT_PATH, RunConfig
from orlop.rootfs import snapshots
from orlop.runtime.spec import ContainerSpec, NetworkMode, Rootfs
from orlop.store.images import Image
from orlop.store.store import Store

_NETWORKS: Mapping[str, NetworkMode] = {"default": "private", "bridge": "private", "none": "none", "host": "host"}


@attrs.frozen(kw_only=True)
class RunOptions:
    """One container as a front-end asks for it; None means what the image says."""

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    name: str | None = None
    env: tuple[str, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    hostname: str | None = None
    network: str = "default"
    labels: Mapping[str, str] = attrs.field(factory=dict)
    tty: bool = False
    interactive: bool = False
    remove: bool = False
    init: bool = False
    read_only: bool = False


def configuration(config: RunConfig, options: RunOptions) -> RunConfig:
    """The image's configuration as the options change it: what an image that is committed of the container inherits.

    As in Docker (moby, daemon/commit.go, `merge`): ONBUILD triggers and the shell of the image stay behind.
    """
    chosen = {item.partition("=")[0]: item for item in options.env}
    own = (item for item in chosen.values() if "=" in item)
    inherited = (item for item in config.env if item.partition("=")[0] not in chosen)
    return attrs.evolve(
        config,
        env=(*own, *inherited),
        entrypoint=config.entrypoint if options.entrypoint is None else options.entrypoint or None,
        command=options.command or (config.command if options.entrypoint is None else None),
        working_dir=options.working_dir or config.working_dir,
        user=config.user if options.user is None else options.user,
        labels={**config.labels, **options.labels},
        on_build=(),
        shell=None,
    )


def specification(store: Store, image: Image, options: RunOptions) -> ContainerSpec:
    """How the container is started; raises `Invalid` when it has no command, or a network that is not there."""
    config = configuration(image.config.config, options)
    args = (*(config.entrypoint or ()), *(config.command or ()))
    if not args:
        raise errors.Invalid(
            f"cannot run {options.image}: it names no command", hint="Give the command after the image's name."
        )
    if options.network not in _NETWORKS:
        raise errors.Invalid(f"cannot use the network {options.network!r}", hint=f"Use one of {', '.join(_NETWORKS)}.")
    return ContainerSpec(
        args=args,
        rootfs=Rootfs(
            lowers=tuple(snapshots.lowers(store, image.layers)),
            readonly=options.read_only,
            volatile=options.remove,
            skeleton=str(store.root / "skeleton"),
        ),
        env=_environment(config, options),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=options.hostname or "",
        network=_NETWORKS[options.network],
        tty=options.tty,
        stdin_open=options.interactive,
        stop_signal=config.stop_signal or "SIGTERM",
        init=options.init,
    )


def _environment(config: RunConfig, options: RunOptions) -> tuple[str, ...]:
    pairs = {"PATH": DEFAULT_PATH}
    if options.tty:
        pairs["TERM"] = "xterm"
    pairs |= config.environment()
    for item in options.env:
        if "=" not in item:
            pairs.pop(item, None)
    return tuple(f"{name}={value}" for name, value in pairs.items())
