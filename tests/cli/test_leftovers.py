"""Containers that end, in whatever way, leave nothing on the machine; ORLOP_MANY says how many at once (12)."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator, Sequence

import pytest

from cli.room import Room, Snapshot, room, settled
from harness import Terminal

MANY = int(os.environ.get("ORLOP_MANY", "12"))
# A program with a child; the variety of what a container may hold of this host.
PROGRAM = ("busybox", "sh", "-c", "sleep 1000 & exec sleep 1001")
KINDS: Sequence[Sequence[str]] = (
    ("-p", "127.0.0.1::80"),
    ("--memory", "64m", "--pids-limit", "50", "-v", "/data"),
    ("--rm", "-p", "80/udp", "--cpus", "0.5"),
    ("--network", "none", "--tmpfs", "/made/up", "--init"),
)
HELPERS = ("orlop-shim", "orlop-zygote", "orlop-proxy", "slirp4netns")


@pytest.fixture
def place(shared_terminal: Terminal) -> Iterator[tuple[Room, Snapshot]]:
    """A machine of its own, and what is there once a container has run: the bridge stays, for the next one."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a machine of its own, for both halves of this test")
    with room(shared_terminal) as made:
        made("run", "--rm", "busybox", "true")
        made("container", "prune", "-f")
        yield made, settled_start(made)


def settled_start(made: Room) -> Snapshot:
    """What is there when nothing more comes or goes."""
    before = made.snapshot()
    for _ in range(100):
        time.sleep(0.2)
        now = made.snapshot()
        if now == before and not now.processes:
            return now
        before = now
    raise AssertionError(f"it does not come to rest: {before.processes}")


def at_once(made: Room, *commands: Sequence[str]) -> None:
    """Run commands side by side, which all must end well."""
    running = [made.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for words in commands]
    told = [each.communicate(timeout=250)[1].decode() for each in running]
    assert [each.returncode for each in running] == [0] * len(running), [text for text in told if text]


def names(prefix: str, count: int) -> list[tuple[str, Sequence[str]]]:
    return [(f"{prefix}-{number}", KINDS[number % len(KINDS)]) for number in range(count)]


def test_many_at_once_leave_nothing(place: tuple[Room, Snapshot]) -> None:
    made, before = place
    many = names("many", MANY)
    at_once(made, *(("run", "-d", "--name", name, *kind, *PROGRAM) for name, kind in many))
    during = made.snapshot().more_than(before)
    assert len(made("ps", "-q").split()) == MANY
    # What shall be found gone afterwards was there: two processes each, links, groups, sockets, files.
    assert sum(" sleep" in each for each in during["processes"]) == 2 * MANY
    assert sum(each.endswith(".sock") for each in during["files"]) == MANY
    if made.account is None:
        assert len(during["links"]) == sum("none" not in kind for _, kind in many)
        assert len({each.rpartition("/")[2] for each in during["groups"]}) == sum(
            any(word in kind for word in ("--memory", "--cpus")) for _, kind in many
        )
    else:
        assert sum(each.endswith(" slirp4netns") for each in during["processes"]) == sum(
            "none" not in kind for _, kind in many
        )
    stopped = [("stop", "-t", "0", name) if "--rm" in kind else ("rm", "-f", "-v", name) for name, kind in many]
    at_once(made, *stopped)
    assert settled(made, before, lambda: made("container", "prune", "-f")) == {}
    assert made("ps", "-aq") == ""


@pytest.mark.parametrize("last", [("rm", "-f", "-v"), ("start",), ("stop", "-t", "0")])
def test_killed_shims_leave_nothing(place: tuple[Room, Snapshot], last: Sequence[str]) -> None:
    made, before = place
    several = names("bereft", len(KINDS))
    for name, kind in several:
        made("run", "-d", "--name", name, *kind, *PROGRAM)
    made.kill("orlop-shim")
    assert len(made("ps", "-q").split()) == len(KINDS), "the programs go on"
    if last[0] == "start":
        made.kill("sleep")
    told = [name for name, kind in several if last[0] == "rm" or "--rm" not in kind]
    made(*last, *told)
    if last[0] == "start":
        assert sorted(made("ps", "--format", "{{.Names}}").split()) == sorted(told)
    elif last[0] == "rm":
        # Links end a moment after their namespaces.
        assert settled(made, before, lambda: None) == {}
    else:
        # Of the one that was to go with its end, nobody has said anything yet.
        extra = made.snapshot().more_than(before)
        assert sum(each.endswith(".sock") for each in extra["files"]) == 1, extra
        assert len(extra.get("groups", ())) <= 1, extra
        made.kill("sleep")
    made("rm", "-f", "-v", *told)
    assert settled(made, before, lambda: made("container", "prune", "-f")) == {}
    assert made("ps", "-aq") == ""


def test_kills_at_random_moments_leave_nothing(place: tuple[Room, Snapshot]) -> None:
    made, before = place
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    several = names("hit", MANY)
    starts = [
        made.start("run", "-d", "--name", name, *kind, *PROGRAM, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, kind in several
    ]
    killed: list[str] = []
    while any(each.poll() is None for each in starts):
        time.sleep(chance.uniform(0, 0.1))
        victims = HELPERS if chance.random() < 0.7 else (*HELPERS, "sleep", "sh")
        killed += made.kill(*victims, choose=lambda pids: chance.sample(pids, min(1, len(pids))))
    assert killed, "nothing was hit"
    made.kill("orlop-shim", choose=lambda pids: pids[::2])
    made.kill("sleep", choose=lambda pids: pids[::3])
    made("rm", "-f", "-v", *(name for name, _ in several))
    extra = settled(made, before, lambda: made("container", "prune", "-f"))
    assert extra == {}, (seed, killed)
    assert made("ps", "-aq") == ""
    # And all works as before.
    assert made("run", "--rm", "busybox", "echo", "well") == "well\n"
