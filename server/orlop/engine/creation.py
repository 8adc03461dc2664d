"""What a container is to be, out of an image's configuration and what a person asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.imageconfig import DEFAULT_PATH, RunConfig
from orlop.engine import healthwishes, limits, wishes
from orlop.engine.limits import LimitWishes
from orlop.engine.wishes import MountWish
from orlop.rootfs import snapshots
from orlop.runtime.linux import capabilities
from orlop.runtime.network import ports
from orlop.runtime.spec import SHM_SIZE, ContainerSpec, Mount, NetworkMode, Rlimit, Rootfs
from orlop.store.images import Image
from orlop.store.store import Store

_NETWORKS: Mapping[str, NetworkMode] = {"default": "private", "bridge": "private", "none": "none", "host": "host"}


@attrs.frozen(kw_only=True)
class RunOptions(LimitWishes):
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
    network_aliases: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict)
    tty: bool = False
    interactive: bool = False
    remove: bool = False
    init: bool = False
    read_only: bool = False
    publish: tuple[str, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privs: bool = False
    seccomp: bool = True
    ulimits: tuple[str, ...] = ()
    shm_size: str | None = None
    stop_signal: str | None = None
    stop_timeout: float | None = None
    restart: str = "no"
    health_cmd: str | None = None
    health_interval: str | None = None
    health_timeout: str | None = None
    health_start_period: str | None = None
    health_start_interval: str | None = None
    health_retries: int | None = None
    no_healthcheck: bool = False


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
        exposed_ports=tuple(sorted({*config.exposed_ports, *_exposed(options)})),
        volumes=tuple(sorted({*config.volumes, *(wish.target for wish in _own_volumes(options))})),
        stop_signal=options.stop_signal or config.stop_signal,
        healthcheck=healthwishes.check(config.healthcheck, options),
        on_build=(),
        shell=None,
    )


def mounts(config: RunConfig, options: RunOptions) -> tuple[MountWish, ...]:
    """What is mounted, one a target: what was asked for, then the image's volumes; raises `Invalid`."""
    found: dict[str, MountWish] = {}
    for wish in (
        *map(wishes.volume, options.volumes), *map(wishes.mount, options.mounts), *map(wishes.tmpfs, options.tmpfs),
    ):  # fmt: skip
        if wish.target in found:
            raise errors.Invalid(f"cannot mount twice at {wish.target}", hint="Leave one of the two out.")
        found[wish.target] = wish
    for target in config.volumes:
        if target.startswith("/") and target.rstrip("/"):
            found.setdefault(target.rstrip("/"), MountWish("volume", "", target.rstrip("/")))
    return tuple(found.values())


def specification(store: Store, image: Image, options: RunOptions, mounted: tuple[Mount, ...] = ()) -> ContainerSpec:
    """How the container is started; raises `Invalid` when it has no command, or for a value that makes no sense."""
    config = configuration(image.config.config, options)
    args = (*(config.entrypoint or ()), *(config.command or ()))
    if not args:
        raise errors.Invalid(
            f"cannot run {options.image}: it names no command", hint="Give the command after the image's name."
        )
    if options.network.startswith("container:"):
        for what, given in (
            ("hostname", options.hostname),
            ("port publishing", options.publish or options.publish_all),
        ):
            if given:
                raise errors.Invalid(
                    f"conflicting options: {what} and the container type network mode",
                    hint="Give it to the container whose network is shared.",
                )
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
        network=_NETWORKS.get(options.network, "private"),
        tty=options.tty,
        stdin_open=options.interactive,
        stop_signal=config.stop_signal or "SIGTERM",
        stop_timeout=10.0 if options.stop_timeout is None else options.stop_timeout,
        init=options.init,
        mounts=mounted,
        ports=_ports(config, options),
        extra_hosts=options.extra_hosts,
        dns=options.dns,
        groups=options.groups,
        no_new_privs=options.no_new_privs,
        shm_size=SHM_SIZE if options.shm_size is None else wishes.size(options.shm_size, "--shm-size"),
        rlimits=(*_default_limits(options), *map(wishes.ulimit, options.ulimits)),
        limits=limits.wished(options),
        restart=wishes.restart(options.restart),
        health=healthwishes.health(config.healthcheck, image.config.config.shell),
        **_powers(options),
    )


def _powers(options: RunOptions) -> dict[str, Any]:
    """Capabilities and confinement."""
    everything = capabilities.names(capabilities.ALL)
    if options.privileged:
        return {"capabilities": everything, "seccomp": False, "masked_paths": (), "readonly_paths": ()}
    if not options.cap_add and not options.cap_drop:
        return {"seccomp": options.seccomp}
    try:
        mask = capabilities.adjusted(add=options.cap_add, drop=options.cap_drop)
    except ValueError as error:
        raise errors.Invalid(str(error), hint="Use a name such as NET_ADMIN, or ALL.") from None
    return {"capabilities": capabilities.names(mask), "seccomp": options.seccomp}


def _default_limits(options: RunOptions) -> tuple[Rlimit, ...]:
    """No core dumps, unless somebody asks for them: the kernel hands them to a program of the host."""
    asked = any(text.partition("=")[0] == "core" for text in options.ulimits)
    return () if asked else (Rlimit("core", 0, 0),)


def _ports(config: RunConfig, options: RunOptions) -> tuple[str, ...]:
    published = [port for text in options.publish for port in ports.parse(text)]
    taken = {f"{port.container_port}/{port.protocol}" for port in published}
    rest = config.exposed_ports if options.publish_all else ()
    return (*options.publish, *(port if "/" in port else f"{port}/tcp" for port in rest if port not in taken))


def _exposed(options: RunOptions) -> set[str]:
    found = {f"{port.container_port}/{port.protocol}" for text in options.publish for port in ports.parse(text)}
    for text in options.expose:
        found |= {f"{port.container_port}/{port.protocol}" for port in ports.parse(text)}
    return found


def _own_volumes(options: RunOptions) -> Iterator[MountWish]:
    wanted = (*map(wishes.volume, options.volumes), *map(wishes.mount, options.mounts))
    return (wish for wish in wanted if wish.kind == "volume" and not wish.source)


def _environment(config: RunConfig, options: RunOptions) -> tuple[str, ...]:
    pairs = {"PATH": DEFAULT_PATH}
    if options.tty:
        pairs["TERM"] = "xterm"
    pairs |= config.environment()
    for item in options.env:
        if "=" not in item:
            pairs.pop(item, None)
    return tuple(f"{name}={value}" for name, value in pairs.items())
