"""Pausing containers: until somebody lets them go on, or only while this process has work to do on a still one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orlop.core import errors
from orlop.runtime import container
from orlop.runtime.container import Container
from orlop.runtime.linux import freezer
from orlop.runtime.shim import state
from orlop.runtime.shims import Shims


def pause(found: Container) -> None:
    """Hold a running container still; raises `Conflict` when it is paused already or has ended.

    The caller holds its lock.
    """
    if found.status == "paused":
        raise errors.Conflict(f"the container {found.name} is already paused")
    last = _running(found)

    def note(record: dict[str, Any]) -> None:
        state.write(f"{found.bundle}/{state.PAUSED}", {**record, "run": last["init"]})

    try:
        note(freezer.freeze(found.id, last["init"]["pid"], last["cgroups"], note))
    except BaseException as error:
        thaw(found.bundle)
        if isinstance(error, OSError):
            raise errors.from_os(error, f"pause {found.name}") from error
        raise


def unpause(found: Container) -> None:
    """Let a paused container go on; raises `Conflict` when it is not paused. The caller holds its lock."""
    if not thaw(found.bundle):
        raise errors.Conflict(f"the container {found.name} is not paused")


def thaw(bundle: Path, name: str = state.PAUSED) -> bool:
    """Let a container go on if it is paused, or by the record of that name; tells whether it was."""
    record = state.read(f"{bundle}/{name}")
    if record is None:
        return False
    # Once the container has ended, its pids may be those of others, but its group is still there.
    freezer.thaw(record if state.alive(record["run"]) else {**record, "stopped": []})
    with contextlib.suppress(FileNotFoundError):
        (bundle / name).unlink()
    return True


def settle(bundle: Path) -> None:
    """Let a container go on whose holder was killed, for it was to be still for only a moment.

    One that ended while it was paused gives its group back.
    """
    held = state.read(f"{bundle}/{state.HELD}")
    if held is not None and not state.works(held["holder"]):
        thaw(bundle, state.HELD)
    paused = state.read(f"{bundle}/{state.PAUSED}")
    if paused is not None and not state.alive(paused["run"]):
        thaw(bundle)


@contextlib.contextmanager
def held(found: Container, shims: Shims) -> Iterator[None]:
    """Keep a running container still meanwhile; it goes on even when this process is killed.

    Nothing happens to one that does not run or is paused. The caller holds its lock.
    """
    if found.status != "running":
        yield
        return
    settle(found.bundle)
    last = _running(found)
    request = {"bundle": str(found.bundle), "id": found.id, "init": last["init"], "cgroups": last["cgroups"]}
    channel = shims.request({"hold": request})
    with contextlib.closing(channel):
        received = channel.receive()
        if received is None or "failed" in received[0]:
            if container.identity(found.bundle) is None:
                yield  # it has ended by itself: nothing stirs any more
                return
            reason = received[0]["failed"] if received is not None else "its helper was killed"
            raise errors.Unavailable(
                f"cannot pause {found.name}: {reason}", hint="Stop it first, or go on without pausing it."
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                channel.send({"done": True})
                channel.receive()  # it goes on before the caller does
            settle(found.bundle)


def _running(found: Container) -> dict[str, Any]:
    last = state.read(f"{found.bundle}/{state.STATE}")
    if last is None or container.identity(found.bundle) is None:
        raise errors.Conflict(
            f"the container {found.name} is not running", hint=f"Start it with `orlop start {found.name}`."
        )
    return last
