"""The labs of the runtime's tests, and containers that go on running: what is attacked here is the same real thing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "runtime"))

from containers import PATH, able, lab, make_root, remove_tree

from orlop.core.job import Job
from orlop.runtime.container import ImageOrigin
from orlop.runtime.manager import Manager
from orlop.runtime.shim import state
from orlop.runtime.spec import ContainerSpec, Rootfs

__all__ = ["able", "lab", "until", "yard"]


class Yard:
    """Containers that run side by side, started by one manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base = make_root(path / "base")
        self.manager = Manager(path / "containers", path / "run", remove_tree=remove_tree)
        self.job = Job()

    def start(self, name: str, script: str, **fields: Any) -> int:
        """Start a container that runs a script; the pid of its first process, as the host sees it."""
        defaults: dict[str, Any] = {"rootfs": Rootfs((str(self.base),)), "env": PATH, "network": "none"}
        spec = ContainerSpec(args=("sh", "-c", script), **(defaults | fields))
        self.manager.create(spec, ImageOrigin("busybox:latest", "sha256:" + "0" * 64), name=name)
        self.manager.start(name, self.job)
        pid: int = self.state(name)["init"]["pid"]
        return pid

    def state(self, name: str) -> dict[str, Any]:
        """What is on disk about a container that runs."""
        return state.read(f"{self.manager.inspect(name).bundle}/{state.STATE}") or {}

    def exec(self, name: str, *args: str, env: Mapping[str, str] | None = None, **fields: Any) -> tuple[int, str]:
        """The exit code of a program in a running container, and what it wrote or why it did not start."""
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        variables = [f"{key}={value}" for key, value in (env or {}).items()]
        session = self.manager.exec(name, args, env=variables, stdio=(null, write, write), **fields)
        os.close(null)
        os.close(write)
        with os.fdopen(read, errors="replace") as file:
            out = file.read()
        code, error = session.wait(self.job)
        return code, error or out

    def output(self, name: str) -> str:
        """What a container wrote so far."""
        return "".join(line.text for line in self.manager.logs(name, self.job))

    def close(self) -> None:
        for each in self.manager.list():
            self.manager.remove(each.id, self.job, force=True)
        self.manager.close()
        remove_tree(self.path)


@pytest.fixture
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    request.getfixturevalue("able")
    made = Yard(tmp_path / "yard")
    yield made
    made.close()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until a condition is true, and returns what it gave."""

    def wait(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.02)
        raise AssertionError("it did not come true in time")

    return wait
