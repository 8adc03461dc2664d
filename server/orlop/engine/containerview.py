"""Docker's inspect document of a container, as far as it has meaning here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orlop.runtime.container import Container, HealthState
from orlop.runtime.network.ports import ALL_IPV4
from orlop.runtime.spec import Limits, Mount

# How the path of a volume's directory goes: that of all volumes, and what is in each.
VOLUME_PLACE = ("volumes", "_data")


def document(item: Container, *, mode: str, networks: dict[str, Any]) -> dict[str, Any]:
    """The object that `docker container inspect` prints for it; see `engine.networks` for the last two."""
    spec = item.spec
    code = item.exit.code if item.exit is not None else 0
    return {
        "Id": item.id,
        "Created": _time(item.created),
        "Path": spec.args[0] if spec.args else "",
        "Args": list(spec.args[1:]),
        "State": {
            "Status": item.status,
            "Running": item.alive,
            "Paused": item.status == "paused",
            "Restarting": item.status == "restarting",
            "OOMKilled": bool(item.exit and item.exit.oom),
            "Pid": item.pid or 0,
            "ExitCode": code,
            "Error": (item.exit.error if item.exit else None) or "",
            "StartedAt": _time(item.started),
            "FinishedAt": _time(item.finished),
            **({"Health": _health(item.health)} if item.health is not None else {}),
        },
        "Image": item.image.id,
        "Name": f"/{item.name}",
        "RestartCount": item.restarts,
        "HostConfig": {
            "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.maximum},
            **_limits(spec.limits),
            "NetworkMode": mode,
            "AutoRemove": item.auto_remove,
            "ReadonlyRootfs": spec.rootfs.readonly,
        },
        "Config": {
            "Hostname": spec.hostname,
            "User": spec.user,
            "Tty": spec.tty,
            "OpenStdin": spec.stdin_open,
            "Env": list(item.config.get("Env") or spec.env),
            "Cmd": item.config.get("Cmd") if item.config else list(spec.args),
            "Entrypoint": item.config.get("Entrypoint"),
            "Image": item.image.name,
            "WorkingDir": spec.cwd,
            "Labels": dict(item.labels),
            **({"Healthcheck": item.config["Healthcheck"]} if item.config.get("Healthcheck") else {}),
        },
        "Mounts": [_mount(each) for each in spec.mounts if not each.source.startswith(f"{item.bundle}/")],
        "NetworkSettings": {"IPAddress": item.address or "", "Ports": _ports(item), "Networks": networks},
    }


def _health(health: HealthState) -> dict[str, Any]:
    return {
        "Status": health.status,
        "FailingStreak": health.streak,
        "Log": [
            {"Start": _time(each.start), "End": _time(each.end), "ExitCode": each.code, "Output": each.output}
            for each in health.log
        ],
    }


def _limits(limits: Limits) -> dict[str, Any]:
    """Zero stands for none, as in Docker; there `PidsLimit` alone is null."""
    return {
        "Memory": limits.memory or 0,
        "MemorySwap": limits.memory_swap or 0,
        "MemoryReservation": limits.memory_reservation or 0,
        "NanoCpus": round((limits.cpus or 0) * 1e9),
        "CpuShares": limits.cpu_shares or 0,
        "CpusetCpus": limits.cpuset_cpus or "",
        "PidsLimit": limits.pids,
    }


def _mount(mount: Mount) -> dict[str, Any]:
    """A volume is known by where it lies: `volumes/NAME/_data` below the store."""
    parts = mount.source.rsplit("/", 3)
    volume = parts[2] if mount.kind == "bind" and len(parts) == 4 and (parts[1], parts[3]) == VOLUME_PLACE else None
    return {
        "Type": "volume" if volume is not None else mount.kind,
        **({"Name": volume, "Driver": "local"} if volume is not None else {}),
        "Source": mount.source,
        "Destination": mount.target,
        "Mode": "",
        "RW": "ro" not in mount.options,
        "Propagation": "rprivate" if mount.kind == "bind" and volume is None else "",
    }


def _ports(item: Container) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in item.ports:
        for host in (port.host,) if port.host else (ALL_IPV4, "::"):
            row = {"HostIp": host, "HostPort": str(port.host_port)}
            found.setdefault(f"{port.container_port}/{port.protocol}", []).append(row)
    return found


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
