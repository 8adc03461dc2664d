"""What a container is to be: program, root file system, mounts, network and confinement, as one value.

`to_json` gives the form that lean processes (the shim, the first process of a container) read without attrs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

import attrs

from orlop.core import errors

NetworkMode = Literal["none", "host", "private"]

# What Docker hides from every container, or shows read-only (moby, oci/defaults.go).
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
SHM_SIZE = 64 << 20


@attrs.frozen(slots=True)
class Rootfs:
    """The root file system: an overlay of `lowers` (top first) with `upper` and `work`, or a plain directory.

    Without lowers and without `work`, `upper` itself is the root. Without `upper`, the lowers are shown read-only.
    `volatile` skips the sync of the upper file system at unmount: for trees that are thrown away, or synced by
    whoever keeps them. `skeleton` is a directory on the same file system as the layers that holds empty mount points
    (`init.skeleton`): as the lowest layer it spares the upper directory their stubs.
    """

    lowers: tuple[str, ...] = ()
    upper: str | None = None
    work: str | None = None
    readonly: bool = False
    volatile: bool = False
    skeleton: str | None = None


@attrs.frozen(slots=True)
class Mount:
    """Something mounted at `target` (absolute, inside the container): a `bind` of the host path `source`, or a `tmpfs`.

    Options: `ro`, `rw`, `nosuid`, `nodev`, `noexec`, `rbind`, `bind` (this mount alone); for tmpfs `size=…`, `mode=…`,
    `uid=…`, `gid=…`.
    """

    kind: Literal["bind", "tmpfs"]
    source: str
    target: str
    options: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class InlineFile:
    """A small text file shown read-only at `target`; it lives in memory and never in a layer."""

    target: str
    text: str
    mode: int = 0o644


@attrs.frozen(slots=True)
class Rlimit:
    """One resource limit: name as in Docker (`nofile`, `core`), soft and hard value, -1 for unlimited."""

    name: str
    soft: int
    hard: int


@attrs.frozen(slots=True)
class Limits:
    """What a control group enforces where one is available: bytes, processes, CPUs; None for no limit.

    `memory_swap` is memory and swap together, -1 for any amount of swap; `cpu_shares` weigh against 1024; `cpuset_cpus`
    are processors by number (`0-2,4`).
    """

    memory: int | None = None
    pids: int | None = None
    cpus: float | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None


@attrs.frozen(slots=True)
class Restart:
    """When a container is started again after its end; `maximum` is the most often for `on-failure`, 0 for no bound."""

    name: Literal["no", "on-failure", "always", "unless-stopped"] = "no"
    maximum: int = 0


@attrs.frozen(slots=True, kw_only=True)
class Health:
    """The program that tells by its exit code whether a container is well, and when it is run; times in seconds."""

    args: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3


@attrs.frozen(slots=True, kw_only=True)
class ContainerSpec:
    """Everything needed to start a container's program.

    `env` are `NAME=value` items and all there is, except that HOME is set from the image's passwd when missing.
    `user` is `""`, `name`, `uid`, `name:group` …, resolved inside the image; `groups` come in addition. `cwd` is made
    when it does not exist. `capabilities` are names such as `CAP_CHOWN`, None for Docker's default set.
    `network` `private` has only what a hook attaches to it. `ports` are published ones as `network.ports.parse` reads
    them. `init` puts a small reaper before the program.
    """

    args: tuple[str, ...]
    rootfs: Rootfs
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    files: tuple[InlineFile, ...] = ()
    network: NetworkMode = "private"
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    tty: bool = False
    stdin_open: bool = False
    capabilities: tuple[str, ...] | None = None
    seccomp: bool = True
    no_new_privs: bool = False
    rlimits: tuple[Rlimit, ...] = (Rlimit("core", 0, 0),)
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READONLY_PATHS
    shm_size: int = SHM_SIZE
    sysctls: Mapping[str, str] = attrs.field(factory=dict)
    oom_score_adj: int | None = None
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0
    init: bool = False
    limits: Limits = Limits()
    ports: tuple[str, ...] = ()
    restart: Restart = Restart()
    health: Health | None = None

    def to_json(self) -> SpecJson:
        """The spec as JSON values, keys as the fields are called."""
        return attrs.asdict(self, value_serializer=_plain)  # type: ignore[return-value]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ContainerSpec:
        """The spec of its JSON form; raises `Invalid` when a field is missing or unknown."""
        values = dict(data)
        try:
            values["rootfs"] = Rootfs(**_tuples(values["rootfs"]))
            values["limits"] = Limits(**values.get("limits", {}))
            values["restart"] = Restart(**values.get("restart", {}))
            health = values.get("health")
            values["health"] = Health(**_tuples(health)) if health is not None else None
            for name, kind in (("mounts", Mount), ("files", InlineFile), ("rlimits", Rlimit)):
                values[name] = tuple(kind(**_tuples(each)) for each in values.get(name, ()))
            return cls(**_tuples(values))
        except (KeyError, TypeError) as error:
            raise errors.Invalid(f"cannot read container spec: {error}") from error


@attrs.frozen(slots=True)
class ExitStatus:
    """How a program ended: `code` is 128 + signal when one killed it; `oom` when that was for want of memory.

    `error` is the reason when the program could not be started at all (code 127, 126 or 125).
    """

    code: int
    signal: int | None = None
    oom: bool = False
    error: str | None = None


class RootfsJson(TypedDict):
    """JSON form of `Rootfs`."""

    lowers: list[str]
    upper: str | None
    work: str | None
    readonly: bool
    volatile: bool
    skeleton: NotRequired[str | None]


class MountJson(TypedDict):
    """JSON form of `Mount`."""

    kind: str
    source: str
    target: str
    options: list[str]


class FileJson(TypedDict):
    """JSON form of `InlineFile`."""

    target: str
    text: str
    mode: int


class RlimitJson(TypedDict):
    """JSON form of `Rlimit`."""

    name: str
    soft: int
    hard: int


class LimitsJson(TypedDict):
    """JSON form of `Limits`."""

    memory: int | None
    pids: int | None
    cpus: float | None
    memory_swap: NotRequired[int | None]
    memory_reservation: NotRequired[int | None]
    cpu_shares: NotRequired[int | None]
    cpuset_cpus: NotRequired[str | None]


class SpecJson(TypedDict):
    """JSON form of `ContainerSpec`; see there."""

    args: list[str]
    rootfs: RootfsJson
    env: list[str]
    cwd: str
    user: str
    groups: list[str]
    hostname: str
    domainname: str
    mounts: list[MountJson]
    files: list[FileJson]
    network: str
    extra_hosts: list[str]
    dns: list[str]
    tty: bool
    stdin_open: bool
    capabilities: list[str] | None
    seccomp: bool
    no_new_privs: bool
    rlimits: list[RlimitJson]
    masked_paths: list[str]
    readonly_paths: list[str]
    shm_size: int
    sysctls: dict[str, str]
    oom_score_adj: int | None
    stop_signal: str
    stop_timeout: float
    init: bool
    limits: LimitsJson
    ports: list[str]
    restart: NotRequired[dict[str, Any]]
    health: NotRequired[dict[str, Any] | None]
    # Of one start alone: columns and rows of its terminal.
    size: NotRequired[tuple[int, int] | None]


def _plain(_owner: type, _field: attrs.Attribute[Any] | None, value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
