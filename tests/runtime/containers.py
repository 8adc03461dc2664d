"""A root file system that holds one static program, and containers started on it, as whoever runs the tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from orlop.runtime import launch, userns
from orlop.runtime.linux import idmap
from orlop.runtime.probe import probe
from orlop.runtime.spec import ContainerSpec, Rootfs

BUSYBOX = shutil.which("busybox") or "/bin/busybox"
APPLETS = [
    "sh",
    "true",
    "false",
    "echo",
    "ls",
    "id",
    "cat",
    "mount",
    "umount",
    "ps",
    "env",
    "pwd",
    "sleep",
    "stat",
    "hostname",
    "tty",
    "stty",
    "kill",
    "touch",
    "rm",
    "mkdir",
    "rmdir",
    "ip",
    "chmod",
    "chown",
    "mknod",
    "head",
    "wc",
    "dd",
    "grep",
    "readlink",
    "test",
    "printf",
    "seq",
    "nc",
    "sync",
    "yes",
    "ulimit",
]
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\nodd:x:33:1000::/:/bin/sh\n"
GROUP = "root:x:0:\nadm:x:4:root,node\naudio:x:29:node\nnode:x:1000:\n"
PATH = ("PATH=/bin",)


def make_root(path: Path) -> Path:
    """A directory tree as an image would have it: busybox, passwd, group."""
    (path / "bin").mkdir(parents=True)
    (path / "etc").mkdir()
    shutil.copy(BUSYBOX, path / "bin" / "busybox")
    for name in APPLETS:
        (path / "bin" / name).symlink_to("busybox")
    (path / "etc" / "passwd").write_text(PASSWD)
    (path / "etc" / "group").write_text(GROUP)
    return path


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child that is root of the user namespace, as JSON."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            signal.setitimer(signal.ITIMER_REAL, 0)
            idmap.enter(userns.for_current_user().to_json())
            answer = json.dumps(work()).encode()
            with os.fdopen(write, "wb") as file:
                file.write(answer)
            code = 0
        except BaseException:  # noqa: BLE001 - told by the exit code
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        answer = file.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return json.loads(answer)


def remove_tree(path: Path) -> None:
    in_child(lambda: shutil.rmtree(path))


@attrs.frozen
class Ended:
    code: int
    signal: int | None
    error: str | None
    out: str
    err: str


class Lab:
    """Starts containers in the foreground on layers below one directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base = make_root(path / "base")
        self.upper = path / "upper"
        self.work = path / "work"
        self.upper.mkdir()
        self.work.mkdir()

    def spec(self, *args: str, **fields: Any) -> ContainerSpec:
        rootfs = Rootfs((str(self.base),), str(self.upper), str(self.work), skeleton=str(self.path / "skeleton"))
        defaults: dict[str, Any] = {"rootfs": rootfs, "env": PATH, "network": "none", "hostname": "box"}
        return ContainerSpec(args=args, **(defaults | fields))

    def run(self, *args: str, stdin: str = "", **fields: Any) -> Ended:
        return self.start(self.spec(*args, **fields), stdin)

    def sh(self, script: str, **fields: Any) -> Ended:
        return self.run("sh", "-c", script, **fields)

    def start(self, spec: ContainerSpec, stdin: str = "") -> Ended:
        files = [self.path / name for name in ("stdin", "stdout", "stderr")]
        files[0].write_text(stdin)
        for file in files[1:]:
            file.write_text("")

        def work() -> dict[str, Any]:
            launch.prepare()
            fds = [os.open(files[0], os.O_RDONLY), *(os.open(each, os.O_WRONLY | os.O_APPEND) for each in files[1:])]
            return launch.launch(spec.to_json(), launch.Stdio(*fds))

        status = in_child(work)
        out, err = (file.read_text(errors="replace") for file in files[1:])
        return Ended(status["code"], status["signal"], status["error"], out, err)

    def left(self) -> list[str]:
        """What a container left in its upper directory."""
        return in_child(
            lambda: sorted(
                os.path.relpath(os.path.join(directory, name), self.upper)
                for directory, names, files in os.walk(self.upper)
                for name in (*names, *files)
            )
        )


@pytest.fixture(scope="session")
def able() -> None:
    report = probe()
    if not report.can_run:
        pytest.skip(f"containers cannot run here: {report.reason}")
    if not os.path.exists(BUSYBOX):
        pytest.skip("busybox-static is not installed")


@pytest.fixture
def lab(able: None, tmp_path: Path) -> Iterator[Lab]:
    place = tmp_path / "lab"
    place.mkdir()
    yield Lab(place)
    remove_tree(place)
