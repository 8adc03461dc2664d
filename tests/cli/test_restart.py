"""Restart policies: carried out without a daemon, ended by people, survived by nobody's shim; and `update`."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Terminal

# Ends with 5 when told to by a signal that is not the one to stop it.
SERVICE = "trap 'exit 5' USR2; sleep 1000 & wait"
PATIENCE = 60


@pytest.fixture
def named(shared_terminal: Terminal) -> Iterator[str]:
    """A name for a container, which is gone afterwards."""
    name = f"r-{os.urandom(4).hex()}"
    yield name
    shared_terminal("rm", "-f", name)


def _until(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def _inspect(terminal: Terminal, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(terminal("inspect", name))
    return found[0]


def _record(bundle: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((bundle / "restart.json").read_text())
    except FileNotFoundError:
        return {"count": 0, "shim": None}
    return found


def _run(terminal: Terminal, name: str, policy: str) -> Path:
    made = terminal(
        "run", "-d", "--name", name, "--network", "none", "--restart", policy, "busybox", "sh", "-c", SERVICE
    )
    return terminal.root / "containers" / made.strip()


def _into_back_off(terminal: Terminal, name: str, bundle: Path, last: float = 30.0) -> None:
    """End the program when it has a long row of restarts behind it; the wait for the next one is twice the last one."""
    # What a shim leaves after many of them; as it is written, whole.
    draft = bundle / "restart.json.test"
    draft.write_text(json.dumps({"count": 0, "delay": last, "shim": None, "exit": {"code": 5}}))
    draft.chmod(0o644)
    draft.rename(bundle / "restart.json")
    terminal("kill", "-s", "USR2", name)
    _until("it waits for its next start", lambda: _record(bundle)["shim"] is not None)
    _until("its end is on disk", (bundle / "exit.json").exists)


def test_policies_that_make_no_sense_are_refused_as_docker_refuses_them(shared_terminal: Terminal) -> None:
    said = shared_terminal("run", "--rm", "--restart", "always", "busybox", "true", code=125)
    assert "conflicting options: cannot specify both --restart and --rm" in said
    assert "unknown policy 'never'" in shared_terminal("run", "--restart", "never", "busybox", "true", code=125)


def test_a_failing_program_runs_as_often_as_was_asked_for(shared_terminal: Terminal, named: str) -> None:
    told = shared_terminal(
        "run", "--name", named, "--network", "none", "--restart", "on-failure:2", "busybox", "sh", "-c",
        "echo run; exit 3", code=3,
    )  # fmt: skip
    # The terminal is let go at the first end, as Docker does.
    assert told == "run\n"
    bundle = shared_terminal.root / "containers" / _inspect(shared_terminal, named)["Id"]
    _until("it gives up", lambda: _record(bundle)["count"] == 2 and not _record(bundle)["shim"] and _ended(bundle))
    found = _inspect(shared_terminal, named)
    assert (found["State"]["Status"], found["State"]["ExitCode"], found["RestartCount"]) == ("exited", 3, 2)
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert shared_terminal("logs", named) == "run\nrun\nrun\n"


def _ended(bundle: Path) -> bool:
    return (bundle / "exit.json").exists()


def test_a_container_that_waits_for_its_restart_is_neither_running_nor_gone(
    shared_terminal: Terminal, named: str
) -> None:
    terminal = shared_terminal
    bundle = _run(terminal, named, "always")
    _into_back_off(terminal, named, bundle)
    found = _inspect(terminal, named)
    assert found["State"] | {
        "Status": "restarting", "Running": True, "Restarting": True, "Pid": 0, "ExitCode": 5,
    } == found["State"]  # fmt: skip
    assert found["RestartCount"] == 1
    assert "Restarting (5) " in terminal("ps", "--filter", "status=restarting", "--filter", f"name={named}")
    waiting = terminal.start("wait", named, stdout=-1)
    assert "it is restarting" in terminal("rm", named, code=1)
    assert "is restarting" in terminal("exec", named, "true", code=1)
    assert waiting.poll() is None
    # By hand it starts at once, and its restarts are counted anew.
    terminal("restart", named)
    found = _inspect(terminal, named)
    assert (found["State"]["Status"], found["RestartCount"]) == ("running", 0)
    terminal("kill", named)
    assert waiting.communicate(timeout=PATIENCE)[0] in (b"5\n", b"137\n")
    assert _inspect(terminal, named)["State"]["Status"] == "exited"
    # After a boot `always` runs again though somebody ended it.
    assert terminal("start", "--due") == f"{named}\n"
    assert _inspect(terminal, named)["State"]["Status"] == "running"
    _into_back_off(terminal, named, bundle)
    shim = _record(bundle)["shim"]["pid"]
    terminal("rm", "-f", named)
    _until("the shim is gone", lambda: _gone(shim))


def test_stopping_ends_the_restarts_and_a_killed_shim_leaves_an_ended_container(
    shared_terminal: Terminal, named: str
) -> None:
    terminal = shared_terminal
    bundle = _run(terminal, named, "unless-stopped")
    _into_back_off(terminal, named, bundle)
    shim = _record(bundle)["shim"]["pid"]
    waiting = terminal.start("wait", named, stdout=-1)
    both = [terminal.start("stop", named, stdout=-1, stderr=-1) for _ in range(2)]
    assert [each.communicate(timeout=PATIENCE) for each in both] == [(f"{named}\n".encode(), b"")] * 2
    assert waiting.communicate(timeout=PATIENCE)[0] == b"5\n"
    state = _inspect(terminal, named)["State"]
    assert (state["Status"], state["ExitCode"], state["Restarting"]) == ("exited", 5, False)
    _until("the shim is gone", lambda: _gone(shim))
    assert named not in terminal("start", "--due")
    terminal("start", named)
    terminal("stop", "-t", "0", named)
    assert _inspect(terminal, named)["State"]["Status"] == "exited"
    terminal("start", named)
    _into_back_off(terminal, named, bundle)
    os.kill(_record(bundle)["shim"]["pid"], signal.SIGKILL)
    _until("it has ended", lambda: "Exited (5)" in terminal("ps", "-a", "--filter", f"name={named}"))
    terminal("update", "--restart", "no", named)
    assert named not in terminal("start", "--due")
    terminal("update", "--restart", "unless-stopped", named)
    assert terminal("start", "--due") == f"{named}\n"


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_restarted_container_has_its_network_and_ports_again_or_says_why_not(
    shared_terminal: Terminal, named: str
) -> None:
    terminal = shared_terminal
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = (
        "test -e /n || { touch /n; exit 1; }; echo well > /index.html; trap 'exit 5' USR2; httpd -f -p 80 -h / & wait"
    )
    words = ("run", "-d", "--name", named, "--restart", "on-failure", "-p", f"127.0.0.1:{port}:80", "busybox")
    bundle = terminal.root / "containers" / terminal(*words, "sh", "-c", program).splitlines()[0]

    def again() -> bool:
        record = _record(bundle)
        return record["count"] == 1 and record["shim"] is None and (bundle / "state.json").exists()

    _until("it runs again", again)
    if not terminal("port", named):
        pytest.skip("containers share the network of this host here")

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                return bool(answer.read() == b"well\n")
        except OSError:
            return False

    _until("it answers at its port", answers)
    _into_back_off(terminal, named, bundle, last=2.0)
    with socket.create_server(("127.0.0.1", port)):
        _until("it gives up", lambda: _record(bundle)["shim"] is None)
        found = _inspect(terminal, named)["State"]
    assert (found["Status"], found["ExitCode"]) == ("exited", 125)
    assert "cannot restart the container: " in found["Error"]
    assert str(port) in found["Error"]


def test_limits_and_policy_are_changed_while_it_runs_and_while_it_does_not(
    shared_terminal: Terminal, named: str
) -> None:
    terminal = shared_terminal
    assert "you must provide one or more flags" in terminal("update", "x", code=1)
    bundle = _run(terminal, named, "no")
    words = ("update", "--memory", "64m", "--pids-limit", "50", "--cpus", "0.5", named)
    hierarchy = Path("/sys/fs/cgroup")
    writable = os.geteuid() == 0 and terminal.account is None and os.access(hierarchy / "memory", os.W_OK)
    if writable:
        assert terminal(*words) == f"{named}\n"
        # Both grow: the order of writing matters to the kernel.
        terminal("update", "--memory-swap", "128m", named)
        terminal("update", "--memory", "256m", "--memory-swap", "512m", named)
        groups = json.loads((bundle / "state.json").read_text())["cgroups"]
        pid = str(_inspect(terminal, named)["State"]["Pid"])
        for path, file, value in (
            ("memory", "memory.limit_in_bytes", 256 << 20), ("pids", "pids.max", 50), ("cpu", "cpu.cfs_quota_us", 50000),
        ):  # fmt: skip
            assert (Path(groups[path]) / file).read_text().strip() == str(value)
            assert pid in (Path(groups[path]) / "cgroup.procs").read_text().split()
        terminal("update", "--pids-limit", "-1", named)
        assert (Path(groups["pids"]) / "pids.max").read_text().strip() == "max"
    elif not (hierarchy / "cgroup.controllers").exists():
        told = terminal(*words, code=1)
        assert "no control group takes --memory, --pids-limit, --cpus" in told
        assert "delegated" in told
        assert _inspect(terminal, named)["HostConfig"]["Memory"] == 0
    terminal("stop", "-t", "0", named)
    if writable:
        assert not any(Path(path).exists() for path in groups.values())
    assert terminal("update", "--memory", "32m", "--memory-swap", "0", "--restart", "always", named) == f"{named}\n"
    host = _inspect(terminal, named)["HostConfig"]
    assert (host["Memory"], host["RestartPolicy"]["Name"]) == (32 << 20, "always")
