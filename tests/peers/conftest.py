"""A Docker daemon of the tests' own, where one is installed and may run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helper modules of these tests stand beside them.
sys.path.insert(0, str(Path(__file__).parent))

from comparing import Tree, whole_tree
from peering import Docker, saved

from harness import Terminal


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker | None]:
    """A fresh daemon, stopped at the end; None where Docker is missing or the test is not run as root."""
    client = next((path for path in ("/usr/bin/docker", shutil.which("docker")) if path and os.path.exists(path)), None)
    if os.geteuid() != 0 or client is None or shutil.which("dockerd") is None:
        yield None
        return
    folder = Path("/var/tmp") / f"orlop-dk-{os.getpid()}"
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec",
                "-H", f"unix://{folder}/d.sock", "--pidfile", folder / "pid",
                "--bridge", "none", "--iptables=false", "--ip-masq=false",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    peer = Docker(client, folder / "d.sock")
    try:
        _wait(peer, daemon, folder / "log")
        yield peer
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def base(shared_terminal: Terminal) -> bytes:
    return saved(shared_terminal, "busybox")


@pytest.fixture(scope="session")
def base_tree(base: bytes) -> Tree:
    return whole_tree(base)


@pytest.fixture(scope="session")
def peer(docker: Docker | None, base: bytes) -> Docker | None:
    """Docker with the very same base image."""
    if docker is not None:
        docker("load", stdin=base)
    return docker


def _wait(peer: Docker, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not peer.answers():
        if daemon.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"dockerd does not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.3)
