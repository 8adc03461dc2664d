"""Containers beside those of Docker and podman, interleaved, every store on one fresh tmpfs.

usage: containers.py ORLOP_PYTHON BASE_TAR [ROUNDS]; prints medians and their ratio to the best peer. What was done is
verified outside the time measured. Peers that are not installed, or cannot run, are said to be left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import isolation
import payload
from runners import IMAGE, Cli, Warm, all_of

BYTES = 100_000_000
# Less than what is kept of a log.
LOG = 15_000_000
MANY = 20
IDLE = 10
SLEEP = ("sleep", "100000")
LINE = "0123456789" * 9 + "01234567"

# Title -> subject -> one number a round. Seconds unless the title says otherwise.
Results = dict[str, dict[str, list[float]]]


class Bench:
    """The workloads; each measures one subject once and raises `SystemExit` when what it did is not as it should be."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "file.bin"
        self._file.write_bytes(os.urandom(1 << 20) * (BYTES >> 20) + b"x" * (BYTES % (1 << 20)))
        self._digest = _digest(self._file)
        self._layer = payload.layer(folder / "change.tar", 3_600, 126_000_000, 7)
        self._out = folder / "out"
        self.results: Results = {}
        self.counts = False

    def prepare(self, cli: Cli, base: Path) -> None:
        """The image, a container to enter, one with a change, one that has something to serve, and one with a log."""
        cli.do("import", str(base), IMAGE)
        cli.do("run", "-d", "--name", "entered", "--network", "none", IMAGE, *SLEEP)
        cli.do("run", "--name", "changed", "--network", "none", IMAGE, "true")
        cli.do("cp", "-", "changed:/", stdin=self._layer.tar)
        served = "mkdir /w; head -c 1 /dev/zero >/w/ready; exec httpd -f -p 8000 -h /w"
        cli.do("run", "-d", "--name", "serving", "-p", "127.0.0.1::8000", IMAGE, "sh", "-c", served)
        cli.do("cp", str(self._file), "serving:/w/file")
        cli.do("run", "--name", "wordy", "--network", "none", IMAGE, "sh", "-c", f"yes {LINE} | head -c {LOG}")

    def measure(self, cli: Cli) -> None:
        """Everything once, by the command line."""
        run = ("run", "--rm", "--network")
        self._add("run --rm IMAGE true, no network", cli, lambda: cli.do(*run, "none", IMAGE, "true"))
        self._add("run --rm IMAGE true, default network", cli, lambda: cli.do("run", "--rm", IMAGE, "true"))
        self._add("exec of true", cli, lambda: cli.do("exec", "entered", "true"))
        self._add(f"{MANY} runs at once, no network", cli, lambda: cli.at_once(MANY, *run, "none", IMAGE, "true"))
        self._add(f"{MANY} runs at once, default network", cli, lambda: cli.at_once(MANY, "run", "--rm", IMAGE, "true"))
        self._add("commit of 126 MB in 3,600 files", cli, lambda: cli.do("commit", "changed", "committed"))
        count = ("committed", "sh", "-c", "find /usr/lib -type f | wc -l")
        self._expect(cli, "3600", *run, "none", *count)
        cli.do("rmi", "committed")
        self._add("cp of 100 MB into a running container", cli, lambda: cli.do("cp", str(self._file), "entered:/in"))
        self._add("cp of 100 MB out of it", cli, lambda: cli.do("cp", "entered:/in", str(self._out)))
        if _digest(self._out) != self._digest:
            raise SystemExit(f"{cli.name} copies other bytes")
        self._out.unlink()
        self._add("100 MB through a published port", cli, lambda: _download(cli.ask("port", "serving", "8000")))
        shown = ("sh", "-c", f"yes {LINE} | head -c {BYTES}")
        self._add("run that writes 100 MB of lines", cli, lambda: _exact(cli.count(*run, "none", IMAGE, *shown), BYTES))
        self._add("logs of 15 MB", cli, lambda: _exact(cli.count("logs", "wordy"), LOG))
        self._add("memory of an idle container (MB PSS)", cli, lambda: _idle(cli))

    def measure_warm(self, warm: Warm) -> None:
        """What an editor's server does in the same way, without a process for each."""
        name = warm.name
        for network, title in (("none", "no network"), ("default", "default network")):
            self._note(f"run --rm IMAGE true, {title}", name, warm.ask(do="run", name=IMAGE, network=network))
            many = warm.ask(do="run", name=IMAGE, network=network, times=MANY)
            self._note(f"{MANY} runs at once, {title}", name, many)
        self._note("exec of true", name, warm.ask(do="exec", name="entered"))
        self._note("commit of 126 MB in 3,600 files", name, warm.ask(do="commit", name="changed", target="warm"))
        warm.ask(do="remove", name="warm")

    def _add(self, title: str, cli: Cli, work: Callable[[], float]) -> None:
        self._note(title, cli.name, work())

    def _note(self, title: str, name: str, value: float) -> None:
        # The first round warms caches and the running engine.
        if self.counts:
            self.results.setdefault(title, {}).setdefault(name, []).append(value)

    @staticmethod
    def _expect(cli: Cli, answer: str, *words: str) -> None:
        found = cli.ask(*words)
        if found != answer:
            raise SystemExit(f"{cli.name}: {' '.join(words)} says {found} instead of {answer}")


def show(results: Results) -> None:
    """A table for each workload."""
    for title, found in results.items():
        print(f"\n{title}")
        middles = {name: statistics.median(values) for name, values in found.items()}
        best = min((middle for name, middle in middles.items() if not name.startswith("orlop")), default=0.0)
        for name in sorted(found):
            low, high = min(found[name]), max(found[name])
            ratio = f"  {middles[name] / best:6.3f} of the best peer" if best else ""
            print(f"  {name:22} {middles[name]:8.3f} ({low:.3f} to {high:.3f}){ratio}")


def _exact(measured: tuple[float, int], size: int) -> float:
    took, found = measured
    if found != size:
        raise SystemExit(f"{found} bytes came instead of {size}")
    return took


def _download(address: str) -> float:
    # Docker and podman may tell one line for each family.
    port = address.splitlines()[0].rpartition(":")[2]
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready").close()
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"nobody answers at port {port}")
        time.sleep(0.1)
    start, size = time.perf_counter(), 0
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/file") as answer:
        while block := answer.read(1 << 20):
            size += len(block)
    return _exact((time.perf_counter() - start, size), BYTES)


def _idle(cli: Cli) -> float:
    """Megabytes that one more idle container takes beside its own program, as shared out by the kernel."""
    before = _memory()
    names = [f"idle{number}" for number in range(IDLE)]
    for name in names:
        cli.do("run", "-d", "--name", name, IMAGE, *SLEEP)
    time.sleep(1)
    used = (_memory() - before) / IDLE / 1e6
    cli.do("rm", "-f", *names)
    return used


def _memory() -> int:
    """PSS of every process here but the programs of containers."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{entry}/comm").read_text().strip() != SLEEP[0]:
                    text = Path(f"/proc/{entry}/smaps_rollup").read_text()
                    total += int(text.partition("\nPss:")[2].split()[0]) * 1024
    return total


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Measure and print."""
    isolation.enter()
    python, base = sys.argv[1], Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with isolation.folder() as folder:
        bench = Bench(folder)
        runners, missing = all_of(python, folder)
        for line in missing:
            print(line)
        warm = Warm(python, runners[0])
        try:
            for cli in runners:
                bench.prepare(cli, base)
            for turn in range(rounds + 1):
                bench.counts = turn > 0
                for cli in runners:
                    bench.measure(cli)
                bench.measure_warm(warm)
            show(bench.results)
        finally:
            warm.close()
            for cli in runners:
                cli.close()


if __name__ == "__main__":
    main()
