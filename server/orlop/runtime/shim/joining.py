"""Another program in a running container (exec): joins its namespaces, then is confined like its first one."""

from __future__ import annotations

import os
import select

from orlop.core import errors
from orlop.runtime.init import console, identity, sequence
from orlop.runtime.init.confine import set_limits
from orlop.runtime.init.freeze import freeze_imports
from orlop.runtime.linux import cgroups, namespaces, syscalls
from orlop.runtime.linux.channel import Channel, pair
from orlop.runtime.shim import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from orlop.runtime.spec import SpecJson

_SIGKILL = 9


def run(request: dict[str, Any], reply: Channel, stdio: tuple[int, int, int] | None) -> None:
    """Run the program and tell its end on `reply`: {"exit": code, "error": text or null}.

    `request`: "init" (identity of the container's first process), "cgroups", "spec" (of the container, with the
    program's own args, env, cwd, user). Without `stdio` it gets a terminal, whose master is sent: {"terminal": true}.
    The program does not outlive the other end of `reply`.
    """
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    ours, theirs = pair()
    joiner = os.fork()
    if joiner == 0:
        ours.close()
        reply.close()
        sequence.tell_failures(theirs, lambda: _join(request, theirs, stdio))
    theirs.close()
    pid, failure = _follow(ours, reply)
    os.waitpid(joiner, 0)
    if failure is not None:
        if pid:
            os.waitpid(pid, 0)
        _tell(reply, {"exit": failure["code"], "error": failure["failed"], "hint": failure["hint"]})
    else:
        _tell(reply, {"exit": _wait(pid, reply), "error": None, "hint": None})


def _follow(ours: Channel, reply: Channel) -> tuple[int, dict[str, Any] | None]:
    """Listen until the program runs or has failed; passes the terminal on."""
    pid, failure = 0, None
    while (received := ours.receive()) is not None:
        message, fds = received
        if "program" in message:
            pid = message["program"]
        elif "terminal" in message:
            _tell(reply, {"terminal": True}, fds)
            os.close(fds[0])
        elif "failed" in message:
            failure = message
    if not pid and failure is None:
        failure = {"failed": "cannot join the container: it has ended", "code": sequence.CANNOT_START, "hint": None}
    return pid, failure


def _wait(pid: int, reply: Channel) -> int:
    """The program's exit code (128 + signal); it is killed when the other end goes away."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(reply.fileno(), select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if pidfd in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            return code if code >= 0 else 128 - code
        received = reply.receive()
        if received is None:
            poll.unregister(reply.fileno())
        _kill(pid, _SIGKILL if received is None else received[0]["signal"])


def _join(request: dict[str, Any], theirs: Channel, stdio: tuple[int, int, int] | None) -> None:
    """In a child: enter the namespaces, and fork the program into the container's pid namespace."""
    init = request["init"]
    if not state.alive(init):
        raise errors.Conflict("cannot join the container: it is not running")
    freeze_imports()
    syscalls.forget_arguments("orlop-exec")
    # Nobody inside may trace this process or look into its memory between joining and execve.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    if request["cgroups"]:
        cgroups.Group(request["cgroups"]).join(os.getpid())
    # Asked outside: the container's /proc does not show this process, and what it shows of its groups proves nothing.
    limited = cgroups.devices_limited() or namespaces.in_user_namespace(init["pid"])
    single = namespaces.single_id(init["pid"])
    namespaces.join(init["pid"])
    os.setresgid(0, 0, 0)
    if not single:
        os.setgroups([])
    os.setresuid(0, 0, 0)
    pid = os.fork()
    if pid != 0:
        theirs.send({"program": pid})
        os._exit(0)
    sequence.tell_failures(theirs, lambda: _become(request["spec"], theirs, stdio, limited))


def _become(spec: SpecJson, theirs: Channel, stdio: tuple[int, int, int] | None, limited: bool) -> None:
    os.setsid()
    if stdio is not None:
        sequence.take_streams(stdio)
    syscalls.close_from(3, (theirs.fileno(),))
    sequence.own_null()
    slave = None
    if stdio is None:
        master, slave = console.open_pair(spec.get("size"))
        theirs.send({"terminal": True}, [master])
        os.close(master)
    os.umask(0o022)
    set_limits(spec["rlimits"])
    who = identity.resolve(spec["user"], spec["groups"])
    sequence.enter_directory(spec["cwd"], make=False)
    if slave is not None:
        console.take(slave)
    sequence.become_program(spec, who, tty=slave is not None, dying=False, nodes=limited)


def _kill(pid: int, signal: int) -> None:
    try:
        os.kill(pid, signal)
    except OSError:
        return


def _tell(reply: Channel, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    try:
        reply.send(message, fds)
    except OSError:
        return  # whoever asked is gone; the program is killed for that where it is waited for
