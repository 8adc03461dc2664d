"""Changing what a container may take, and when it is started again, while it runs or not."""

from __future__ import annotations

import contextlib
import errno

import attrs

from orlop.core import errors
from orlop.runtime.container import Container
from orlop.runtime.linux import cgroups, freezer
from orlop.runtime.shim import state
from orlop.runtime.spec import Limits, Restart


def update(found: Container, limits: Limits, restart: Restart) -> None:
    """Enforce and keep the limits and the policy; nothing is kept when a limit cannot be enforced on a running one.

    The caller holds the container's lock. Raises `Unavailable` where no control group can be made or changed,
    `Conflict` for a policy on a container that goes with its end.
    """
    if restart.name != "no" and found.auto_remove:
        raise errors.Conflict(
            f"cannot update {found.name}: "
            "restart policy cannot be updated because AutoRemove is enabled for the container"
        )
    before = attrs.asdict(found.spec.limits)
    wanted = attrs.asdict(limits)
    changed = [key for key in cgroups.KEYS if before[key] != wanted[key]]
    if found.pid is not None and changed:
        _enforce(found, limits, changed)
    path = f"{found.bundle}/{state.CONFIG}"
    document = state.read(path)
    if document is None:
        raise errors.ContainerNotFound(f"no container {found.name}: it was removed")
    spec = {**document["spec"], "limits": wanted, "restart": attrs.asdict(restart)}
    try:
        state.write(path, {**document, "spec": spec})
    except OSError as error:
        raise errors.from_os(error, f"update {found.name}") from error


def _enforce(found: Container, limits: Limits, changed: list[str]) -> None:
    last = state.read(f"{found.bundle}/{state.STATE}")
    if last is None:
        return
    paths: dict[str, str] = last["cgroups"]
    try:
        groups = cgroups.extend(paths, found.id, changed)
        if groups != paths:
            # On disk before anything is in them: whoever ends the container removes them.
            state.write(f"{found.bundle}/{state.STATE}", {**last, "cgroups": groups}, sync=False)
            new = {name: path for name, path in groups.items() if name not in paths}
            _move(last["init"]["pid"], cgroups.Group(new))
        cgroups.change(groups, attrs.asdict(limits), changed)  # type: ignore[arg-type]
    except OSError as error:
        names = ", ".join(f"--{key.replace('_', '-')}" if key != "pids" else "--pids-limit" for key in changed)
        reason, hint = _reason(error)
        raise errors.Unavailable(
            f"cannot update {found.name}: no control group takes {names}: {reason}", hint=hint
        ) from error


def _reason(error: OSError) -> tuple[str, str]:
    match error.errno:
        case errno.EBUSY:
            return "it uses more than that", "Give it more."
        case errno.EINVAL | errno.ERANGE:
            return (error.strerror or "").lower(), "Choose a value that this host has, and its own control group."
    return (error.strerror or "there is none here").lower(), (
        "Run as root, or in a control group that is delegated to this user;"
        " a container that does not run can be updated anyway."
    )


def _move(init: int, group: cgroups.Group) -> None:
    """Take over all processes; those that they start meanwhile are found by looking again."""
    inside: set[int] = set()
    while new := [pid for pid in freezer.members(init) if pid not in inside]:
        for pid in new:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                group.join(pid)
        inside.update(new)
