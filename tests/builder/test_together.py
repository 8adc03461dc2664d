"""Builds beside each other, and builds that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from building import Lab

from orlop.core.job import Job
from orlop.rootfs.workshop import Workshop
from orlop.store.store import Store

HERE = Path(__file__).parent


def test_two_equal_builds_at_once_run_each_step_once(lab: Lab) -> None:
    """One waits for the other's result; `date` would give two layers otherwise."""
    from building import HOST

    from orlop.builder import events
    from orlop.builder.build import BuildRequest, BuildServices, build

    text = "FROM base\nRUN date +%N >/d; sleep 0.3\nRUN date +%N >/e; sleep 0.3"
    ids: list[object] = []
    ran: list[int] = []

    def work() -> None:
        def listen(event: object) -> None:
            if isinstance(event, events.StepDone) and event.id > 1:
                ran.append(event.id)

        request = BuildRequest(context=lab.context, dockerfile_text=text)
        services = BuildServices(store=lab.store, workshop=lab.workshop, host=HOST)
        ids.append(build(request, services, Job(listen)).image.id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert sorted(ran) == [2, 3]


def start(root: Path, text: str) -> subprocess.Popen[str]:
    """Build in a process of its own, on the same store."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from building import HOST; from orlop.builder import events\n"
        "from orlop.builder.build import BuildRequest, BuildServices, build\n"
        "from orlop.core.job import Job; from orlop.rootfs.workshop import Workshop; from orlop.store.store import Store\n"
        "root = Path(sys.argv[2]); store = Store(root / 'store'); workshop = Workshop(root / 'store')\n"
        "def listen(event):\n"
        "    if isinstance(event, events.StepLog): print(event.data, end='', flush=True)\n"
        "request = BuildRequest(context=root / 'context', dockerfile_text=sys.argv[3])\n"
        "result = build(request, BuildServices(store=store, workshop=workshop, host=HOST), Job(listen))\n"
        "print(result.image.id); workshop.close(); store.close()\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(HERE), str(root), text], stdout=subprocess.PIPE, text=True)


def test_two_processes_share_one_result(lab: Lab, tmp_path: Path) -> None:
    text = "FROM base\nRUN date +%N >/d; sleep 0.5"
    running = [start(tmp_path, text) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("sha256:")


def processes(marker: str) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if marker in words and words[0]:
            found.append(int(pid))
    return found


@pytest.mark.parametrize("steps", ["RUN echo running; sleep {0}", "RUN echo running; (sleep {0} &) ; sleep {0}"])
def test_a_killed_build_leaves_no_process_and_the_next_one_works(lab: Lab, tmp_path: Path, steps: str) -> None:
    marker = f"3{os.getpid()}7"
    text = "FROM base\nRUN echo kept >/kept\n" + steps.format(marker)
    process = start(tmp_path, text)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 2
    while processes(marker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes(marker) == []
    lab.build("FROM base\nRUN echo kept >/kept\nRUN true")
    assert lab.ran() == "=!"
    lab.store.collect(Job())
    lab.store.settle(Job())
    left = [name for name in os.listdir(lab.store.root / "layers") if name.startswith(".new")]
    assert left == []


def test_builds_killed_at_any_moment_never_spoil_the_store(lab: Lab, tmp_path: Path) -> None:
    lab.write({f"d/{number}": str(number) for number in range(200)})
    text = (
        "FROM base\nRUN for i in 1 2 3 4 5 6 7 8; do echo $i >/$i; done\nCOPY d /d\nWORKDIR /w\nRUN cat /d/* /1 >/all"
    )
    for attempt in range(8):
        process = start(tmp_path, text)
        time.sleep(0.15 + 0.07 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    image = lab.build(text).image
    assert lab.run(image, "cd / && wc -c all").split()[0] == "492"
    assert [damage for damage in lab.store.verify(Job())] == []


def test_an_interrupted_copy_is_not_taken_for_a_result(lab: Lab) -> None:
    """A file that changes while it is copied gives an image, but nothing to reuse."""
    from orlop.builder.contexthash import ContextHasher

    lab.write({"f": "1"})
    original = ContextHasher.changed
    ContextHasher.changed = lambda self, selection: "f"  # type: ignore[method-assign]
    try:
        lab.build("FROM base\nCOPY f /f")
    finally:
        ContextHasher.changed = original  # type: ignore[method-assign]
    assert any("f changed while the build read it" in note for note in lab.notes())
    lab.build("FROM base\nCOPY f /f")
    assert lab.ran() == "!"


def test_the_store_may_be_opened_by_a_workshop_of_another_process(lab: Lab, tmp_path: Path) -> None:
    second = Workshop(tmp_path / "store")
    store = Store(tmp_path / "store")
    try:
        assert store.images.find("base").id == lab.store.images.find("base").id
    finally:
        store.close()
        second.close()


def test_waiting_for_another_build_can_be_cancelled(lab: Lab) -> None:
    from orlop.builder import steplock
    from orlop.core import errors
    from orlop.core.job import CancelToken

    folder = lab.store.root / "locks"
    token = CancelToken()
    with steplock.held(folder, "k" * 64, Job()):
        threading.Timer(0.2, token.cancel).start()
        began = time.monotonic()
        with pytest.raises(errors.Cancelled), steplock.held(folder, "k" * 64, Job(token=token)):
            pass
        assert time.monotonic() - began < 1
    assert not [name for name in os.listdir(folder) if name.startswith("step-")]
