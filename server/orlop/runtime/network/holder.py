"""The network namespace that an ordinary user's networks live in, and the process that holds it.

The kernel lets an ordinary user make bridges and links only in a network namespace of a user namespace of his own, and
tie together only namespaces of the same one. So one process, the holder, has both, slirp4netns gives it the way out,
and the containers of user-defined networks are born in its user namespace. A keeper stays outside and ends all three.
Only the standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import time

from orlop.core import errors
from orlop.runtime.linux import idmap, namespaces, syscalls
from orlop.runtime.linux.channel import Channel, pair
from orlop.runtime.network import helper, netlink
from orlop.runtime.shim import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

RECORD = "holder.json"
_IDLE_SECONDS = 3.0
_END_SECONDS = 5.0
_SIGKILL = 9


def find(directory: Path) -> dict[str, Any] | None:
    """The holder's process (`shim.state.identity`), None when there is none; one that lost its keeper is ended."""
    record = _read(directory)
    if record is None:
        return None
    if runs(record["keeper"]) and runs(record.get("process")):
        found: dict[str, Any] = record["process"]
        return found
    end(directory)
    return None


def ensure(directory: Path, mapping: dict[str, Any], idle: Callable[[], bool]) -> tuple[dict[str, Any], str | None]:
    """The holder's process, started if there is none, and a note when its networks have no way out.

    `idle` says whether nobody needs it any longer; the keeper asks that from time to time. The caller holds the lock of
    all networks and has one thread. Raises `Unavailable` when this host does not allow it.
    """
    found = find(directory)
    if found is not None:
        return found, (_read(directory) or {}).get("note")
    ours, theirs = pair()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            _keep(directory, mapping, theirs.detach(), idle)
        os._exit(0)
    theirs.close()
    os.waitpid(child, 0)
    received = ours.receive()
    ours.close()
    if received is None:
        raise errors.Unavailable("cannot hold a network namespace: its keeper ended without a word")
    answer = received[0]
    if "failed" in answer:
        raise errors.Unavailable(answer["failed"], hint=answer["hint"])
    return answer["process"], answer["note"]


def join(process: dict[str, Any]) -> None:
    """Become root of the holder's user namespace, in its network namespace; the caller has one thread."""
    enter(process, syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)


def enter(process: dict[str, Any], flags: int) -> None:
    """Join namespaces of a process, and become root there if its user namespace is among them; raises `Conflict`."""
    try:
        pidfd = os.pidfd_open(process["pid"])
        try:
            if not runs(process):
                raise ProcessLookupError
            syscalls.setns(pidfd, flags)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        raise errors.Conflict("cannot join a network: the process that holds it has ended", hint="Try again.") from None
    if flags & syscalls.CLONE_NEWUSER:
        os.setresgid(0, 0, 0)
        if not namespaces.single_id():
            os.setgroups([])
        os.setresuid(0, 0, 0)


def end(directory: Path) -> None:
    """End keeper, holder and network helper; returns normally when there are none. Never raises."""
    record = _read(directory) or {}
    for name in ("keeper", "process"):
        process = record.get(name)
        with contextlib.suppress(OSError):
            if process is not None and state.alive(process):
                os.kill(process["pid"], _SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    while runs(record.get("process")) and time.monotonic() < deadline:
        time.sleep(0.005)
    with contextlib.suppress(OSError):
        os.unlink(directory / RECORD)


def runs(process: dict[str, Any] | None) -> bool:
    """Whether the process of an identity exists and is no zombie: namespaces of one cannot be joined."""
    if not state.alive(process) or process is None:
        return False
    try:
        with open(f"/proc/{process['pid']}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def _read(directory: Path) -> dict[str, Any] | None:
    try:
        return state.read(f"{directory}/{RECORD}")
    except (OSError, ValueError):
        return None


def _keep(directory: Path, mapping: dict[str, Any], reply_fd: int, idle: Callable[[], bool]) -> None:
    """Be the keeper: start the holder and its network helper, and stay until nobody needs them."""
    try:
        reply = _alone(reply_fd)
        path = f"{directory}/{RECORD}"
        me = state.identity(os.getpid())
        state.write(path, {"keeper": me, "process": None, "note": None}, sync=False)
        try:
            pid = _fork_holder(mapping)
            process = state.identity(pid)
            state.write(path, {"keeper": me, "process": process, "note": None}, sync=False)
            alive, note = _way_out(pid)
            state.write(path, {"keeper": me, "process": process, "note": note}, sync=False)
            reply.send({"process": process, "note": note})
        except errors.OrlopError as error:
            reply.send({"failed": error.message, "hint": error.hint})
            os._exit(1)
        reply.close()
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        while not poll.poll(_IDLE_SECONDS * 1000) and not idle():
            continue
        if alive is not None:
            os.close(alive)
    finally:
        os._exit(0)


def _alone(reply_fd: int) -> Channel:
    """Let go of all that this process inherited but the channel."""
    syscalls.set_process_name("orlop-keeper")
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.dup2(reply_fd, 3, inheritable=False)
    syscalls.close_from(4)
    return Channel(3)


def _fork_holder(mapping: dict[str, Any]) -> int:
    """The process whose namespaces are those of all networks; it does nothing and dies with the keeper."""
    ours, theirs = pair()
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            syscalls.set_process_name("orlop-networks")
            try:
                idmap.enter(mapping)
                syscalls.unshare(syscalls.CLONE_NEWNET)
                netlink.loopback_up()
            except errors.OrlopError as error:
                theirs.send({"failed": error.message, "hint": error.hint})
                os._exit(1)
            except OSError as error:
                text = f"cannot make a network namespace: {(error.strerror or str(error)).lower()}"
                theirs.send({"failed": text, "hint": "Use the default network, or the host's."})
                os._exit(1)
            # After the change of user, which makes the kernel forget it.
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _SIGKILL)
            if os.getppid() == keeper:
                theirs.send({"ready": True})
                syscalls.close_from(3)
                while True:
                    select.select([], [], [])
        finally:
            os._exit(1)
    theirs.close()
    received = ours.receive()
    ours.close()
    if received is None or "failed" in received[0]:
        os.waitpid(pid, 0)
        if received is None:
            raise errors.Unavailable("cannot hold a network namespace: its process ended without a word")
        raise errors.Unavailable(received[0]["failed"], hint=received[0]["hint"])
    return pid


def _way_out(pid: int) -> tuple[int | None, str | None]:
    """Start slirp4netns for the holder: (the descriptor that keeps it running, or None and why there is no way out).

    pasta is of no use here: what it forwards for other addresses than its own stalls.
    """
    name, reason, fix = helper.choose()
    if name == helper.PASTA:
        name, reason, fix = None, "slirp4netns is not installed", "Install it: `sudo apt-get install slirp4netns`."
    if name is None:
        return None, f"containers of user-defined networks reach each other but nothing else: {reason}. {fix}"
    complaint = ""
    for sandbox in (True, False):
        log = os.memfd_create("network-helper", os.MFD_CLOEXEC)
        try:
            _, ready, alive = helper.start(name, pid, pid_file="", log_fd=log, sandbox=sandbox)
            try:
                helper.is_ready(ready, helper.READY_SECONDS, last=True)
            except OSError:
                os.close(alive)
                raise
            finally:
                os.close(ready)
        except OSError as error:
            said = os.pread(log, 4096, 0).decode("utf-8", "replace").strip()
            complaint = said.rpartition("\n")[2] or str(error)
        else:
            return alive, None
        finally:
            os.close(log)
    return None, f"containers of user-defined networks reach each other but nothing else: {name} says: {complaint}"
