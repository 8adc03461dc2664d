"""When a container is started again, and how long that waits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orlop.runtime.shim import health, restarting, state


def test_the_wait_doubles_up_to_a_minute_and_begins_anew_after_a_steady_run() -> None:
    waits, last = [], 0.0
    for _ in range(12):
        last = restarting.next_delay(last, 0.01)
        waits.append(last)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-2:] == [60.0, 60.0]
    assert restarting.next_delay(60.0, 9.9) == 60.0
    assert restarting.next_delay(60.0, 10.0) == 0.1


@pytest.mark.parametrize(
    ("name", "maximum", "code", "count", "stopped", "again"),
    [
        ("no", 0, 1, 0, False, False),
        ("always", 0, 0, 900, False, True),
        ("always", 0, 0, 0, True, True),
        ("unless-stopped", 0, 0, 0, False, True),
        ("unless-stopped", 0, 1, 0, True, False),
        ("on-failure", 0, 0, 0, False, False),
        ("on-failure", 0, 1, 900, False, True),
        ("on-failure", 3, 1, 2, False, True),
        ("on-failure", 3, 1, 3, False, False),
    ],
)
def test_a_policy_decides(name: str, maximum: int, code: int, count: int, stopped: bool, again: bool) -> None:
    assert restarting.wanted({"name": name, "maximum": maximum}, code, count, stopped=stopped) is again


def _files(bundle: Path, **files: dict[str, object]) -> None:
    bundle.mkdir()
    for name, value in files.items():
        state.write(f"{bundle}/{name}.json", value)


def test_who_gives_up_says_so_only_of_a_container_that_does_not_run(tmp_path: Path) -> None:
    shim, own = {"pid": 1, "start": 0, "boot": "x"}, state.identity(os.getpid())
    record = {"count": 2, "delay": 0.4, "shim": shim, "exit": {"code": 3}}
    # The start had succeeded when the process behind it was killed.
    running, ended = tmp_path / "running", tmp_path / "ended"
    _files(running, state={"init": own}, restart=record)
    restarting.give_up(str(running), shim, "killed")
    assert not (running / "exit.json").exists()
    _files(ended, restart=record, exit={"code": 3, "error": None})
    restarting.give_up(str(ended), {**shim, "pid": 2}, "not mine to say")
    assert state.read(f"{ended}/restart.json") == record
    restarting.give_up(str(ended), shim, "killed")
    told = state.read(f"{ended}/exit.json")
    assert told is not None
    assert (told["code"], told["error"]) == (125, "cannot restart the container: killed")
    for bundle in (running, ended):
        assert state.read(f"{bundle}/restart.json") == {**record, "shim": None}


HEALTH = {"interval": 30.0, "timeout": 5.0, "start_period": 10.0, "start_interval": 1.0, "retries": 2}


def _run(record: dict[str, object], *checks: tuple[float, int]) -> dict[str, object]:
    for start, code in checks:
        record = health.after(record, [start, start + 0.1, code, ""], HEALTH, 100.0)
    return record


def test_failures_at_the_beginning_do_not_count_and_later_ones_do() -> None:
    fresh = {"status": "starting", "streak": 0, "log": []}
    early = _run(fresh, (101, 1), (105, 1), (109, 1))
    assert (early["status"], early["streak"]) == ("starting", 0)
    assert _run(early, (111, 1))["status"] == "starting"
    assert _run(early, (111, 1), (112, -1))["status"] == "unhealthy"
    # Once it was well, the beginning is over.
    assert _run(early, (102, 0), (103, 1))["streak"] == 1
    well = _run(early, (111, 1), (112, 1), (113, 0))
    assert (well["status"], well["streak"]) == ("healthy", 0)
    assert [check[0] for check in well["log"]] == [105, 109, 111, 112, 113]  # type: ignore[attr-defined]


def test_checks_are_closer_together_at_the_beginning() -> None:
    assert health.pause_before({"status": "starting"}, HEALTH, 9.0) == 1.0
    assert health.pause_before({"status": "starting"}, HEALTH, 10.0) == 30.0
    assert health.pause_before({"status": "healthy"}, HEALTH, 9.0) == 30.0
