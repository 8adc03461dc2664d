"""Health checks: the image's, as a person changed them, asked by the shim's side and told by ps and inspect."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Terminal

# What the file says is how well it is; what comes after is longer than what is kept of it.
CHECK = (
    'HEALTHCHECK --interval=300ms --timeout=1s CMD read how < /how; [ "$how" != slow ] || exec sleep 777; '
    'echo "$how"; head -c 6000 /dev/zero | tr "\\0" x; [ "$how" = well ]'
)
PATIENCE = 60


@pytest.fixture
def checked(shared_terminal: Terminal, busybox_tar: Path) -> Iterator[tuple[str, str]]:
    """An image with a check, and a name for a container of it; both are gone afterwards."""
    name = f"h-{os.urandom(4).hex()}"
    shared_terminal("import", "--change", CHECK, "-", name, stdin=busybox_tar.read_bytes())
    yield name, name
    shared_terminal("rm", "-f", name)
    shared_terminal("rmi", name)


def _inspect(terminal: Terminal, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(terminal("inspect", name))
    return found[0]


def _until(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def test_health_is_asked_and_told(shared_terminal: Terminal, checked: tuple[str, str]) -> None:
    terminal, (image, name) = shared_terminal, checked
    identity = terminal(
        "run", "-d", "--name", name, "--network", "none", "--health-retries", "2", "--health-start-period", "1h",
        "--health-start-interval", "200ms", image, "sh", "-c", "echo ill > /how; exec sleep 1000",
    ).strip()  # fmt: skip
    place = terminal.root / "containers"

    def says(*words: str) -> None:
        terminal("exec", name, "sh", "-c", f"echo {' '.join(words)} > /how")

    def record() -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((place / identity / "health.json").read_text())
        except FileNotFoundError:
            return {"status": "starting", "log": []}
        return found

    _until("it was asked several times", lambda: len(record()["log"]) >= 3)
    assert " (health: starting)" in terminal("ps", "--filter", "health=starting", "--filter", f"name={name}")
    found = _inspect(terminal, name)
    assert (found["State"]["Health"]["Status"], found["State"]["Health"]["FailingStreak"]) == ("starting", 0)
    assert found["Config"]["Healthcheck"] | {"Retries": 2, "Interval": 300_000_000} == found["Config"]["Healthcheck"]

    says("well")
    _until("it is well", lambda: record()["status"] == "healthy")
    assert " (healthy)" in terminal("ps", "--filter", "health=healthy", "--filter", f"name={name}")

    says("ill")
    _until("it is ill", lambda: record()["status"] == "unhealthy")
    health = _inspect(terminal, name)["State"]["Health"]
    assert health["Status"] == "unhealthy"
    assert health["FailingStreak"] >= 2
    assert len(health["Log"]) <= 5
    last = health["Log"][-1]
    assert last["ExitCode"] == 1
    assert last["Output"].startswith("ill\nxxx")
    assert last["Output"].endswith("x...")
    assert len(last["Output"]) == 4096 + 3
    assert "T" in last["Start"] < last["End"]

    says("slow")
    _until("a check takes too long", lambda: record()["log"][-1][2] == -1)
    assert "Health check exceeded timeout (1s)" in record()["log"][-1][3]
    # The check that took too long is dead, inside as well.
    says("well")
    _until("it is well again", lambda: record()["status"] == "healthy")
    assert "sleep 777" not in terminal("top", name)

    terminal("stop", "-t", "0", name)
    assert "health" not in terminal("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}")
    assert _inspect(terminal, name)["State"]["Health"]["Status"] == "unhealthy"
    # The next run begins anew, and its log goes on.
    terminal("start", name)
    _until("it was asked again", lambda: record()["status"] == "starting" and record()["log"][-1][2] == 1)


def test_a_check_can_be_left_out(shared_terminal: Terminal, checked: tuple[str, str]) -> None:
    image, name = checked
    shared_terminal("create", "--name", name, "--no-healthcheck", image, "true")
    found = _inspect(shared_terminal, name)
    assert found["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    assert "Health" not in found["State"]
    assert name in shared_terminal("ps", "-a", "--filter", "health=none")
    said = shared_terminal("create", "--no-healthcheck", "--health-cmd", "x", image, "true", code=1)
    assert "conflicts with --health-*" in said
