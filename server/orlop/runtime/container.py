"""A container as everybody sees it: what it was created from, whether it runs, how it ended; read from its bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from orlop.core import errors
from orlop.runtime import memberships
from orlop.runtime.memberships import Memberships
from orlop.runtime.network.ports import Port
from orlop.runtime.shim import state
from orlop.runtime.spec import ContainerSpec, ExitStatus

Status = Literal["created", "running", "paused", "restarting", "exited"]
# What is said of a container whose shim was killed: it has ended, nobody knows how.
UNKNOWN_EXIT = ExitStatus(255, error="the exit code is unknown: the container's shim was killed")


@attrs.frozen(slots=True)
class ImageOrigin:
    """The image a container was made from: as it was named then, and its ID as text."""

    name: str
    id: str


@attrs.frozen(slots=True, kw_only=True)
class Container:
    """One container; times are Unix seconds, `pid` is that of its first process while it runs.

    `exit` is the end of the last run. `means` says how its network works (`bridge`, `slirp4netns`, `host` …), `ports`
    are those of this host that it holds, `memberships` says which networks it is on. `restarts` counts the starts by
    its policy since the last one by a person. `config` is the image's configuration as the container changed it, in
    Docker's spelling (`imageconfig.write_run_config`).
    """

    id: str
    name: str
    image: ImageOrigin
    spec: ContainerSpec
    bundle: Path
    created: float
    labels: Mapping[str, str]
    auto_remove: bool
    status: Status
    pid: int | None = None
    started: float | None = None
    finished: float | None = None
    exit: ExitStatus | None = None
    socket: str | None = None
    means: str | None = None
    address: str | None = None
    config: Mapping[str, Any] = attrs.field(factory=dict)
    ports: tuple[Port, ...] = ()
    restarts: int = 0
    health: HealthState | None = None
    memberships: Memberships = attrs.field(factory=Memberships)

    @property
    def alive(self) -> bool:
        """Whether it has processes, paused or not, or will have by its policy: what Docker calls running."""
        return self.status in ("running", "paused", "restarting")


@attrs.frozen(slots=True)
class HealthCheck:
    """One run of the health check; times are Unix seconds, the code is -1 when it took too long."""

    start: float
    end: float
    code: int
    output: str


@attrs.frozen(slots=True)
class HealthState:
    """How well a container is, the failures in a row, and its newest checks, oldest first."""

    status: Literal["starting", "healthy", "unhealthy"]
    streak: int
    log: tuple[HealthCheck, ...]


def read(bundle: Path) -> Container | None:
    """The container of a bundle, None when it is gone; raises `Corrupt` when its files are broken."""
    try:
        config = state.read(f"{bundle}/{state.CONFIG}")
        if config is None:
            return None
        # The end before the start: a start removes the old end first, so both are of one run.
        last = state.read(f"{bundle}/{state.STATE}")
        end = state.read(f"{bundle}/{state.EXIT}")
        return _container(bundle, config, last, end, state.read(f"{bundle}/{state.RESTART}"))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise errors.Corrupt(
            f"cannot read container {bundle.name}: {error}", hint="Remove it with `orlop rm --force`."
        ) from error


def _container(
    bundle: Path,
    config: Mapping[str, Any],
    last: dict[str, Any] | None,
    end: dict[str, Any] | None,
    again: dict[str, Any] | None,
) -> Container:
    status: Status = "created"
    exit_status: ExitStatus | None = None
    running = last is not None and end is None and state.runs(last)
    if running:
        paused = state.read(f"{bundle}/{state.PAUSED}")
        status = "paused" if paused is not None and last is not None and paused["run"] == last["init"] else "running"
    elif again is not None and state.alive(again["shim"]):
        end = end or again["exit"]
        status, exit_status = "restarting", exit_of(end)
    elif end is not None:
        status, exit_status = "exited", exit_of(end)
    elif last is not None:
        # It may have ended, and been written down, between the two looks.
        end = state.read(f"{bundle}/{state.EXIT}")
        status, exit_status = "exited", exit_of(end) if end is not None else UNKNOWN_EXIT
    return Container(
        id=config["id"],
        name=config["name"],
        image=ImageOrigin(config["image"]["name"], config["image"]["id"]),
        spec=ContainerSpec.from_json(config["spec"]),
        bundle=bundle,
        created=config["created"],
        labels=config["labels"],
        auto_remove=config["auto_remove"],
        status=status,
        pid=last["init"]["pid"] if running and last is not None else None,
        started=last["started"] if last is not None else None,
        finished=end["finished"] if end is not None else None,
        exit=exit_status,
        socket=last["socket"] if running and last is not None else None,
        means=last["means"] if last is not None else None,
        address=_address(bundle) if running else None,
        config=config.get("config") or {},
        ports=_ports(bundle) if running else (),
        restarts=again["count"] if again is not None else 0,
        health=_health(bundle, last, running=running) if config["spec"].get("health") else None,
        memberships=memberships.read(bundle),
    )


def exit_of(data: Mapping[str, Any]) -> ExitStatus:
    """The exit status of its JSON form."""
    return ExitStatus(data["code"], data["signal"], data["oom"], data["error"])


def _address(bundle: Path) -> str | None:
    try:
        return (bundle / "address").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _health(bundle: Path, last: Mapping[str, Any] | None, *, running: bool) -> HealthState | None:
    """As Docker tells it: starting until the first check, and unhealthy once nobody checks any more."""
    if last is None:
        return None
    found = state.read(f"{bundle}/{state.HEALTH}") or {"run": None, "status": "starting", "streak": 0, "log": []}
    current = found["run"] == last["init"]
    log = tuple(HealthCheck(*row) for row in found["log"])
    if not running:
        return HealthState("unhealthy", found["streak"], log)
    return HealthState(found["status"] if current else "starting", found["streak"] if current else 0, log)


def _ports(bundle: Path) -> tuple[Port, ...]:
    found = state.read(f"{bundle}/{state.PORTS}") or {"ports": []}
    return tuple(Port(*row) for row in found["ports"])


def identity(bundle: Path) -> dict[str, Any] | None:
    """Who the first process of a running container is, for signals that must not hit another process."""
    last = state.read(f"{bundle}/{state.STATE}")
    if last is None or os.path.exists(f"{bundle}/{state.EXIT}") or not state.runs(last):
        return None
    found: dict[str, Any] = last["init"]
    return found
