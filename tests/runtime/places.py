"""A manager with the root file system of its containers, as whoever runs the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import PATH, make_root, remove_tree

from orlop.core.job import Job
from orlop.runtime.container import Container, ImageOrigin
from orlop.runtime.manager import Manager
from orlop.runtime.spec import ContainerSpec, Rootfs

IMAGE = ImageOrigin("busybox:latest", "sha256:" + "0" * 64)
SERVICE = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"


class Place:
    """A manager and the root file system of its containers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base = make_root(path / "base")
        self.manager = self.open()
        self.job = Job()

    def open(self) -> Manager:
        return Manager(self.path / "containers", self.path / "run", remove_tree=remove_tree)

    def create(self, *args: str, name: str | None = None, auto_remove: bool = False, **fields: Any) -> Container:
        defaults: dict[str, Any] = {"rootfs": Rootfs((str(self.base),)), "env": PATH, "network": "none"}
        spec = ContainerSpec(args=args, **(defaults | fields))
        return self.manager.create(spec, IMAGE, name=name, auto_remove=auto_remove)

    def run(self, *args: str, data: bytes | None = None, **fields: Any) -> tuple[int | None, bytes, bytes]:
        found = self.create(*args, stdin_open=data is not None, **fields)
        session = self.manager.start(found.id, self.job, foreground=True, size=(90, 20))
        assert session is not None
        if data is not None:
            threading.Thread(target=lambda: (session.send(data), session.close_stdin())).start()
        parts: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        for stream, piece in session.output(self.job):
            parts[stream] += piece
        session.close()
        return session.exit_code, parts["stdout"], parts["stderr"]

    def service(self, name: str) -> Container:
        self.create("sh", "-c", SERVICE, name=name)
        self.manager.start(name, self.job)
        until(lambda: list(self.manager.logs(name, self.job)))
        return self.manager.inspect(name)


@pytest.fixture
def place(able: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("m")
    made = Place(path / "x")
    yield made
    manager = made.open()
    for each in manager.list():
        manager.remove(each.id, made.job, force=True)
    manager.close()
    made.manager.close()
    remove_tree(path / "x")


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")
