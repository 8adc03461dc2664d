"""Holding a container still for as long as somebody is connected: when that end goes away, the container goes on."""

from __future__ import annotations

import os

from orlop.core import errors
from orlop.runtime.linux import freezer
from orlop.runtime.shim import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orlop.runtime.linux.channel import Channel


def run(request: dict[str, Any], reply: Channel) -> None:
    """Freeze, answer {"held": true} or {"failed": text}, wait until the other end is gone or says so, and thaw.

    `request`: "bundle", "id", "init" (identity of the container's first process), "cgroups". The record of what is held
    is `held.json` meanwhile, for this process may be killed as well.
    """
    if not state.alive(request["init"]):
        reply.send({"failed": "it has ended"})
        return
    path = f"{request['bundle']}/{state.HELD}"
    own = {"run": request["init"], "holder": state.identity(os.getpid())}

    def note(record: dict[str, Any]) -> None:
        state.write(path, {**record, **own}, sync=False)

    try:
        record = freezer.freeze(request["id"], request["init"]["pid"], request["cgroups"], note)
    except (errors.OrlopError, OSError) as error:
        reply.send({"failed": error.message if isinstance(error, errors.OrlopError) else str(error)})
        return
    try:
        reply.send({"held": True})
        reply.receive()
    finally:
        freezer.thaw(record)
        if os.path.exists(path):  # unless it was killed, and thawed for that
            os.unlink(path)
    reply.send({"held": False})
