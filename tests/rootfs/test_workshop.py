"""The worker does many things at once, says what went wrong, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from shop import Shop, file, folder, match

from orlop.core import errors
from orlop.core.job import CancelToken, Job
from orlop.rootfs import layers, snapshots
from orlop.rootfs.workshop import Workshop
from orlop.runtime.spec import ContainerSpec
from orlop.store.layers import Layer

BUSYBOX = Path(shutil.which("busybox") or "/bin/busybox")
needs_busybox = pytest.mark.skipif(not BUSYBOX.exists(), reason="needs Debian's busybox-static")


def eventually(condition: Any, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def worker(shop: Shop) -> int:
    """The worker's pid: the parent of whoever answers a ping."""
    shop.workshop.call("ping", {}, shop.job)
    return shop.workshop._pid


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pending(shop: Shop) -> list[str]:
    return [path.name for path in (shop.root / "store/layers").iterdir() if path.name.startswith(".")]


@pytest.fixture
def base(shop: Shop) -> Layer:
    """An image with a shell and two users."""
    if not BUSYBOX.exists():
        pytest.skip("needs Debian's busybox-static")
    context = shop.root / "base"
    (context / "bin").mkdir(parents=True)
    (context / "etc").mkdir()
    (context / "bin/busybox").write_bytes(BUSYBOX.read_bytes())
    (context / "bin/busybox").chmod(0o755)
    for name in ("sh", "sleep", "id", "cat", "touch", "mkdir"):
        (context / "bin" / name).symlink_to("busybox")
    (context / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\n")
    return shop.copy((), "/", context=str(context), matches=[match(str(context), "")])


def run(
    shop: Shop, base: Layer, command: str, *, job: Job | None = None, user: str = "", **more: Any
) -> tuple[dict[str, Any], str, Layer | None]:
    """A RUN: exit status, output, and the layer if it ended well."""
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with shop.store.layers.new() as layer:
        spec = ContainerSpec(
            args=("/bin/sh", "-c", command),
            rootfs=snapshots.rootfs(shop.store, [base], layer),
            env=("PATH=/bin",),
            user=user,
            network="none",
            **more,
        )
        try:
            status = shop.workshop.call(
                "run", {"spec": spec.to_json(), "attach": False}, job or shop.job, fds=(null, write, write)
            )
        finally:
            os.close(write)
            with open(read) as output:
                text = output.read()
            os.close(null)
        made = layer.commit(size=status["size"]) if status["code"] == 0 else None
    return status, text, made


def test_errors_are_the_same_on_both_sides(shop: Shop) -> None:
    with pytest.raises(errors.Invalid, match="invalid chmod parameter") as failure:
        shop.copy((), "/x", inline=[["a", ""]], chmod="999")
    assert failure.value.hint


def test_a_bug_in_a_task_is_told_with_its_place(shop: Shop) -> None:
    with pytest.raises(errors.OrlopError, match="KeyError") as failure:
        shop.workshop.call("copy", {}, shop.job)
    assert "copying.py" in (failure.value.detail or "") or "tasks.py" in (failure.value.detail or "")
    with pytest.raises(errors.OrlopError, match="KeyError"):
        shop.workshop.call("no such task", {}, shop.job)


def test_long_parameters_and_answers_travel_whole(shop: Shop) -> None:
    names = {f"d/file-with-a-rather-long-name-{number:06}": file() for number in range(5000)}
    layer = shop.layer({"d": folder(), **names})
    lowers = [str(shop.store.layers.path(layer.id))]
    found = shop.workshop.call("list", {"lowers": lowers, "path": "/d", "ignored": "x" * 500_000}, shop.job)["found"]
    assert [f"d/{child['name']}" for child in found["children"]] == sorted(names)


def test_threads_share_it_without_waiting_for_each_other(shop: Shop) -> None:
    def work(number: int) -> str:
        layer = shop.copy((), "/x/", inline=[["n", str(number)]])
        return shop.table(layer)["x/n"].data

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(work, range(60))) == [str(number) for number in range(60)]


def test_children_that_wait_for_tasks_leave_soon_and_are_not_missed(shop: Shop) -> None:
    pid = worker(shop)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: shop.workshop.call("ping", {}, shop.job), range(40)))
    assert len(children(pid)) <= 8
    assert eventually(lambda: children(pid) == [])
    for _ in range(10):
        shop.workshop.call("ping", {}, shop.job)
    assert len(children(pid)) == 1
    if os.geteuid() == 0:
        assert len(os.listdir(f"/proc/{pid}/fd")) < 16


def test_no_descriptor_is_left_of_finished_tasks(shop: Shop) -> None:
    def work() -> None:
        shop.copy((), "/x", inline=[["x", "x"]])
        with pytest.raises(errors.OrlopError):
            shop.workshop.call("no such task", {}, shop.job)

    work()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        work()
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_comes_back_after_it_was_killed(shop: Shop) -> None:
    first = worker(shop)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: b"Z" in Path(f"/proc/{first}/stat").read_bytes() or not Path(f"/proc/{first}").exists())
    assert shop.table(shop.copy((), "/x", inline=[["x", "again"]]))["x"].data == "again"
    assert worker(shop) != first


@pytest.mark.several_ids
def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    import attrs

    if os.geteuid() == 0:
        pytest.skip("root needs no ids of others")
    workshop = Workshop(tmp_path)
    workshop.mapping = attrs.evolve(workshop.mapping, uids=((0, os.geteuid(), 1), (1, 1, 5)))
    with pytest.raises(errors.Unavailable, match="cannot map the ids") as failure:
        workshop.call("ping", {}, Job())
    assert "/etc/subuid" in (failure.value.hint or "")


def stuck_apply(shop: Shop, job: Job) -> threading.Thread:
    """An unpacking that has begun and waits for more of its tar, for ever."""
    from shop import archive

    raw = archive({f"d{number}/f": file("x" * 2000) for number in range(200)})
    read, write = os.pipe2(os.O_CLOEXEC)
    os.write(write, raw[:60_000])

    def work() -> None:
        try:
            with shop.store.layers.new() as layer:
                shop.workshop.call("apply", {"root": str(layer.diff)}, job, fds=(read,))
        except errors.OrlopError as error:
            failures.append(error)
        finally:
            ended.append(time.monotonic())
            os.close(read)
            os.close(write)

    failures: list[errors.OrlopError] = []
    ended: list[float] = []
    thread = threading.Thread(target=work)
    thread.failures, thread.ended = failures, ended  # type: ignore[attr-defined]
    thread.start()
    assert eventually(lambda: any((shop.root / "store/layers").glob(".new-*/diff/d*")))
    return thread


@pytest.mark.several_ids
def test_cancel_ends_a_task_at_once_and_leaves_nothing(shop: Shop) -> None:
    pid = worker(shop)
    token = CancelToken()
    thread: Any = stuck_apply(shop, Job(None, token))
    begun = time.monotonic()
    token.cancel()
    thread.join(5)
    assert isinstance(thread.failures[0], errors.Cancelled)
    assert thread.ended[0] - begun < 0.2
    assert pending(shop) == []
    assert eventually(lambda: children(pid) == [])


def test_killing_the_worker_in_the_middle_leaves_a_clean_store(shop: Shop) -> None:
    pid = worker(shop)
    thread: Any = stuck_apply(shop, Job())
    os.kill(pid, signal.SIGKILL)
    thread.join(5)
    assert "was killed" in thread.failures[0].message
    assert pending(shop) == []
    shop.store.collect(shop.job)
    assert list((shop.root / "store/layers").iterdir()) == []
    assert shop.copy((), "/x", inline=[["x", ""]])


CLIENT = """
import os, sys
from pathlib import Path
from orlop.core.job import Job
from orlop.rootfs.workshop import Workshop
from orlop.store.store import Store
root = Path(sys.argv[1])
workshop = Workshop(root)
store = Store(root, remove_tree=workshop.remove_tree)
read, write = os.pipe2(os.O_CLOEXEC)
workshop.call("ping", {}, Job())
print(workshop._pid, flush=True)
with store.layers.new() as layer:
    workshop.call("apply", {"root": str(layer.diff)}, Job(), fds=(read,))
"""


def test_everything_ends_with_a_client_that_is_killed(shop: Shop) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(shop.root / "store")], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout is not None
    with client.stdout as told:
        pid = int(told.readline())
    assert eventually(lambda: len(children(pid)) == 1)
    task = children(pid)[0]
    client.kill()
    client.wait()
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert eventually(lambda: not Path(f"/proc/{task}").exists())
    shop.store.collect(shop.job)
    assert pending(shop) == []


def test_a_run_writes_its_layer(shop: Shop, base: Layer) -> None:
    status, text, made = run(shop, base, "id -u; echo hi > /new; touch /etc/passwd; mkdir -p /d/e")
    assert (status["code"], text) == (0, "0\n")
    assert made is not None
    found = shop.table(made)
    assert sorted(found) == ["d", "d/e", "etc", "etc/passwd", "new"]
    assert made.size == len("hi\n") + found["etc/passwd"].data.__len__()


@pytest.mark.several_ids
def test_a_runs_files_belong_to_its_user(shop: Shop, base: Layer) -> None:
    prepared = shop.step("mkdir", [base], {"path": "/w", "user": "www"})
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with shop.store.layers.new() as layer:
        spec = ContainerSpec(
            args=("/bin/sh", "-c", "id -u; touch /w/mine"),
            rootfs=snapshots.rootfs(shop.store, [base, prepared], layer),
            user="www",
            network="none",
        )
        status = shop.workshop.call("run", {"spec": spec.to_json()}, shop.job, fds=(null, write, write))
        made = layer.commit(size=status["size"])
    os.close(write)
    os.close(null)
    with open(read) as output:
        assert output.read() == "33\n"
    assert shop.table(made)["w/mine"].uid == 33


@pytest.mark.several_ids
@pytest.mark.parametrize("user", ["", "www"])
def test_cancel_ends_a_run_with_all_its_processes(shop: Shop, base: Layer, user: str) -> None:
    pid = worker(shop)
    token = CancelToken()
    marker = f"30{os.getpid() % 10000:04}"
    ended: list[float] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            run(shop, base, f"sleep {marker} & sleep {marker} & sleep {marker}", job=Job(None, token), user=user)
        except errors.OrlopError as error:
            failures.append(error)
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: len(sleeping(marker)) == 3)
    begun = time.monotonic()
    token.cancel()
    thread.join(5)
    assert isinstance(failures[0], errors.Cancelled)
    assert ended[0] - begun < 0.3
    assert eventually(lambda: sleeping(marker) == [], 0.5)
    assert eventually(lambda: children(pid) == [])
    assert pending(shop) == []


@pytest.mark.several_ids
@pytest.mark.parametrize("user", ["", "www"])
def test_killing_the_worker_ends_a_run(shop: Shop, base: Layer, user: str) -> None:
    pid = worker(shop)
    marker = f"40{os.getpid() % 10000:04}"
    failures: list[errors.OrlopError] = []

    def work() -> None:
        try:
            run(shop, base, f"sleep {marker} & sleep {marker}", user=user)
        except errors.OrlopError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: len(sleeping(marker)) == 2)
    os.kill(pid, signal.SIGKILL)
    thread.join(5)
    assert failures
    assert eventually(lambda: sleeping(marker) == [])


def sleeping(marker: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] in ([b"sleep", marker.encode()], [b"/bin/sleep", marker.encode()]):
                found.append(int(name))
    return found


def test_a_seal_can_go_on_while_other_steps_run(shop: Shop, base: Layer) -> None:
    with ThreadPoolExecutor(1) as pool:
        sealed = pool.submit(layers.seal, shop.store, shop.workshop, base, shop.job)
        status, _, _ = run(shop, base, "true")
        assert status["code"] == 0
        assert sealed.result().diff_id is not None
