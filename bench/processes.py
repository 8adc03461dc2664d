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

    def start(self) -> float:
        """Forget the peaks so far; the CPU seconds until now."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self._cpu()

    def stop(self, before: float) -> tuple[float, int]:
        """CPU seconds since `start`, and the peak of the largest process."""
        return self._cpu() - before, max((_peak(pid) for pid in self._pids()), default=0)

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

    def _cpu(self) -> float:
        ticks = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                ticks += sum(map(int, _fields(pid)[11:15]))
        return ticks / _TICK


def _fields(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name: state, parent, …; 11 to 14 are CPU ticks, children's included."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
