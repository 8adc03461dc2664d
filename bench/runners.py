"""Who runs containers in the benchmark: Orlop by fresh processes and by its running engine, Docker, podman."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from subjects import orlop_env, plain_env

IMAGE = "bench"
# Debian's podman cannot raise limits without CAP_SYS_RESOURCE, and its crun refuses hybrid control groups.
_PODMAN = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--log-driver", "k8s-file")


class Runner(Protocol):
    """One engine with a store of its own; `name` stands in the tables."""

    name: str

    def words(self, *words: str) -> list[str]: ...
    def close(self) -> None: ...

    env: dict[str, str]


class Cli:
    """An engine by its command line; `options` are those of `run`, `daemon` ends with it."""

    def __init__(
        self,
        name: str,
        prefix: Sequence[str],
        env: dict[str, str],
        options: Sequence[str] = (),
        daemon: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self.name = name
        self.env = env
        self._prefix = list(prefix)
        self._options = list(options)
        self._daemon = daemon

    def words(self, *words: str) -> list[str]:
        """The argument vector of a verb."""
        return [*self._prefix, words[0], *(self._options if words[0] == "run" else ()), *words[1:]]

    def do(self, *words: str, stdin: Path | None = None) -> float:
        """Wall seconds of a verb that must succeed; what it says goes nowhere."""
        with open(stdin or os.devnull, "rb") as source:
            start = time.perf_counter()
            done = subprocess.run(
                self.words(*words), env=self.env, check=False, stdin=source, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )  # fmt: skip
            took = time.perf_counter() - start
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: {' '.join(words)} ended with {done.returncode}:\n{done.stderr.decode()}")
        return took

    def ask(self, *words: str) -> str:
        """What a verb answers."""
        return subprocess.check_output(self.words(*words), env=self.env, text=True).strip()

    def count(self, *words: str) -> tuple[float, int]:
        """Wall seconds of a verb and how many bytes it writes."""
        start = time.perf_counter()
        size = 0
        with subprocess.Popen(self.words(*words), env=self.env, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while block := process.stdout.read(1 << 20):
                size += len(block)
        return time.perf_counter() - start, size

    def at_once(self, times: int, *words: str) -> float:
        """Wall seconds of so many of them side by side."""
        start = time.perf_counter()
        running = [
            subprocess.Popen(self.words(*words), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(times)
        ]
        codes = [each.wait() for each in running]
        if any(codes):
            raise SystemExit(f"{self.name}: {' '.join(words)} at once ended with {codes}")
        return time.perf_counter() - start

    def close(self) -> None:
        """Remove every container, and end the daemon."""
        with contextlib.suppress(subprocess.CalledProcessError):
            left = self.ask("ps", "-aq").split()
            if left:
                self.do("rm", "-f", *left)
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(60)


class Warm:
    """Orlop's engine in a process that stays up, as an editor's server does; it shares the store of `fresh`."""

    name = "orlop, running engine"

    def __init__(self, python: str, fresh: Cli) -> None:
        worker = Path(__file__).with_name("orlopworker.py")
        self._process = subprocess.Popen([python, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=fresh.env)

    def ask(self, **command: Any) -> float:
        """Wall seconds that the engine took for a command of `orlopworker`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the engine ended while it did {command}")
        return float(json.loads(line)["wall"])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def all_of(python: str, folder: Path) -> tuple[list[Cli], list[str]]:
    """Those that run here, Orlop first, and a line for each that does not."""
    runners = [Cli("orlop", [python, "-m", "orlop"], orlop_env(folder / "orlop"))]
    missing: list[str] = []
    for name, make in (("docker", _docker), ("podman", _podman)):
        if os.geteuid() != 0:
            missing.append(f"{name} is left out: only root starts it here")
        elif not shutil.which("dockerd" if name == "docker" else name):
            missing.append(f"{name} is left out: it is not installed")
        else:
            runners.append(make(folder / name))
    return runners, missing


def _docker(folder: Path) -> Cli:
    folder.mkdir()
    client = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"
    env = {**plain_env(folder), "DOCKER_HOST": f"unix://{folder}/d.sock"}
    words = [
        "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "-H", env["DOCKER_HOST"],
        "--pidfile", folder / "pid",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(words, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while subprocess.run([client, "version"], check=False, env=env, capture_output=True).returncode != 0:
        if time.monotonic() > deadline or daemon.poll() is not None:
            raise SystemExit(f"dockerd does not start:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.3)
    limits = ("--log-opt", "max-size=16m", "--log-opt", "max-file=3")  # what Orlop keeps
    return Cli("docker", [client], env, limits, daemon)


def _podman(folder: Path) -> Cli:
    folder.mkdir()
    prefix = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "overlay"]
    prefix += ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    return Cli("podman", prefix, plain_env(folder), _PODMAN)
