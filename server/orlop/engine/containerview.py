"""Docker's inspect document of a container, as far as it has meaning here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orlop.runtime.container import Container


def document(item: Container) -> dict[str, Any]:
    """The object that `docker container inspect` prints for it."""
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
            "OOMKilled": bool(item.exit and item.exit.oom),
            "Pid": item.pid or 0,
            "ExitCode": code,
            "Error": (item.exit.error if item.exit else None) or "",
            "StartedAt": _time(item.started),
            "FinishedAt": _time(item.finished),
        },
        "Image": item.image.id,
        "Name": f"/{item.name}",
        "HostConfig": {
            "NetworkMode": spec.network,
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
        },
        "NetworkSettings": {"IPAddress": item.address or "", "Ports": {}},
    }


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
