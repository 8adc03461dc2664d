"""Holding a container's processes still: by the cgroup freezer, or by SIGSTOP where no control group can be made.

Kernel, Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst, "cgroup.freeze".
"""

from __future__ import annotations

import os
import time
from _signal import SIGCONT, SIGSTOP

from orlop.core import errors
from orlop.runtime.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Note = Callable[[dict[str, Any]], None]

_PATIENCE, _PAUSE = 10.0, 0.002
_STOPPED = b"TtXZ"


def freeze(name: str, init: int, groups: dict[str, str], note: Note) -> dict[str, Any]:
    """Hold every process of the pid namespace of `init`; returns the record that `thaw` needs, as JSON.

    `name` names the group, `groups` are the control groups that the container has by controller. `note` keeps the
    record as it is before each thing that it tells of, for whoever is killed half-way leaves nothing still. Raises
    `Unavailable` when a process does not come to rest, with everything running again.
    """
    record: dict[str, Any] = {"init": init, "group": None, "made": None, "stopped": []}
    try:
        _by_group(name, init, groups, record, note)
    except OSError:
        thaw(record)
        record.update(group=None, made=None)
        _by_signal(init, record, note)
    return record


def thaw(record: dict[str, Any]) -> None:
    """Let the processes go on. Nothing happens for those that are gone."""
    group, made = record["group"], record["made"]
    if group is not None:
        _set(group, frozen=False)
    for pid in reversed(record["stopped"]):
        _kill(pid, SIGCONT)
    if made is not None:
        _leave(made)


def members(init: int) -> list[int]:
    """The processes of a pid namespace, oldest first, seen from outside of it."""
    try:
        own = _namespace(str(init))
    except OSError:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if _namespace(entry) == own:
                    found.append((_fields(entry)[1], int(entry)))
            except (OSError, ValueError, IndexError):
                continue  # it has just ended
    return [pid for _, pid in sorted(found)]


def _by_group(name: str, init: int, groups: dict[str, str], record: dict[str, Any], note: Note) -> None:
    unified = cgroups.unified()
    if unified and groups:
        record["group"] = next(iter(groups.values()))
        note(record)
    else:
        controller = "cgroup" if unified else "freezer"
        record["group"] = record["made"] = cgroups.place(controller, f"{name}-held")
        note(record)
        cgroups.make(controller, f"{name}-held")
        inside: set[int] = set()
        while new := [pid for pid in members(init) if pid not in inside]:
            for pid in new:
                _move(pid, record["made"])
            inside.update(new)
    _set(record["group"], frozen=True)
    deadline = time.monotonic() + _PATIENCE
    while not _is_frozen(record["group"]):
        if time.monotonic() > deadline:
            thaw(record)
            raise errors.Unavailable("cannot pause the container: a process of it does not come to rest")
        time.sleep(_PAUSE)


def _by_signal(init: int, record: dict[str, Any], note: Note) -> None:
    """Parents first, so that none sees its child stop."""
    stopped: list[int] = record["stopped"]
    deadline = time.monotonic() + _PATIENCE
    while True:
        everybody = members(init)
        for pid in everybody:
            if pid not in stopped and _state(pid) not in _STOPPED:
                stopped.append(pid)
                note(record)
                _kill(pid, SIGSTOP)
        moving = [pid for pid in stopped if _state(pid) not in _STOPPED]
        if not moving and all(pid in stopped or _state(pid) in _STOPPED for pid in members(init)):
            return
        if time.monotonic() > deadline:
            thaw(record)
            raise errors.Unavailable("cannot pause the container: a process of it does not come to rest")
        time.sleep(_PAUSE)


def _set(group: str, *, frozen: bool) -> None:
    unified = os.path.exists(f"{group}/cgroup.freeze")
    name = "cgroup.freeze" if unified else "freezer.state"
    value = ("1" if frozen else "0") if unified else ("FROZEN" if frozen else "THAWED")
    try:
        cgroups.write(f"{group}/{name}", value)
    except FileNotFoundError:
        if frozen:
            raise


def _is_frozen(group: str) -> bool:
    if os.path.exists(f"{group}/cgroup.freeze"):
        return "frozen 1" in cgroups.read(f"{group}/cgroup.events")
    if cgroups.read(f"{group}/freezer.state").strip() == "FROZEN":
        return True
    cgroups.write(f"{group}/freezer.state", "FROZEN")  # a process that was on its way is taken up by asking again
    return False


def _leave(group: str) -> None:
    """Give the processes back to the group above, and remove this one."""
    try:
        for word in cgroups.read(f"{group}/cgroup.procs").split():
            _move(int(word), os.path.dirname(group))
        for _ in range(50):
            try:
                os.rmdir(group)
            except OSError:
                time.sleep(_PAUSE)
            else:
                return
    except OSError:
        return


def _move(pid: int, group: str) -> None:
    try:
        cgroups.write(f"{group}/cgroup.procs", str(pid))
    except ProcessLookupError:
        return


def _kill(pid: int, signal: int) -> None:
    try:
        os.kill(pid, signal)
    except ProcessLookupError:
        return


def _namespace(pid: str) -> tuple[int, int]:
    status = os.stat(f"/proc/{pid}/ns/pid")
    return status.st_dev, status.st_ino


def _state(pid: int) -> bytes:
    try:
        return _fields(str(pid))[0]
    except (OSError, ValueError, IndexError):
        return b"X"


def _fields(pid: str) -> tuple[bytes, int]:
    """State and start time (proc_pid_stat(5), fields 3 and 22)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0], int(fields[19])
