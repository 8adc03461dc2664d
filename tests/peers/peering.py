"""A Docker client that tests type at."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs

from harness import Terminal


@attrs.frozen
class Docker:
    """Types `docker` commands at one daemon, with BuildKit."""

    client: str
    socket: Path

    def __call__(self, *words: str, stdin: bytes | None = None) -> bytes:
        """Run a command to its end, which must be good, and return its standard output."""
        done = subprocess.run(
            [self.client, *words], input=stdin, capture_output=True, env=self._env(), timeout=250,
            stdin=None if stdin is not None else subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"docker {' '.join(words)}:\n{done.stderr.decode(errors='replace')}"
        return done.stdout

    def answers(self) -> bool:
        """Whether the daemon is up."""
        return subprocess.run([self.client, "version"], capture_output=True, env=self._env()).returncode == 0

    def _env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(Path(self.socket).parent), "LANG": "C.UTF-8", "DOCKER_BUILDKIT": "1",
            "DOCKER_HOST": f"unix://{self.socket}",
        }  # fmt: skip


def saved(terminal: Terminal, name: str, *flags: str) -> bytes:
    """An image's archive, by standard output as any account may write it."""
    process = terminal.start("save", *flags, name, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    data, said = process.communicate(timeout=100)
    assert process.returncode == 0, said.decode(errors="replace")
    return data
