"""Containers over their whole life, with real shims."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from containers import in_child
from places import IMAGE, SERVICE, Place, until

from orlop.core import errors
from orlop.core.job import CancelToken, Job
from orlop.runtime.container import Container
from orlop.runtime.manager import Manager
from orlop.runtime.sessions import Session
from orlop.runtime.shim import state
from orlop.runtime.spec import ContainerSpec, Limits, Rootfs


def test_output_and_exit_code_reach_the_foreground(place: Place) -> None:
    assert place.run("sh", "-c", "echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")
    found = place.manager.list()[0]
    assert (found.status, found.exit and found.exit.code, found.pid) == ("exited", 7, None)
    assert found.started is not None
    assert found.finished is not None
    assert found.finished >= found.started


def test_the_log_has_every_line_with_stream_and_time(place: Place) -> None:
    place.run("sh", "-c", "echo one; echo two >&2; printf 'no end'", name="talker")
    lines = list(place.manager.logs("talker", place.job))
    assert sorted((line.text, line.stream) for line in lines) == [
        ("no end", "stdout"), ("one\n", "stdout"), ("two\n", "stderr"),
    ]  # fmt: skip
    assert all(line.time.startswith("20") and line.time.endswith("Z") for line in lines)
    assert [line.text for line in place.manager.logs("talker", place.job, tail=1)] == [lines[-1].text]
    assert list(place.manager.logs("talker", place.job, tail=0)) == []
    raw = (place.manager.inspect("talker").bundle / state.LOG).read_text().splitlines()
    assert all(set(json.loads(line)) == {"log", "stream", "time"} for line in raw)


def test_following_a_log_ends_with_the_container(place: Place) -> None:
    place.create("sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done", name="counter")
    place.manager.start("counter", place.job)
    assert [line.text for line in place.manager.logs("counter", place.job, follow=True)] == [
        f"{i}\n" for i in range(1, 7)
    ]


def test_input_of_a_megabyte_goes_through_unchanged(place: Place) -> None:
    data = os.urandom(1 << 20)
    code, out, _ = place.run("cat", data=data)
    assert code == 0
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_loses_nothing(place: Place) -> None:
    found = place.create("sh", "-c", "seq 1 700000; echo end >&2; exit 5")
    session = place.manager.start(found.id, place.job, foreground=True)
    assert session is not None
    time.sleep(0.5)
    size, last = 0, b""
    for stream, piece in session.output(place.job):
        if size == 0:
            time.sleep(0.5)
        if stream == "stdout":
            size += len(piece)
            last = (last + piece)[-20:]
    session.close()
    assert (session.exit_code, size, last.split()[-1]) == (5, 4788895, b"700000")


def test_a_terminal_has_a_size_and_is_the_controlling_one(place: Place) -> None:
    found = place.create(
        "sh", "-c", "tty; stty size; ls -l /dev/console; read x; stty size; echo got $x", tty=True, stdin_open=True
    )
    session = place.manager.start(found.id, place.job, foreground=True, size=(90, 20))
    assert session is not None
    out = b""
    for _, piece in session.output(place.job):
        out += piece
        if b"console" in out and b"\n" in out.partition(b"console")[2] and b"got" not in out:
            session.resize(120, 40)
            session.send(b"x\n")
            out += b" got "
    session.close()
    words = out.replace(b"\r", b"").split()
    assert words[:3] == [b"/dev/pts/0", b"20", b"90"]
    assert b"40 120" in out
    assert session.exit_code == 0


def test_control_c_interrupts_what_runs_in_the_terminal(place: Place) -> None:
    found = place.create(
        "sh",
        "-c",
        "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 0.05; done",
        tty=True,
        stdin_open=True,
    )
    session = place.manager.start(found.id, place.job, foreground=True)
    assert session is not None
    out = b""
    for _, piece in session.output(place.job):
        if b"ready" in piece:
            session.send(b"\x03")
        out += piece
    assert (session.exit_code, b"caught" in out) == (4, True)
    session.close()


def test_stop_asks_first_and_kills_later(place: Place) -> None:
    place.service("polite")
    assert place.manager.stop("polite", place.job).code == 3
    assert [line.text for line in place.manager.logs("polite", place.job)] == ["up\n", "bye\n"]
    place.create("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done", name="stubborn")
    place.manager.start("stubborn", place.job)
    begun = time.monotonic()
    status = place.manager.stop("stubborn", place.job, timeout=0.3)
    assert (status.code, status.signal) == (137, 9)
    assert 0.3 <= time.monotonic() - begun < 3


def test_kill_sends_any_signal(place: Place) -> None:
    place.create("sh", "-c", "trap 'exit 21' USR1; echo up; while :; do sleep 0.02; done", name="usr")
    place.manager.start("usr", place.job)
    until(lambda: list(place.manager.logs("usr", place.job)))
    place.manager.kill("usr", "SIGUSR1")
    assert place.manager.wait("usr", place.job).code == 21
    with pytest.raises(errors.Conflict):
        place.manager.kill("usr")
    with pytest.raises(errors.Invalid):
        place.manager.kill("usr", "NOSUCH")


def test_attach_sees_what_comes_from_now_on_and_may_leave(place: Place) -> None:
    place.create("sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done", name="clock")
    place.manager.start("clock", place.job)
    for _ in range(2):
        session = place.manager.attach("clock")
        output = session.output(place.job)
        assert b"tick" in next(output)[1]
        session.close()
    assert place.manager.inspect("clock").status == "running"
    token = CancelToken()
    waiting = Job(token=token)
    threading.Timer(0.2, token.cancel).start()
    with pytest.raises(errors.Cancelled):
        place.manager.wait("clock", waiting)


def test_exec_joins_and_is_as_confined(place: Place) -> None:
    place.service("target")
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    script = "echo $A $HOME; hostname; cat /proc/1/comm; grep -E 'CapEff|Seccomp:' /proc/self/status; exit 6"
    session = place.manager.exec("target", ["sh", "-c", script], env=["A=b"], stdio=(null, write, 2))
    assert session.wait(place.job) == (6, None)
    os.close(write)
    with os.fdopen(read) as file:
        lines = file.read().split("\n")
    assert lines[:3] == ["b /root", place.manager.inspect("target").id[:12], "sh"]
    assert lines[3].endswith(("a80425fb", "a00425fb"))
    assert lines[4] == "Seccomp:\t2"
    for args, code in ((["nope"], 127), (["/etc"], 126)):
        assert place.manager.exec("target", args, stdio=(null, 2, 2)).wait(place.job)[0] == code
    code, error = place.manager.exec("target", ["true"], cwd="/missing", stdio=(null, 2, 2)).wait(place.job)
    assert (code, error) == (125, "cannot enter the working directory /missing: no such file or directory")
    os.close(null)


def test_exec_in_a_terminal_and_its_end_with_the_client(place: Place) -> None:
    place.service("target")
    session = place.manager.exec("target", ["sh", "-c", "tty; stty size; sleep 333"], size=(77, 22))
    assert session.terminal is not None
    out = b""
    while out.count(b"\n") < 2:
        out += os.read(session.terminal, 100)
    assert out.split() == [b"/dev/pts/0", b"22", b"77"]
    session.close()
    until(lambda: not _inside(place, "sleep 333"))


def test_containers_survive_the_one_who_started_them(place: Place) -> None:
    script = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from test_manager import Place, SERVICE; p = Place.__new__(Place); p.path = Path(sys.argv[2]);"
        "p.base = p.path / 'base'; p.manager = p.open(); from orlop.core.job import Job; p.job = Job();"
        "p.service('orphan'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(__file__), str(place.path)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -9, done.stderr
    assert place.manager.inspect("orphan").status == "running"
    session = place.manager.attach("orphan")
    status = place.manager.stop("orphan", place.job)
    assert status.code == 3
    assert b"".join(data for _, data in session.output(place.job)) == b"bye\n"
    assert session.exit_code == 3
    session.close()


def test_a_container_survives_its_shim_but_its_exit_code_does_not(place: Place) -> None:
    found = place.service("bereft")
    os.kill((state.read(f"{found.bundle}/{state.STATE}") or {})["shim"]["pid"], signal.SIGKILL)
    until(lambda: _refuses_attach(place, "bereft"))
    assert place.manager.inspect("bereft").status == "running"
    status = place.manager.stop("bereft", place.job, timeout=0.5)
    assert (status.code, status.error) == (255, "the exit code is unknown: the container's shim was killed")
    place.manager.start("bereft", place.job)
    assert place.manager.inspect("bereft").status == "running"


def test_a_container_can_be_started_again_and_keeps_its_files(place: Place) -> None:
    script = "cat /kept 2>/dev/null; echo again >/kept"
    assert place.run("sh", "-c", script, name="twice") == (0, b"", b"")
    session = place.manager.start("twice", place.job, foreground=True)
    assert session is not None
    assert b"".join(data for _, data in session.output(place.job)) == b"again\n"
    session.close()


def test_what_keeps_a_container_from_starting_is_told_and_recorded(place: Place) -> None:
    place.create("nope", name="broken")
    with pytest.raises(errors.Invalid, match=r'exec: "nope": executable file not found in \$PATH') as caught:
        place.manager.start("broken", place.job)
    assert caught.value.exit_code == 127
    found = place.manager.inspect("broken")
    assert (found.status, found.exit and found.exit.code) == ("exited", 127)
    place.create("true", name="stranger", user="nobody-here")
    with pytest.raises(errors.Invalid, match="unable to find user nobody-here"):
        place.manager.start("stranger", place.job)


def test_names_and_ids(place: Place) -> None:
    first = place.create("true", name="first")
    second = place.create("true")
    assert place.manager.inspect(first.id[:12]).id == place.manager.inspect("first").id == first.id
    assert len(first.id) == 64
    assert "_" in second.name
    assert [each.id for each in place.manager.list()] == [second.id, first.id]
    with pytest.raises(errors.Conflict, match="name first is in use"):
        place.create("true", name="first")
    with pytest.raises(errors.Invalid, match="invalid container name"):
        place.create("true", name="-x")
    with pytest.raises(errors.ContainerNotFound):
        place.manager.inspect("missing")
    with pytest.raises(errors.ContainerNotFound):
        place.manager.inspect("../base")


def test_a_running_container_is_removed_only_by_force(place: Place) -> None:
    found = place.service("busy")
    with pytest.raises(errors.Conflict, match="it is running"):
        place.manager.remove("busy", place.job)
    assert place.manager.remove("busy", place.job, force=True).id == found.id
    assert not found.bundle.exists()
    until(lambda: not os.path.exists(f"/proc/{found.pid}"))


def test_tidy_finishes_what_was_cut_short(place: Place) -> None:
    place.run("true", name="gone", auto_remove=True)
    left = place.manager.create(ContainerSpec(args=("true",), rootfs=Rootfs((str(place.base),))), IMAGE)
    left.bundle.rename(left.bundle.parent / f".gone-{left.id}")
    assert place.manager.tidy(place.job) == ()
    assert [each.name for each in place.manager.tidy(place.job, patience=0)] == ["gone"]
    assert place.manager.list() == ()
    assert not [name for name in os.listdir(place.path / "containers") if name.startswith(".gone")]


def test_two_at_once_start_a_container_once(place: Place) -> None:
    place.create("sh", "-c", SERVICE, name="once")
    managers = [place.open() for _ in range(4)]
    outcomes: list[object] = []

    def start(manager: Manager) -> None:
        try:
            session = manager.start("once", Job(), foreground=True)
            outcomes.append(session)
        except errors.Conflict as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start, args=(manager,)) for manager in managers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not isinstance(each, errors.Conflict) for each in outcomes) == 1
    for each in outcomes:
        if isinstance(each, Session):
            each.close()
    for manager in managers:
        manager.close()


def test_twenty_at_once(place: Place) -> None:
    found = [place.create("sh", "-c", f"exit {number}") for number in range(20)]
    codes: dict[str, int | None] = {}

    def run(each: Container) -> None:
        session = place.manager.start(each.id, place.job, foreground=True)
        assert session is not None
        list(session.output(place.job))
        codes[each.id] = session.exit_code
        session.close()

    threads = [threading.Thread(target=run, args=(each,)) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [codes[each.id] for each in found] == list(range(20))


def test_a_container_leaves_nothing_but_its_bundle(place: Place) -> None:
    for _ in range(5):
        place.run("sh", "-c", "(sleep 100 &); true")
    assert os.listdir(place.path / "run") in ([], ["network"])
    assert str(place.path) not in Path("/proc/self/mountinfo").read_text()
    until(lambda: not _shims_of(place))
    assert sorted(os.listdir(place.manager.list()[0].bundle)) == [
        "config.json", "container.log", "diff", "exit.json", "hostname", "hosts", "lock", "resolv.conf", "state.json", "work",
    ]  # fmt: skip
    assert in_child(lambda: os.listdir(place.manager.list()[0].bundle / "diff")) == []


def test_the_shim_runs_from_a_sealed_copy_that_nobody_can_overwrite(place: Place) -> None:
    found = place.service("sealed")
    shim = (state.read(f"{found.bundle}/{state.STATE}") or {})["shim"]["pid"]
    assert os.readlink(f"/proc/{shim}/exe").startswith("/memfd:")
    fd = os.open(f"/proc/{shim}/exe", os.O_RDONLY)
    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    os.close(fd)
    assert seals & fcntl.F_SEAL_WRITE
    assert seals & fcntl.F_SEAL_SEAL
    (place.base / "evil").write_text("#!/proc/self/exe\n")
    (place.base / "evil").chmod(0o755)
    place.create("/evil", name="evil")
    with contextlib.suppress(errors.Invalid):
        place.manager.start("evil", place.job)
    assert place.manager.wait("evil", place.job).code == 127
    null = os.open("/dev/null", os.O_RDWR)
    assert place.manager.exec("sealed", ["/evil"], stdio=(null, null, null)).wait(place.job)[0] == 127
    os.close(null)


def test_limits_are_enforced_or_named(place: Place) -> None:
    place.create(
        "sh",
        "-c",
        "yes | head -c 100000000 >/dev/shm/x; echo no",
        name="small",
        limits=Limits(memory=16 << 20),
        shm_size=1 << 30,
    )
    notes: list[Any] = []
    place.manager.start("small", Job(notes.append))
    status = place.manager.wait("small", place.job)
    if os.geteuid() == 0 and not notes:
        assert status.oom
    else:
        assert "memory limit is ignored" in notes[0].message


def _inside(place: Place, command: str) -> bool:
    null = os.open("/dev/null", os.O_RDWR)
    read, write = os.pipe()
    place.manager.exec("target", ["ps"], stdio=(null, write, write)).wait(place.job)
    os.close(write)
    os.close(null)
    with os.fdopen(read) as file:
        return command in file.read().replace("ps", "")


def _refuses_attach(place: Place, name: str) -> bool:
    try:
        place.manager.attach(name).close()
    except errors.Conflict:
        return True
    return False


def _shims_of(place: Place) -> list[int]:
    found = []
    for each in place.manager.list():
        shim = (state.read(f"{each.bundle}/{state.STATE}") or {}).get("shim")
        if state.alive(shim) and ") Z " not in Path(f"/proc/{shim['pid']}/stat").read_text():
            found.append(shim["pid"])
    return found
