"""What processes cost: CPU seconds and peak memory of a command, and of a daemon with all its children."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

_TICK = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Cost:
    """Wall and CPU seconds, and the most bytes that the largest of the processes held."""

    wall: float
    cpu: float
    memory: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.memory, other.memory))


def command(words: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command that must succeed; what it waited for is in its cost."""
    launcher = [sys.executable, "-S", "-E", str(Path(__file__).with_name("launcher.py"))]
    said = subprocess.check_output([*launcher, *map(str, words)], env=env)
    facts = json.loads(said)
    if facts["code"] != 0:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {facts['code']}:\n{facts['said']}")
    return Cost(facts["wall"], facts["cpu"], facts["memory"])


class Tree:
    """A running process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def start(self) -> dict[int, tuple[int, int]]:
        """Forget the peaks so far; the CPU ticks until now of each process and of its children that ended."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self._ticks()

    def stop(self, before: dict[int, tuple[int, int]]) -> tuple[float, int]:
        """CPU seconds since `start`, and the peak of the largest process."""
        now = self._ticks()
        own = sum(ticks[0] - before.get(pid, (0, 0))[0] for pid, ticks in now.items())
        # A child that ended brings its whole life to its parent, of which only the part since `start` counts.
        ended = sum(ticks[1] - before.get(pid, (0, 0))[1] for pid, ticks in now.items())
        gone = sum(sum(ticks) for pid, ticks in before.items() if pid not in now)
        return (own + max(0, ended - gone)) / _TICK, max((_peak(pid) for pid in now), default=0)

    def _pids(self) -> list[int]:
        parents: dict[int, int] = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    parents[int(name)] = int(_fields(int(name))[1])
        found = {self._pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def _ticks(self) -> dict[int, tuple[int, int]]:
        found: dict[int, tuple[int, int]] = {}
        for pid in self._pids():
            with contextlib.suppress(OSError):
                user, system, user_children, system_children = map(int, _fields(pid)[11:15])
                found[pid] = (user + system, user_children + system_children)
        return found


def _fields(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name: state, parent, …; 11 to 14 are CPU ticks, children's included."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
