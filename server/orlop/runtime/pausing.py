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
    record = freezer.freeze(found.id, last["init"]["pid"], last["cgroups"])
    try:
        state.write(f"{found.bundle}/{state.PAUSED}", {**record, "run": last["init"]})
    except OSError as error:
        freezer.thaw(record)
        raise errors.from_os(error, f"pause {found.name}") from error


def unpause(found: Container) -> None:
    """Let a paused container go on; raises `Conflict` when it is not paused. The caller holds its lock."""
    if not thaw(found.bundle):
        raise errors.Conflict(f"the container {found.name} is not paused")


def thaw(bundle: Path) -> bool:
    """Let a container go on if it is paused; tells whether it was."""
    record = state.read(f"{bundle}/{state.PAUSED}")
    if record is None:
        return False
    if state.alive(record["run"]):
        freezer.thaw(record)
    with contextlib.suppress(FileNotFoundError):
        (bundle / state.PAUSED).unlink()
    return True


@contextlib.contextmanager
def held(found: Container, shims: Shims) -> Iterator[None]:
    """Keep a running container still meanwhile; it goes on even when this process is killed.

    Nothing happens to one that does not run or is paused. The caller holds its lock.
    """
    if found.status != "running":
        yield
        return
    last = _running(found)
    request = {"id": found.id, "init": last["init"], "cgroups": last["cgroups"]}
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


def _running(found: Container) -> dict[str, Any]:
    last = state.read(f"{found.bundle}/{state.STATE}")
    if last is None or container.identity(found.bundle) is None:
        raise errors.Conflict(
            f"the container {found.name} is not running", hint=f"Start it with `orlop start {found.name}`."
        )
    return last
