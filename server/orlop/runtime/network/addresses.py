"""Addresses of the bridge network: a subnet nobody here uses, and one address per living container.

Kept in one file under a lock; a lease belongs to a process and ends with it, so that nothing has to be given back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from orlop.core import errors

# Private networks (RFC 1918) that other tools do not start with; Docker, podman and slirp4netns have theirs elsewhere.
_CANDIDATES = (
    *(IPv4Network(f"10.{number}.0.0/20") for number in range(213, 254)),
    *(IPv4Network(f"192.168.{number}.0/20") for number in range(192, 0, -16)),
    *(IPv4Network(f"172.{number}.0.0/20") for number in range(31, 18, -1)),
)
_OF_OTHERS = tuple(IPv4Network(text) for text in ("172.17.0.0/16", "10.88.0.0/16", "10.0.2.0/24"))
# Leases of ended processes are swept out when there are this many.
_SWEEP_AT = 64


def free_subnet(used: Iterable[IPv4Network], *, skip: int = 0) -> IPv4Network:
    """A private network that overlaps with none of `used` (default routes aside) and none of other tools'.

    The search starts after `skip` candidates. Raises `Unavailable`.
    """
    taken = [*_OF_OTHERS, *(each for each in used if each.prefixlen > 0)]
    start = skip % len(_CANDIDATES)
    for candidate in (*_CANDIDATES[start:], *_CANDIDATES[:start]):
        if not any(candidate.overlaps(each) for each in taken):
            return candidate
    raise errors.Unavailable(
        "cannot choose a subnet for containers: every private network overlaps with a route of this host",
        hint="Use the host's network for this container.",
    )


class Ledger:
    """The leases of one bridge, in `directory`; any number of threads and processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "leases.json"
        self._lock = directory / "lock"

    @contextlib.contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the one lock of the network's state.

        Raises `Unavailable` when the directory cannot be written, `BlockingIOError` when the lock is taken and it
        shall not `wait`.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise errors.from_os(error, f"keep network state in {self._directory}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def lease(
        self,
        subnet: IPv4Network,
        container_id: str,
        pid: int,
        *,
        gateway: IPv4Address | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> IPv4Address:
        """The next free address of `subnet`, for as long as process `pid` lives; call it under the lock.

        Addresses go round, so that one is not used again right after its owner left and neighbors still remember it.
        `gateway` is the first of the subnet unless given; `details` are kept with the lease (`members`). Raises
        `Conflict` when none is left or the process has ended.
        """
        started = _start_time(pid)
        if started is None:
            raise errors.Conflict(f"cannot lease an address for process {pid}: it has ended")
        state = self._read(subnet)
        leases: dict[str, list[Any]] = state["leases"]
        capacity = subnet.num_addresses - 3
        if len(leases) >= min(_SWEEP_AT, capacity):
            leases = {text: owner for text, owner in leases.items() if _start_time(owner[1]) == owner[2]}
        if len(leases) >= capacity:
            raise errors.Conflict(
                f"cannot lease an address: all {capacity} of {subnet} are in use", hint="Stop some containers."
            )
        reserved = 1 if gateway is None else int(gateway) - int(subnet[0])
        offset = state["next"]
        while str(address := subnet[_nth_host(offset % capacity, reserved)]) in leases:
            offset += 1
        leases[str(address)] = [container_id, pid, started, dict(details or {})]
        self._write({"subnet": str(subnet), "next": (offset + 1) % capacity, "leases": leases})
        return address

    def release(self, address: IPv4Address, pid: int) -> None:
        """Give an address back early; returns normally when it has passed to somebody else or the state is gone."""
        with self.locked():
            state = self._read(None)
            owner = state["leases"].get(str(address))
            if owner is not None and owner[1] == pid:
                del state["leases"][str(address)]
                self._write(state)

    def members(self) -> dict[IPv4Address, tuple[str, int, dict[str, Any]]]:
        """Address -> (container id, pid, details) of the leases of processes that live."""
        found = self._read(None)["leases"]
        return {
            IPv4Address(text): (each[0], each[1], each[3] if len(each) > 3 else {})
            for text, each in found.items()
            if _start_time(each[1]) == each[2]
        }

    def everybody(self) -> dict[IPv4Address, tuple[str, int]]:
        """Address -> (container id, pid) of all leases, also of processes that have ended."""
        return {IPv4Address(text): (each[0], each[1]) for text, each in self._read(None)["leases"].items()}

    def set_details(self, address: IPv4Address, details: Mapping[str, Any]) -> None:
        """Change what is kept with a lease; call it under the lock. Returns normally when the lease is gone."""
        state = self._read(None)
        owner = state["leases"].get(str(address))
        if owner is not None:
            state["leases"][str(address)] = [*owner[:3], dict(details)]
            self._write(state)

    def leases(self) -> dict[IPv4Address, str]:
        """Address -> container id, of processes that live."""
        found = self._read(None)["leases"]
        return {IPv4Address(text): each[0] for text, each in found.items() if _start_time(each[1]) == each[2]}

    def note(self, name: str) -> str | None:
        """A small text kept beside the leases, or None."""
        try:
            return (self._directory / name).read_text()
        except FileNotFoundError:
            return None

    def set_note(self, name: str, text: str | None) -> None:
        """Keep a small text, or forget it; a reader sees the old or the new one."""
        if text is None:
            (self._directory / name).unlink(missing_ok=True)
        else:
            self._replace(self._directory / name, text)

    def clear(self) -> None:
        """Forget everything; call it under the lock."""
        self._file.unlink(missing_ok=True)

    def _read(self, subnet: IPv4Network | None) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(self._file.read_bytes())
            if subnet is None or state["subnet"] == str(subnet):
                return state
        except (FileNotFoundError, ValueError, KeyError):
            pass
        # Missing, of another subnet, or cut short by a crash of the machine: all leases of then have ended.
        return {"subnet": str(subnet), "next": 0, "leases": {}}

    def _write(self, state: dict[str, Any]) -> None:
        self._replace(self._file, json.dumps(state))

    def _replace(self, path: Path, text: str) -> None:
        # No fsync: after a crash of the machine no process holds a lease, and `_read` forgives a cut file. One name for
        # all, since writers hold the lock: what a killed one left is written over.
        temporary = self._directory / ".new"
        temporary.write_text(text)
        temporary.replace(path)


def _nth_host(number: int, reserved: int) -> int:
    """The place in its subnet of host `number` (from 0), the `reserved` place being nobody's."""
    place = number + 1
    return place if place < reserved else place + 1


def _start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
