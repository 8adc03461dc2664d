"""The worker process: root of the user namespace, single-threaded, forks a child for each task it is given.

Lean on purpose (standard library, no attrs): a fork of it is ready to work within a millisecond.
"""

from __future__ import annotations

import os
from _signal import SIG_DFL, SIG_IGN, SIGCHLD, SIGINT, SIGKILL, pidfd_send_signal
from _signal import signal as set_handler

from orlop.core import errors
from orlop.rootfs import tasks
from orlop.runtime import launch
from orlop.runtime.linux import leanjson, syscalls
from orlop.runtime.linux.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_PDEATHSIG = 1


def main(params: dict[str, Any], fds: list[int]) -> int:
    """Serve the channel `fds[0]` until the client is gone; everything still running ends with it."""
    server = Channel(fds[0])
    set_handler(SIGINT, SIG_IGN)
    # Children are reaped by the kernel; their clients see the end of their own channels.
    set_handler(SIGCHLD, SIG_IGN)
    os.umask(0)
    if params.get("devices"):
        launch.prepare()
    running: dict[int, int] = {}
    while (received := server.receive()) is not None:
        message, passed = received
        if "cancel" in message:
            _cancel(running.pop(message["cancel"], None), kill=True)
        elif "done" in message:
            _cancel(running.pop(message["done"], None), kill=False)
        else:
            running[message["id"]] = _start(server, message, passed)
    for fd in running.values():
        _cancel(fd, kill=True)
    return 0


def _start(server: Channel, message: dict[str, Any], passed: list[int]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        server.close()
        syscalls.prctl(_PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        set_handler(SIGCHLD, SIG_DFL)
        _work(message, passed)
    for fd in passed:
        os.close(fd)
    return os.pidfd_open(pid)


def _work(message: dict[str, Any], passed: list[int]) -> None:
    channel = Channel(passed.pop(0))
    try:
        params = message["params"]
        if params is None:
            params = _read_large(passed.pop())
        answer: dict[str, Any] = {"result": tasks.TASKS[message["task"]](params, passed, channel)}
    except errors.OrlopError as error:
        answer = {"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
    except OSError as error:
        what = errors.from_os(error, f"{message['task']} {error.filename or ''}".rstrip())
        answer = {"error": {"kind": type(what).__name__, "message": what.message, "hint": what.hint}}
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it is, the client hears of it
        answer = {"error": {"kind": "bug", "message": f"{type(error).__name__}: {error}", "hint": _where(error)}}
    try:
        channel.send(answer)
    finally:
        os._exit(0)


def _read_large(fd: int) -> Any:
    """Parameters that are too long for one message come as a file in memory."""
    with open(fd, "rb") as file:
        file.seek(0)
        return leanjson.loads(file.read())


def _cancel(pidfd: int | None, *, kill: bool) -> None:
    if pidfd is None:
        return
    try:
        if kill:
            pidfd_send_signal(pidfd, SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def _where(error: BaseException) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
