"""The worker process: root of the user namespace, single-threaded, forks a child for each task it is given.

Lean on purpose (standard library, no attrs): a fork of it is ready to work within a millisecond. A child dies with the
worker, the worker ends with its client, and whatever a child started dies with the child.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import sys
from _signal import SIG_DFL, SIG_IGN, SIGCHLD, SIGINT, SIGKILL, SIGSTOP, pidfd_send_signal
from _signal import signal as set_handler

from orlop.core import errors
from orlop.rootfs import tasks
from orlop.runtime import launch
from orlop.runtime.linux import leanjson, syscalls
from orlop.runtime.linux.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Longer messages travel as a file in memory: a socket takes about twice as much at once.
LARGE = 64 << 10
_DEEPEST = 10_000
# How long a child waits for another task, and after how many it makes room for a fresh one.
_IDLE_MS = 2_000
_MOST_TASKS = 500
# For a process that hangs in the kernel; nobody is blocked longer by it.
_PATIENCE_MS = 2_000


def main(params: dict[str, Any], fds: list[int]) -> int:
    """Serve the channel `fds[0]` until the client is gone; everything still running ends with it."""
    server = Channel(fds[0])
    set_handler(SIGINT, SIG_IGN)
    # The kernel collects children, and the orphans of killed ones, which come to us.
    set_handler(SIGCHLD, SIG_IGN)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    os.umask(0)
    # Trees are walked by recursion, with a descriptor or two for each level.
    sys.setrecursionlimit(_DEEPEST)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.path.extend(params.get("libraries", ()))
    launch.prepare()
    gc.collect()
    gc.freeze()
    gc.disable()
    running: dict[int, _Child] = {}
    while (received := server.receive()) is not None:
        message, passed = received
        if "cancel" in message:
            child = running.pop(message["cancel"], None)
            if child is not None:
                child.kill()
            for fd in passed:
                os.close(fd)
        elif "done" in message:
            child = running.pop(message["done"], None)
            if child is not None:
                child.close()
        else:
            child = _start(server, message, passed)
            if child is not None:
                running[message["id"]] = child
    for child in running.values():
        child.kill()
    return 0


class _Child:
    """A task at work."""

    __slots__ = ("_pid", "_pidfd")

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)

    def close(self) -> None:
        """It has answered, and has only its own exit left to do."""
        os.close(self._pidfd)

    def kill(self) -> None:
        """Kill it and what it started; they are gone afterwards."""
        pidfds = [self._pidfd]
        try:
            # Stopped, it can start nothing more, and its children keep their pids even when they end.
            pidfd_send_signal(self._pidfd, SIGSTOP)
            pidfds += [os.pidfd_open(pid) for pid in _children(self._pid)]
            for pidfd in reversed(pidfds):
                pidfd_send_signal(pidfd, SIGKILL)
        except ProcessLookupError:
            pass
        for pidfd in pidfds:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(_PATIENCE_MS)
            os.close(pidfd)


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # they die with their parent all the same (PR_SET_PDEATHSIG), only unseen


def _start(server: Channel, message: dict[str, Any], passed: list[int]) -> _Child | None:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        server.close()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        set_handler(SIGINT, SIG_DFL)
        set_handler(SIGCHLD, SIG_DFL)
        _work(message, passed)
    for fd in passed:
        os.close(fd)
    try:
        return _Child(pid)
    except ProcessLookupError:
        return None


def _work(message: dict[str, Any], passed: list[int]) -> None:
    """Do a task and answer; then stay for some more of the harmless ones, since a fork costs more than most of them."""
    channel = Channel(passed.pop(0))
    try:
        for left in range(_MOST_TASKS, 0, -1):
            params = message["params"] if message["params"] is not None else _read_large(passed.pop())
            answer = _perform(message["task"], params, passed, channel)
            for fd in passed:
                _close(fd)
            stays = left > 1 and "result" in answer and tasks.leaves_no_trace(message["task"], params)
            _send(channel, {**answer, "stays": stays})
            if not stays:
                break
            received = _next(channel)
            if received is None:
                break
            message, passed = received
    finally:
        os._exit(0)


def _next(channel: Channel) -> tuple[dict[str, Any], list[int]] | None:
    """Another task, if one comes soon."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    if not poll.poll(_IDLE_MS):
        # One may have been sent at this very moment: it is done still, later ones fail at the client's.
        channel.refuse()
    return channel.receive()


def _perform(task: str, params: dict[str, Any], passed: list[int], channel: Channel) -> dict[str, Any]:
    try:
        return {"result": tasks.TASKS[task](params, passed, channel)}
    except errors.OrlopError as error:
        return _described(error.kind, error.message, error.hint, error.detail)
    except OSError as error:
        what = errors.from_os(error, f"{task} {_shown(error.filename)}".rstrip())
        return _described(what.kind, what.message, what.hint, _where(error))
    except BaseException as error:  # noqa: BLE001 - the edge of the process: whatever it is, the client hears of it
        return _described("bug", f"{type(error).__name__}: {error}", None, _where(error))


def _described(kind: str, message: str, hint: str | None, detail: str | None) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "hint": hint, "detail": detail}}


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return  # the task has closed it


def _send(channel: Channel, answer: dict[str, Any]) -> None:
    text = leanjson.dumps(answer)
    if len(text) <= LARGE:
        channel.send(answer)
        return
    fd = in_memory(text)
    channel.send({"large": True}, [fd])


def in_memory(text: str) -> int:
    """A file in memory with a text."""
    fd = os.memfd_create("message", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(text.encode())
    return fd


def _read_large(fd: int) -> Any:
    with open(fd, "rb") as file:
        file.seek(0)
        return leanjson.loads(file.read())


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name or "")


def _where(error: BaseException) -> str:
    """The places in our own code that led to an error, outermost first; without source lines, so nothing is read."""
    places = []
    place = error.__traceback__
    while place is not None:
        places.append(f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}")
        place = place.tb_next
    return " > ".join(places)
