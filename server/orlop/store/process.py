"""Who a process is, so that what it left behind can be told from what it still uses."""

from __future__ import annotations

import os
from pathlib import Path

import attrs


@attrs.frozen
class Process:
    """A process id alone is reused; with its start time (clock ticks since boot) and the boot it is unique."""

    pid: int
    start: int
    boot: str


def current() -> Process:
    """The calling process."""
    pid = os.getpid()
    return Process(pid, start_time(pid) or 0, boot_id())


def is_alive(process: Process) -> bool:
    """Whether it still runs."""
    return process.boot == boot_id() and start_time(process.pid) == process.start


def start_time(pid: int) -> int | None:
    """Field 22 of proc_pid_stat(5), None when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold anything, spaces and parentheses too.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def boot_id() -> str:
    """The kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
