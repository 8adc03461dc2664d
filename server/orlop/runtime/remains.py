"""What a run of a container holds on this host: written down before it is made, and given back after its end.

The shim gives it back itself. Where it was killed, whoever starts, removes or tidies the container next does that by
the record, `run.json`: "shim" and "init" (identities; the first process is null until it is known), "socket", "pasta"
(pid file of the network helper) and "cgroups" (paths). Mounts and links end with the container's namespaces, helpers
and the proxy with the shim. Only the standard library: the shim uses this.
"""

from __future__ import annotations

import os
import select

from orlop.runtime.init import stubs
from orlop.runtime.linux import cgroups
from orlop.runtime.network import helper
from orlop.runtime.shim import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIGKILL = 9
# How long processes of the container may need for their end before its control groups stay for the next time.
_PATIENCE = 5.0


def note(bundle: str, held: dict[str, Any]) -> None:
    """Write down what is about to be made; raises `OSError`."""
    # After a crash of the machine there is nothing to give back.
    state.write(f"{bundle}/{state.RUN}", held, sync=False)


def give_back(bundle: str, held: dict[str, Any], made: dict[str, Any], *, seconds: float = 0.0) -> None:
    """Take away what is held; `made` are the mount points in the upper directory (`init.stubs`).

    What cannot go within `seconds`, since processes are on their way out of it, stays written down.
    """
    _unlink(held["socket"])
    helper.end(held["pasta"])
    stubs.remove(f"{bundle}/diff", made)
    if cgroups.remove(held["cgroups"], seconds):
        _unlink(f"{bundle}/{state.RUN}")


def clear(bundle: str) -> None:
    """Give back what a killed shim left behind, and end a program that it had not told anybody of.

    Nothing happens while the shim is at work, or the program goes on without it. The caller holds the container's lock.
    """
    held = left(bundle)
    if held is None:
        return
    last = state.read(f"{bundle}/{state.STATE}")
    made = {}
    if last is not None and last["init"] == held["init"]:
        made = last["stubs"]
        held["cgroups"] = sorted({*held["cgroups"], *last["cgroups"].values()})  # `update` may have made some
    end(held["init"])
    give_back(bundle, held, made, seconds=_PATIENCE)


def left(bundle: str) -> dict[str, Any] | None:
    """The record of what `clear` will give back, if there is anything."""
    try:
        held = state.read(f"{bundle}/{state.RUN}")
        last = state.read(f"{bundle}/{state.STATE}")
    except ValueError:  # cut short by a crash of the machine, which ended all that
        return None
    if held is None or state.works(held["shim"]):
        return None
    goes_on = last is not None and last["init"] == held["init"] and state.works(held["init"])
    return None if goes_on else held


def end(process: dict[str, Any] | None) -> None:
    """Kill the process of an identity, if it is there, and wait for its end."""
    if process is None or not state.works(process):
        return
    try:
        pidfd = os.pidfd_open(process["pid"])
    except OSError:
        return
    try:
        if state.works(process):
            os.kill(process["pid"], _SIGKILL)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(_PATIENCE * 1000)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
