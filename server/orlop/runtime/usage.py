"""What a running container uses, as the kernel tells of its processes; needs no control group."""

from __future__ import annotations

import os
import time

import attrs

from orlop.core.job import Job
from orlop.runtime.container import Container
from orlop.runtime.linux import freezer

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SPAN = 0.5


@attrs.frozen
class Usage:
    """`cpu` is a share of one processor (1.0 is all of it) over half a second; the rest are bytes and processes.

    `limit` is what the container may take of memory: its own limit, or all that the host has.
    """

    cpu: float
    memory: int
    limit: int
    received: int
    sent: int
    read: int
    written: int
    processes: int


def measure(containers: tuple[Container, ...], job: Job) -> dict[str, Usage]:
    """By container ID; those that have ended are left out."""
    pids = {each.id: freezer.members(each.pid) for each in containers if each.pid is not None}
    before = {identifier: _ticks(members) for identifier, members in pids.items()}
    clock = time.monotonic()
    job.token.wait(_SPAN)
    job.checkpoint()
    span = time.monotonic() - clock
    found = {}
    for each in containers:
        if each.pid is None or not (members := freezer.members(each.pid)):
            continue
        after = _ticks(members)
        used = sum(ticks - before[each.id].get(pid, 0) for pid, ticks in after.items())
        received, sent = _network(each.pid)
        read, written = _blocks(members)
        memory = sum(map(_resident, members))
        limit = each.spec.limits.memory or os.sysconf("SC_PHYS_PAGES") * _PAGE
        found[each.id] = Usage(
            max(0, used) / _TICK / span, memory, limit, received, sent, read, written, sum(map(_threads, members))
        )
    return found


def _ticks(pids: list[int]) -> dict[int, int]:
    found = {}
    for pid in pids:
        fields = _read(pid, "stat").rpartition(")")[2].split()
        if len(fields) > 13:
            found[pid] = int(fields[11]) + int(fields[12])
    return found


def _resident(pid: int) -> int:
    """Its own pages and its share of others', as far as the kernel tells."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


def _threads(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[17]) if len(fields) > 17 else 0


def _network(pid: int) -> tuple[int, int]:
    received = sent = 0
    for line in _read(pid, "net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != "lo" and len(fields) > 8:
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def _blocks(pids: list[int]) -> tuple[int, int]:
    read = written = 0
    for pid in pids:
        rows = dict(line.split(": ") for line in _read(pid, "io").splitlines())
        read += int(rows.get("read_bytes", 0))
        written += int(rows.get("write_bytes", 0))
    return read, written


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
