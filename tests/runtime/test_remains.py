"""What killed shims and holders leave behind is given back by whoever comes next."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from containers import PATH, in_child
from places import IMAGE, Place, until

from orlop.core.job import Job
from orlop.runtime.linux import syscalls
from orlop.runtime.shim import state
from orlop.runtime.spec import ContainerSpec, Rootfs


def test_a_program_that_nobody_was_told_of_ends_with_the_next_look(place: Place) -> None:
    found = place.service("untold")
    last = state.read(f"{found.bundle}/{state.STATE}") or {}
    # As if the shim had been killed just before it wrote that the program runs.
    os.kill(last["shim"]["pid"], signal.SIGKILL)
    until(lambda: not state.works(last["shim"]))
    os.unlink(found.bundle / state.STATE)
    assert place.manager.inspect("untold").status == "created" and state.works(last["init"])
    place.manager.tidy(place.job)
    assert not state.works(last["init"])
    assert not os.path.exists(last["socket"]) and not (found.bundle / state.RUN).exists()


def test_where_nobody_collects_the_dead_a_container_ends_all_the_same(place: Place) -> None:
    def without_a_reaper() -> str:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        found = place.open().create(
            ContainerSpec(args=("sleep", "100"), rootfs=Rootfs((str(place.base),)), env=PATH, network="none"), IMAGE
        )
        manager = place.open()
        manager.start(found.id, place.job)
        last = state.read(f"{found.bundle}/{state.STATE}") or {}
        os.kill(last["shim"]["pid"], signal.SIGKILL)
        until(lambda: not state.works(last["shim"]))
        manager.remove(found.id, place.job, force=True)
        assert state.alive(last["init"]), "its first process is still a zombie"
        return str(found.bundle)

    assert not os.path.exists(in_child(without_a_reaper))


def test_a_container_is_not_held_still_for_good(place: Place) -> None:
    found = place.service("held")

    def moves() -> bool:
        pid = place.manager.inspect("held").pid
        before = Path(f"/proc/{pid}/schedstat").read_text()
        time.sleep(0.2)
        return Path(f"/proc/{pid}/schedstat").read_text() != before

    def kill_the_holder() -> None:
        record = state.read(f"{found.bundle}/{state.HELD}") or {}
        os.kill(record["holder"]["pid"], signal.SIGKILL)
        until(lambda: not state.works(record["holder"]))

    def kill_all_who_hold() -> None:
        child = os.fork()
        if child == 0:
            with place.open().locked("held", Job(), pause=True):
                signal.pause()
            os._exit(1)
        until(lambda: (found.bundle / state.HELD).exists() and not moves())
        kill_the_holder()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert not moves()

    with place.manager.locked("held", place.job, pause=True):
        assert not moves()
        kill_the_holder()
    assert moves()
    kill_all_who_hold()
    place.manager.tidy(place.job)
    assert moves()
    kill_all_who_hold()
    place.manager.remove("held", place.job, force=True)
