"""A machine of one's own for tests that count what is there: namespaces in which nobody else starts or makes anything."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from harness import Terminal

# The first process collects whom nobody waits for, and ends with the test.
_FIRST = "import signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"
_MAKE = 'mount -t tmpfs -o mode=0755 run /run && ip link set lo up && exec "$@"'
_KINDS = ("--mount", "--net", "--pid")


@attrs.frozen
class Snapshot:
    """What there is: processes (pid and name), mounts, links, packet rules, control groups, files and sockets."""

    processes: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    rules: frozenset[str]
    groups: frozenset[str]
    files: frozenset[str]

    def more_than(self, before: Snapshot) -> dict[str, list[str]]:
        """What was not there before, by kind."""
        kinds = [field.name for field in attrs.fields(Snapshot)]
        extra = {kind: sorted(getattr(self, kind) - getattr(before, kind)) for kind in kinds}
        return {kind: found for kind, found in extra.items() if found}


class Room(Terminal):
    """Types commands in the namespaces of process `holder`, as the account and upon the store of `other`."""

    def __init__(self, other: Terminal, holder: int) -> None:
        super().__init__(other.root, other.account, other.server)
        self._holder = holder
        self._enter = ["nsenter", "--target", str(holder), *_KINDS, "--"]
        self._ids: set[str] = set()

    def _prefix(self) -> list[str]:
        return [*self._enter, *super()._prefix()]

    def processes(self) -> dict[int, str]:
        """Every process but the first, by its number in the room -> its name."""
        proc = Path(f"/proc/{self._holder}/root/proc")
        found = {}
        for entry in os.listdir(proc):
            if entry.isdigit() and entry != "1":
                with contextlib.suppress(OSError):
                    found[int(entry)] = (proc / entry / "comm").read_text().strip()
        return found

    def kill(self, *names: str, choose: Callable[[list[int]], list[int]] = list) -> list[str]:
        """Send SIGKILL to the processes of those names, or to those of them that are chosen; the names of these."""
        there = self.processes()
        chosen = choose(sorted(pid for pid, name in there.items() if name in names))
        if chosen:
            killer = ["sh", "-c", f"kill -9 {' '.join(map(str, chosen))}"]
            subprocess.run([*self._enter, *killer], capture_output=True, check=False)
        return [there[pid] for pid in chosen]

    def snapshot(self) -> Snapshot:
        """What there is now. Groups are those of containers that this store has, or had at an earlier snapshot."""
        store = self.root
        bundles = store / "containers"
        self._ids |= {name for name in os.listdir(bundles) if not name.startswith(".")}
        folders = [bundles, store / "volumes", store / "run", Path(f"/proc/{self._holder}/root/run")]
        mounts = Path(f"/proc/{self._holder}/mountinfo").read_text().splitlines()
        return Snapshot(
            processes=frozenset(f"{pid} {name}" for pid, name in self.processes().items()),
            mounts=frozenset(line.split(" ", 3)[3] for line in mounts),
            links=frozenset(line.split(":")[1].split("@")[0].strip() for line in self._lines("ip", "-o", "link")),
            rules=frozenset((*self._lines("nft", "list", "ruleset"), *self._lines("iptables-save"))),
            groups=frozenset(_groups(self._ids)),
            files=frozenset(path for folder in folders for path in _files(folder)),
        )

    def _lines(self, *words: str) -> list[str]:
        done = subprocess.run([*self._enter, *words], capture_output=True, text=True, check=False)
        # Counters and dates are no rules.
        return [re.sub(r"\[\d+:\d+\]", "", line) for line in done.stdout.splitlines() if not line.startswith("#")]


@contextlib.contextmanager
def room(terminal: Terminal) -> Iterator[Room]:
    """Such a machine for the store and account of `terminal`; whatever is in it ends with the context."""
    words = ["unshare", *_KINDS, "--fork", "--mount-proc", "--kill-child", "sh", "-c", _MAKE, "sh"]
    words += [sys.executable, "-c", _FIRST]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield Room(terminal, int(children[0]))
        finally:
            process.kill()


def settled(place: Room, before: Snapshot, mend: Callable[[], object], seconds: float = 30.0) -> dict[str, list[str]]:
    """What is more than before after `mend` was done, as often as it takes within the time; empty when all went well."""
    deadline = time.monotonic() + seconds
    while True:
        mend()
        extra = place.snapshot().more_than(before)
        if not extra or time.monotonic() > deadline:
            return extra
        time.sleep(1)


def _groups(names: set[str]) -> Iterator[str]:
    for folder, below, _ in os.walk("/sys/fs/cgroup"):
        if os.path.basename(folder) == "orlop":
            yield from (f"{folder}/{name}" for name in below if name[:64] in names)


def _files(folder: Path) -> Iterator[str]:
    yield from (os.path.join(where, name) for where, names, files in os.walk(folder) for name in (*names, *files))
