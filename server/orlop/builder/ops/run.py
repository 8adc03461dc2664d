"""RUN: a process in a container of its own on the snapshot, its output told while it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from orlop.builder import gotext
from orlop.builder.instructions import SCRIPTS
from orlop.builder.operations import RunOp
from orlop.builder.ops.logs import LogPump
from orlop.builder.ops.networks import Networks
from orlop.core import errors
from orlop.core.job import Job
from orlop.rootfs.workshop import Workshop
from orlop.runtime import spec as runtime_spec

_CANNOT_START = 125
# BuildKit's, whatever the network: a RUN shall not depend on the host it runs on.
_HOSTS = "127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def perform(
    operation: RunOp, step: int, rootfs: runtime_spec.Rootfs, workshop: Workshop, networks: Networks, job: Job
) -> int:
    """Run the process to its end; the bytes of the files it left in the upper directory.

    Raises `RunFailed` with the process' last lines unless it ends with 0.
    """
    network, resolver = networks.choose(operation.network, job)
    spec = specification(operation, rootfs, network.mode, resolver.text())
    detach: list[Callable[[], None]] = []

    def attach(event: dict[str, Any]) -> dict[str, Any] | None:
        if event.get("event") != "network":
            return None
        detach.append(networks.attach(network, event["pid"], job))
        return {"go": True}

    with LogPump(step, job) as log:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = workshop.call(
                "run",
                {"spec": spec.to_json(), "attach": network.mode == "private"},
                job,
                fds=(null, log.stdout, log.stderr),
                on_event=attach,
            )
        finally:
            os.close(null)
            for give_back in detach:
                give_back()
        log.finish()
        if status["code"] != 0 or status["error"]:
            raise failure(operation, status, log.last_lines())
    size: int = status["size"]
    return size


def specification(
    operation: RunOp, rootfs: runtime_spec.Rootfs, network: runtime_spec.NetworkMode, resolver: str
) -> runtime_spec.ContainerSpec:
    """The container of a RUN: the environment of the image and the ARGs, and nothing from the host but proxies."""
    files = [
        runtime_spec.InlineFile("/etc/resolv.conf", resolver),
        runtime_spec.InlineFile("/etc/hosts", _HOSTS.format(operation.hostname)),
    ]
    if operation.script is not None:
        text = operation.script.data.decode("utf-8", "surrogateescape")
        files.append(runtime_spec.InlineFile(f"{SCRIPTS}/{operation.script.name}", text, 0o755))
    named = {item.partition("=")[0] for item in operation.environment}
    proxies = tuple(f"{name}={value}" for name, value in operation.proxies.items() if name not in named)
    return runtime_spec.ContainerSpec(
        args=operation.argv,
        rootfs=rootfs,
        env=(*operation.environment, *proxies),
        cwd=operation.working_dir,
        user=operation.user,
        hostname=operation.hostname,
        files=tuple(files),
        network=network,
    )


def failure(operation: RunOp, status: dict[str, Any], last_lines: str) -> errors.OrlopError:
    """What to say of a process that did not end well."""
    command = gotext.quote(" ".join(operation.argv))
    reason: str | None = status["error"]
    code: int = status["code"]
    detail = last_lines or None
    if reason is not None and code == _CANNOT_START:
        return errors.BuildFailed(f"cannot run {command}: {reason}", hint=status.get("hint"), detail=detail)
    what = f"process {command} did not complete successfully"
    if reason is not None:
        message = f"{what}: exit code: {code}: {reason}"
        return errors.RunFailed(message, code=code, hint=_missing(operation), detail=detail)
    number: int | None = status["signal"]
    if number is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        hint = "The kernel kills the largest process when memory runs out." if status["oom"] else None
        return errors.RunFailed(f"{what}: killed by {name} ({number})", code=code, hint=hint, detail=detail)
    hint = None
    if code == 127:
        hint = "Install the program the command names, or mend its spelling or PATH."
    elif code == 128 + signal.SIGKILL:
        hint = "A process of the command was killed by SIGKILL, most often for want of memory."
    return errors.RunFailed(f"{what}: exit code: {code}", code=code, hint=hint, detail=detail)


def _missing(operation: RunOp) -> str:
    program = operation.argv[0] if operation.argv else ""
    if program == "/bin/sh":
        return 'Write RUN ["program", "argument"], since this image has no /bin/sh, or start from one that has.'
    return f"Check that {program} is in the image, on its PATH and executable."
