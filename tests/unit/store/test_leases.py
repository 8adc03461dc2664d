"""Leases protect while their process lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import attrs

from orlop.core import digest as digests
from orlop.store import leases, process
from orlop.store.leases import Held
from orlop.store.store import Store

_HOLDER = """
import sys, time
from pathlib import Path
from orlop.store.store import Store
with Store(Path(sys.argv[1])).leases.hold("build", ["x"]):
    print("held", flush=True)
    time.sleep(600)
"""


def _held(store: Store) -> Held:
    with store._database.read() as connection:
        return leases.held(connection)


def test_a_lease_holds_its_items_until_it_is_left(store: Store) -> None:
    digest = digests.of_bytes(b"x")
    before = time.time()
    with store.leases.hold("pull", [digest, "abc"]) as lease:
        lease.add("more", "abc")
        held = _held(store)
        assert held.items == {str(digest), "abc", "more"}
        assert before <= held.since <= time.time()
    assert _held(store) == Held(frozenset(), float("inf"))


def test_since_is_the_beginning_of_the_oldest(store: Store) -> None:
    with store.leases.hold("a"):
        since = _held(store).since
        with store.leases.hold("b"):
            assert _held(store).since == since


def test_a_lease_ends_with_its_process_even_if_it_is_killed(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(store.root)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert _held(store).items == {"x"}
        holder.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        # Not even its zombie counts.
        assert _held(store).items == frozenset()
    with store._database.write() as connection:
        leases.end_dead(connection)
        assert connection.execute("SELECT count(*) FROM lease_items").fetchone() == (0,)


def test_a_process_id_that_was_reused_or_is_of_another_boot_is_not_the_process() -> None:
    me = process.current()
    assert process.is_alive(me)
    assert not process.is_alive(attrs.evolve(me, start=me.start + 1))
    assert not process.is_alive(attrs.evolve(me, boot="other"))
    assert not process.is_alive(attrs.evolve(me, pid=1 << 22))
