"""Asking a container whether it is well: one process beside the shim, for as long as the container's run lasts.

Each check is a program that joins the container as `exec` does. What it says goes to `health.json`, whole or not at
all. When what counts as healthy follows moby, daemon/health.go.
"""

from __future__ import annotations

import _signal  # `signal` would load the enumerations
import os
import select
import time

from orlop.runtime.linux import syscalls
from orlop.runtime.linux.channel import Channel, pair
from orlop.runtime.shim import joining, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEPT_CHECKS, KEPT_OUTPUT = 5, 4096
# What the shim ignores and no program may inherit so.
IGNORED = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGPIPE)
_CHUNK, _MOST_READS = 64 << 10, 64
_TOO_LONG = -1


def fork(bundle: str, spec: dict[str, Any], init: dict[str, Any], started: float) -> None:
    """Start checking the run of `init`, if the container has a check; `started` is in Unix seconds."""
    if spec.get("health") is None or os.fork() != 0:
        return
    try:
        syscalls.set_process_name("orlop-health")
        pidfd = os.pidfd_open(init["pid"])
        os.closerange(3, pidfd)
        os.closerange(pidfd + 1, 1 << 16)
        _watch(bundle, spec, init, started, pidfd)
    finally:
        os._exit(0)


def after(record: dict[str, Any], check: list[Any], health: dict[str, Any], started: float) -> dict[str, Any]:
    """The health after one more check `[start, end, code, output]`; `health` is the JSON form of `spec.Health`."""
    status, streak = record["status"], record["streak"]
    if check[2] == 0:
        status, streak = "healthy", 0
    elif status != "starting" or check[0] - started >= health["start_period"]:
        streak += 1
        if streak >= health["retries"]:
            status = "unhealthy"
    return {**record, "status": status, "streak": streak, "log": [*record["log"], check][-KEPT_CHECKS:]}


def pause_before(record: dict[str, Any], health: dict[str, Any], age: float) -> float:
    """Seconds to the next check of a container that has run for `age` seconds."""
    beginning = age < health["start_period"] and record["status"] == "starting"
    seconds: float = health["start_interval"] if beginning else health["interval"]
    return seconds


def _watch(bundle: str, spec: dict[str, Any], init: dict[str, Any], started: float, pidfd: int) -> None:
    health = spec["health"]
    before = state.read(f"{bundle}/{state.HEALTH}") or {"log": []}
    record = {"run": init, "status": "starting", "streak": 0, "log": before["log"]}
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    while not poll.poll(pause_before(record, health, time.time() - started) * 1000):
        if _paused(bundle, init):
            continue
        check = _check(bundle, spec, init, pidfd)
        if check is None:
            return
        if check[2] != 0 and _paused(bundle, init):
            continue  # held still in the middle of it: that says nothing about its health
        record = after(record, check, health, started)
        try:
            state.write(f"{bundle}/{state.HEALTH}", record, sync=False)
        except OSError:
            continue  # a full disk, or a container that is being removed


def _check(bundle: str, spec: dict[str, Any], init: dict[str, Any], pidfd: int) -> list[Any] | None:
    """Run the program once: [start, end, code, output]; None when the container ended meanwhile."""
    last = state.read(f"{bundle}/{state.STATE}")
    if last is None or last["init"] != init:
        return None
    request = {
        "init": init, "cgroups": last["cgroups"],
        "spec": {**spec, "args": spec["health"]["args"], "init": False, "tty": False},
    }  # fmt: skip
    began = time.time()
    ours, theirs = pair()
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            os.close(read)
            for signal in IGNORED:
                _signal.signal(signal, _signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            joining.run(request, theirs, (null, write, write))
        finally:
            os._exit(0)
    theirs.close()
    os.close(write)
    try:
        code, output = _listen(ours, read, pidfd, spec["health"]["timeout"])
    finally:
        ours.close()  # kills a program that still runs
        os.close(read)
        os.waitpid(child, 0)
    return None if code is None else [began, time.time(), code, output]


def _listen(channel: Channel, output: int, pidfd: int, timeout: float) -> tuple[int | None, str]:
    """Exit code and output of the program; no code when the container has ended."""
    text = bytearray()
    poll = select.poll()
    for fd in (channel.fileno(), output, pidfd):
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout
    code: int | None = None
    while code is None:
        ready = [fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
        if pidfd in ready:
            return None, ""
        if output in ready and not _take(output, text):
            poll.unregister(output)
        if channel.fileno() in ready:
            received = channel.receive()
            answer: dict[str, Any] = (
                received[0] if received is not None else {"exit": _TOO_LONG, "error": "its helper was killed"}
            )
            code = answer["exit"]
            if answer["error"]:
                text += answer["error"].encode()
        elif time.monotonic() >= deadline:
            return _TOO_LONG, f"Health check exceeded timeout ({timeout:g}s): {_shown(text)}".removesuffix(": ")
    # What it wrote is here; a program that it left behind may keep the pipe open.
    os.set_blocking(output, False)
    for _ in range(_MOST_READS):
        if not _take(output, text):
            break
    return code, _shown(text)


def _take(output: int, text: bytearray) -> bool:
    """Read once, keeping no more than is shown; False at the end."""
    try:
        data = os.read(output, _CHUNK)
    except BlockingIOError:
        return False
    text += data[: KEPT_OUTPUT + 1 - len(text)]
    return bool(data)


def _shown(text: bytearray) -> str:
    whole = bytes(text[:KEPT_OUTPUT]).decode("utf-8", "replace")
    return f"{whole}..." if len(text) > KEPT_OUTPUT else whole


def _paused(bundle: str, init: dict[str, Any]) -> bool:
    record = state.read(f"{bundle}/{state.PAUSED}")
    return record is not None and record["run"] == init
