"""create, start, restart, rename, top, stats, prune: a container between its creation and its end."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterator

import pytest

from harness import Terminal
from keyboard import Keyboard

SERVICE = "trap 'exit 3' TERM; date +%s%N; while :; do sleep 0.05; done"


@pytest.fixture
def named(shared_terminal: Terminal) -> Iterator[str]:
    """A name for a container, which is gone afterwards."""
    name = f"l-{os.urandom(4).hex()}"
    yield name
    shared_terminal("rm", "-f", name)


def test_a_container_that_never_ran_can_be_filled(shared_terminal: Terminal) -> None:
    identity = shared_terminal("create", "--network", "none", "busybox", "cat", "/given/x").strip()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("given/x")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    shared_terminal("cp", "-", f"{identity}:/", stdin=archive.getvalue())
    assert shared_terminal("start", "-a", identity) == "abc"
    shared_terminal("rm", identity)


def test_a_created_container_starts_again_and_again(shared_terminal: Terminal, named: str) -> None:
    identity = shared_terminal(
        "create", "--name", named, "-i", "--network", "none", "busybox", "sh", "-c", "cat; echo x >> /n; cat /n; exit 4"
    ).strip()
    assert len(identity) == 64
    assert "Created" in shared_terminal("ps", "-a")
    assert shared_terminal("start", "-ai", named, stdin=b"in ", code=4) == "in x\n"
    assert shared_terminal("start", "-a", "-i", named, stdin=b"", code=4) == "x\nx\n"
    assert shared_terminal("start", named) == f"{named}\n"
    assert "no container nosuch" in shared_terminal("start", "nosuch", code=1)
    assert "Name one" in shared_terminal("start", "-a", named, named, code=1)


def test_a_start_that_fails_says_why(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("create", "--name", named, "--network", "none", "busybox", "nosuch")
    assert "executable file not found" in shared_terminal("start", named, code=1)
    assert "executable file not found" in shared_terminal("start", "-a", named, code=127)


def test_an_interactive_terminal_comes_back_at_start(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("create", "-it", "--name", named, "--network", "none", "busybox", "sh")
    shell = Keyboard(shared_terminal, "start", "-ai", named)
    shell.wait_for("# ")
    shell.type("stty -echo; echo typed $((1+1)); exit 5")
    shell.wait_for("typed 2")
    assert shell.end() == 5


def test_the_exit_code_comes_though_somebody_removed_the_container(shared_terminal: Terminal, named: str) -> None:
    for words in (("run", "--name", named, "-ti", "busybox", "sh"), ("start", "-ai", named)):
        if words[0] == "start":
            shared_terminal("create", "--name", named, "-ti", "busybox", "sh")
        shell = Keyboard(shared_terminal, *words)
        shell.wait_for("/ # ")
        # It looks only after the container and all that told of it is gone.
        shell.sleep(True)
        shared_terminal("rm", "-f", named)
        shell.sleep(False)
        assert shell.end() == 137, words


def test_a_detached_container_has_a_terminal_though_its_starter_has_none(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "-ti", "--name", named, "busybox", "sh", "-c", "test -t 0 && test -t 1; echo $?")
    shared_terminal("wait", named)
    assert shared_terminal("logs", named).split() == ["0"]


def test_restart_is_another_run_of_the_same_container(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "--name", named, "--network", "none", "busybox", "sh", "-c", SERVICE)
    first = json.loads(shared_terminal("inspect", named))[0]["State"]
    lines(shared_terminal, named, 1)
    assert shared_terminal("restart", "-t", "5", named) == f"{named}\n"
    second = json.loads(shared_terminal("inspect", named))[0]["State"]
    assert second["Running"] and first["Pid"] != second["Pid"]
    lines(shared_terminal, named, 2)
    shared_terminal("stop", named)
    assert "Exited (3)" in shared_terminal("ps", "-a")
    shared_terminal("restart", named)
    lines(shared_terminal, named, 3)


def test_a_container_takes_another_name(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("create", "--name", named, "busybox", "true")
    shared_terminal("create", "--name", f"{named}-b", "busybox", "true")
    assert "is in use" in shared_terminal("rename", named, f"{named}-b", code=1)
    assert "error:" in shared_terminal("rename", named, "no/name", code=1)
    shared_terminal("rename", named, f"{named}-c")
    assert f"{named}-c" in shared_terminal("ps", "-a") and "no container" in shared_terminal("start", named, code=1)
    shared_terminal("rm", f"{named}-b", f"{named}-c")


def test_processes_and_their_use_are_shown(shared_terminal: Terminal, named: str) -> None:
    burn = "(while :; do :; done) & dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; sleep 300"
    shared_terminal("run", "-d", "--name", named, "busybox", "sh", "-c", burn)
    time.sleep(0.5)
    top = shared_terminal("top", named).splitlines()
    assert top[0].split()[:2] == ["UID", "PID"] and len(top) == 3 and "sleep 300" in "".join(top)
    assert shared_terminal("top", named, "-o", "pid,comm").split()[:2] == ["PID", "COMMAND"]
    stats = json.loads(shared_terminal("stats", "--no-stream", "--format", "json", named))
    assert 20 < float(stats["CPUPerc"].rstrip("%")) < 130
    assert stats["PIDs"] == "2" and stats["Name"] == named and "iB / " in stats["MemUsage"]
    shared_terminal("kill", named)
    assert "not running" in shared_terminal("top", named, code=1)


def test_prune_removes_what_does_not_run(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "--name", named, "--network", "none", "busybox", "sleep", "100")
    shared_terminal("create", "--name", f"{named}-b", "busybox", "true")
    assert f"{named}-b" in shared_terminal("container", "prune", "--dry-run")
    shared_terminal("container", "prune", "-f")
    left = shared_terminal("ps", "-a")
    assert named in left and f"{named}-b" not in left


def lines(terminal: Terminal, name: str, count: int) -> None:
    """Wait until the log has that many lines."""
    for _ in range(100):
        if len(terminal("logs", name).splitlines()) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {count} lines:\n{terminal('logs', name)}")


def test_a_detached_container_goes_with_its_end(shared_terminal: Terminal, named: str) -> None:
    volumes = shared_terminal("volume", "ls", "-q")
    shared_terminal(
        "run", "-d", "--rm", "--name", named, "--network", "none", "busybox", "sh", "-c", "sleep 0.5; exit 6"
    )
    assert shared_terminal("wait", named) == "6\n"
    for _ in range(100):
        if named not in shared_terminal("ps", "-a"):
            break
        time.sleep(0.02)
    else:
        raise AssertionError("it is there still")
    shared_terminal("run", "-d", "--rm", "--name", named, "--network", "none", "-v", "/v", "busybox", "sleep", "100")
    shared_terminal("rm", "-f", named)
    assert volumes == shared_terminal("volume", "ls", "-q")
    assert named not in shared_terminal("ps", "-a")


def test_a_container_whose_starter_is_killed_goes_with_its_end_too(shared_terminal: Terminal, named: str) -> None:
    starter = shared_terminal.start("run", "--rm", "--name", named, "--network", "none", "busybox", "sleep", "2")
    for _ in range(200):
        if named in shared_terminal("ps"):
            break
        time.sleep(0.02)
    starter.kill()
    starter.wait()
    assert named in shared_terminal("ps")
    time.sleep(2.5)
    assert named not in shared_terminal("ps", "-a")


def test_the_host_name_is_in_the_environment(shared_terminal: Terminal) -> None:
    assert (
        shared_terminal("run", "--rm", "--network", "none", "-h", "me", "busybox", "sh", "-c", "echo $HOSTNAME")
        == "me\n"
    )


def test_containers_are_found_by_what_they_are(shared_terminal: Terminal, named: str) -> None:
    def listed(*words: str) -> list[str]:
        return shared_terminal("ps", "--format", "{{.Names}}", *words).split()

    shared_terminal("run", "--name", f"{named}-b", "--network", "none", "busybox", "sh", "-c", "exit 3", code=3)
    shared_terminal("run", "-d", "--name", named, "--network", "none", "-l", f"k={named}", "busybox", "sleep", "100")
    assert listed("-f", f"name={named}") == [named]
    assert listed("-a", "-f", f"name={named}") == [named, f"{named}-b"]
    assert listed("-f", f"name={named}", "-f", "status=exited") == [f"{named}-b"]
    assert listed("-f", f"name={named}", "-f", "status=exited", "-f", "status=running") == [named, f"{named}-b"]
    assert listed("-f", f"name={named}", "-f", "exited=3") == [f"{named}-b"]
    assert listed("-f", f"label=k={named}", "-f", "ancestor=busybox") == [named]
    assert listed("-l") == [named] and listed("-n", "2") == [named, f"{named}-b"]
    assert "invalid filter" in shared_terminal("ps", "-f", "size=1", code=1)
    assert "invalid filter" in shared_terminal("ps", "-f", "status=odd", code=1)
    shared_terminal("rm", f"{named}-b")
