"""Starting a container's first process and staying with it until it ends.

Called in a single-threaded child that is root of its user namespace. Only the standard library is imported, and specs
are in their JSON form (`ContainerSpec.to_json`): the callers are lean processes.
"""

from __future__ import annotations

import os

from orlop.runtime.init import sequence, stubs
from orlop.runtime.linux import cgroups, namespaces, syscalls
from orlop.runtime.linux.channel import Channel, pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orlop.runtime.spec import SpecJson

CANNOT_START = sequence.CANNOT_START


class Stdio:
    """The descriptors that become 0, 1 and 2 of the program; they stay open in the caller."""

    __slots__ = ("stderr", "stdin", "stdout")

    def __init__(self, stdin: int, stdout: int, stderr: int) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr


class Started:
    """What the conversation with the first process gave: its pid, why it failed (None: it runs), what to clean up."""

    __slots__ = ("failure", "pid", "stubs")

    def __init__(self) -> None:
        self.failure: dict[str, Any] | None = None
        self.pid: int | None = None
        self.stubs: dict[str, Any] = {}


def prepare() -> None:
    """Once in a process that will fork launchers: real root limits the devices of everything it starts from now on."""
    if not namespaces.in_user_namespace():
        cgroups.limit_devices()


def launch(
    spec: SpecJson,
    stdio: Stdio | None,
    *,
    attach_network: Callable[[int], dict[str, Any] | None] | None = None,
    on_terminal: Callable[[int], None] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Run a container in the foreground; it dies with the caller. Returns the JSON form of `spec.ExitStatus`.

    `attach_network(pid)` is called while the first process waits, its network namespace ready; it may return
    `{"files": {target: text}}` to replace inline files such as /etc/resolv.conf. `on_terminal(master)` owns the
    descriptor; it is called when `stdio` is None. `on_start(pid)` is called once the program runs. Mount points that
    had to be made are gone from the upper directory afterwards. A container that cannot start is no exception: the
    status carries `error`, with code 125, 126 or 127.
    """
    ours, theirs = pair()
    pid = fork_init(spec, stdio, ours, theirs, die_with_me=True)
    theirs.close()
    try:
        started = converse(ours, pid, attach_network=attach_network, on_terminal=on_terminal)
        if started.failure is None and on_start is not None:
            on_start(pid)
    except BaseException:
        _kill(pid)
        raise
    finally:
        ours.close()
    status = exit_json(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), started.failure)
    upper = spec["rootfs"]["upper"]
    if upper is not None:
        stubs.remove(upper, started.stubs)
    return status


def fork_init(spec: SpecJson, stdio: Stdio | None, ours: Channel, theirs: Channel, *, die_with_me: bool) -> int:
    """Fork the first process of a new pid namespace; all further children of the caller would be born there too."""
    syscalls.unshare(syscalls.CLONE_NEWPID)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        streams = None if stdio is None else (stdio.stdin, stdio.stdout, stdio.stderr)
        sequence.run(spec, streams, theirs, die_with=parent if die_with_me else None)
    return pid


def converse(
    channel: Channel,
    pid: int | None = None,
    *,
    attach_network: Callable[[int], dict[str, Any] | None] | None = None,
    on_terminal: Callable[[int], None] | None = None,
) -> Started:
    """Answer the first process until its program runs or has failed; see `launch` for the callbacks.

    Without `pid` a message {"init": pid} on the same channel tells it.
    """
    started = Started()
    started.pid = pid
    waiting = False
    while True:
        received = channel.receive()
        if received is None:
            return started
        message, fds = received
        if "terminal" in message and on_terminal is not None:
            on_terminal(fds[0])
        elif "stubs" in message:
            started.stubs = message["stubs"]
        elif "failed" in message:
            started.failure = message
        elif "init" in message:
            started.pid = message["init"]
        waiting = waiting or "namespaces" in message
        if waiting and started.pid is not None:
            waiting = False
            answer = attach_network(started.pid) if attach_network is not None else None
            try:
                channel.send({"go": True, **(answer or {})})
            except BrokenPipeError:
                continue  # it failed meanwhile; why is the next message


def exit_json(code: int, failure: dict[str, Any] | None) -> dict[str, Any]:
    """The JSON form of an exit status, of a code as `os.waitstatus_to_exitcode` gives it."""
    signal = -code if code < 0 else None
    status: dict[str, Any] = {"code": 128 - code if code < 0 else code, "signal": signal, "oom": False, "error": None}
    if failure is not None:
        status.update(code=failure["code"], signal=None, error=failure["failed"])
        status["hint"] = failure["hint"]
    return status


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    except OSError:
        return
