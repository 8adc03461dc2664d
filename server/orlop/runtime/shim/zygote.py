"""A small process that has everything loaded and forks shims and exec helpers, which do not depend on it afterwards."""

from __future__ import annotations

import gc
import os
import select

from orlop.runtime import launch
from orlop.runtime.linux import syscalls
from orlop.runtime.linux.channel import Channel
from orlop.runtime.network import membership
from orlop.runtime.shim import holding, joining
from orlop.runtime.shim import main as shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AT_AN_END = 3


def main(_params: dict[str, Any], fds: list[int]) -> int:
    """Serve requests from the channel `fds[0]` until it ends.

    {"start": …} with descriptors [reply, client?, listeners…] forks a shim, {"exec": …} with [reply, stdin, stdout,
    stderr] or [reply] for a terminal forks an exec helper, {"hold": …} with [reply] a holder; see `shim.main`,
    `shim.joining` and `shim.holding`. {"network": …} with [reply] is a task of `network.membership.run`.
    """
    control = Channel(fds[0])
    launch.prepare()
    gc.collect()
    gc.freeze()
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    while poll.poll() and _fork_away(control):
        pass
    return 0


def _fork_away(control: Channel) -> bool:
    """Fork twice, so that the process belongs to nobody and survives the end of whoever asked.

    False when nobody asks any more. Only the child reads the message: what every later child inherits must hold no
    variables of other containers.
    """
    child = os.fork()
    if child != 0:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != _AT_AN_END
    try:
        received = control.receive()
        if received is None:
            os._exit(_AT_AN_END)
        message, passed = received
        os.setsid()
        if os.fork() == 0:
            control.close()
            os.chdir("/")
            _serve(message, passed)
    finally:
        os._exit(0)


def _serve(message: dict[str, Any], passed: list[int]) -> None:
    reply = Channel(passed[0])
    try:
        if "start" in message:
            syscalls.set_process_name("orlop-shim")
            client = passed[1] if message["start"]["client"] else None
            shim.run(message["start"], reply, client, passed[1 if client is None else 2 :])
        elif "network" in message:
            syscalls.set_process_name("orlop-network")
            reply.send(membership.run(message["network"]))
        elif "hold" in message:
            syscalls.set_process_name("orlop-hold")
            holding.run(message["hold"], reply)
        else:
            syscalls.set_process_name("orlop-exec")
            streams = (passed[1], passed[2], passed[3]) if len(passed) > 3 else None
            joining.run(message["exec"], reply, streams)
    except Exception as error:  # noqa: BLE001 - the last one who can tell
        text = f"cannot serve the container: {type(error).__name__}: {error}"
        reply.send({"failed": text, "exit": 125, "error": text, "code": 125, "kind": "error", "hint": None})
