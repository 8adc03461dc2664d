"""What is on disk about a container, each file written whole or not at all; and who is meant by a pid.

In a container's directory: `config.json` (how it was created), `state.json` (the last start), `exit.json` (its end),
`paused.json` and `held.json` (how to let it go on), `run.json` (what its run holds, see `remains`), `restart.json`
(restarts so far, and the shim that waits for the next one), `stopped.json` (the run that a person ended),
`health.json`, `container.log`, `diff/` and `work/`.
"""

from __future__ import annotations

import os

from orlop.runtime.linux import leanjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG, STATE, EXIT, LOG = "config.json", "state.json", "exit.json", "container.log"
PAUSED, HELD, PORTS, RUN, ADDRESS = "paused.json", "held.json", "ports.json", "run.json", "address"
RESTART, STOPPED, HEALTH = "restart.json", "stopped.json", "health.json"


def write(path: str, value: dict[str, Any], *, sync: bool = True) -> None:
    """Write JSON by a temporary file and a rename; raises `OSError`."""
    draft = f"{path}.{os.getpid()}.tmp"
    fd = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        data = leanjson.dumps(value).encode() + b"\n"
        while data:
            data = data[os.write(fd, data) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(draft, path)


def read(path: str) -> dict[str, Any] | None:
    """Read JSON; None when there is no such file. Raises `ValueError` when it is broken."""
    try:
        with open(path, "rb") as file:
            value = leanjson.loads(file.read())
    except FileNotFoundError:
        return None
    if isinstance(value, dict):
        return value
    raise ValueError(f"{path} holds no object")


def write_own_addresses(bundle: str, hostname: str, addresses: list[str]) -> None:
    """Let the container's name mean these addresses in its hosts file, and note the first as its address.

    The file is mounted in the container, so it is written in place, by one write.
    """
    if not addresses:
        return
    with open(f"{bundle}/hosts", encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line.split()[1:2] != [hostname]]
    lines += [f"{each}\t{hostname}" for each in addresses]
    fd = os.open(f"{bundle}/hosts", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, "".join(f"{line}\n" for line in lines).encode())
    finally:
        os.close(fd)
    with open(f"{bundle}/{ADDRESS}", "w", encoding="ascii") as file:
        file.write(addresses[0])


def gone(bundle: str) -> str:
    """Where a bundle is renamed to, when its container is removed and its files are yet to be deleted."""
    folder, _, name = bundle.rpartition("/")
    return f"{folder}/.gone-{name}"


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); None when it is gone."""
    return _stat(pid)[1]


def boot_id() -> str:
    """Differs after each boot, so that pids of before are not taken for today's."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def identity(pid: int) -> dict[str, Any]:
    """What tells this process from a later one of the same number."""
    return {"pid": pid, "start": start_time(pid), "boot": boot_id()}


def alive(process: dict[str, Any] | None) -> bool:
    """Whether the process of `identity` still exists (a zombie does)."""
    if process is None:
        return False
    return (
        process["start"] is not None
        and start_time(process["pid"]) == process["start"]
        and (process["boot"] == boot_id())
    )


def works(process: dict[str, Any] | None) -> bool:
    """Whether the process of `identity` still does anything: a zombie, which nobody may ever collect, does not."""
    return alive(process) and process is not None and _stat(process["pid"])[0] not in (b"Z", b"X")


def runs(last: dict[str, Any]) -> bool:
    """Whether the run that `state.json` tells of goes on.

    Its first process works, or has ended while its shim is about to write that down.
    """
    return works(last["init"]) or (alive(last["init"]) and works(last["shim"]))


def _stat(pid: int) -> tuple[bytes, int | None]:
    """State and start time of a process (proc_pid_stat(5), fields 3 and 22)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return b"X", None
