"""Holding a container still for as long as somebody is connected: when that end goes away, the container goes on."""

from __future__ import annotations

from orlop.core import errors
from orlop.runtime.linux import freezer
from orlop.runtime.shim import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orlop.runtime.linux.channel import Channel


def run(request: dict[str, Any], reply: Channel) -> None:
    """Freeze, answer {"held": true} or {"failed": text}, wait until the other end is gone or says so, and thaw.

    `request`: "id", "init" (identity of the container's first process), "cgroups".
    """
    if not state.alive(request["init"]):
        reply.send({"failed": "it has ended"})
        return
    try:
        record = freezer.freeze(request["id"], request["init"]["pid"], request["cgroups"])
    except (errors.OrlopError, OSError) as error:
        reply.send({"failed": error.message if isinstance(error, errors.OrlopError) else str(error)})
        return
    try:
        reply.send({"held": True})
        reply.receive()
    finally:
        freezer.thaw(record)
    reply.send({"held": False})
