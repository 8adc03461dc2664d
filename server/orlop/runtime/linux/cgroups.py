"""Control groups: which devices containers of real root may open, and limits of single containers where possible.

Nothing here is needed to run: without a writable hierarchy containers run without limits, and say which.
"""

from __future__ import annotations

import errno
import os
import time

from orlop.runtime.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orlop.runtime.spec import LimitsJson

ROOT = "/sys/fs/cgroup"
_NAME = "orlop"
# What Docker lets a container open; nodes of any device may be made (moby, oci/defaults.go; runc adds terminals).
_ALLOWED_DEVICES = (
    *("c *:* m", "b *:* m"),
    *("c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm"),
    *("c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"),
)


def limit_devices() -> bool:
    """Put this process, hence all its children, under the device list of containers; tells whether that worked.

    For real root on cgroup v1, once per process that launches containers (joining takes some 10 ms).
    """
    parent = _own_directory("devices")
    if parent is None:
        return False
    directory = parent if os.path.basename(parent) == _NAME else f"{parent}/{_NAME}"
    try:
        os.makedirs(directory, exist_ok=True)
        if read(f"{directory}/devices.list").strip() == "a *:* rwm":
            write(f"{directory}/devices.deny", "a")
            for rule in _ALLOWED_DEVICES:
                write(f"{directory}/devices.allow", rule)
        if directory != parent:
            write(f"{directory}/cgroup.procs", str(os.getpid()))
    except OSError:
        return False
    return True


def devices_limited() -> bool:
    """Whether a device list applies to this process, so that device nodes made inside a container stay harmless."""
    directory = _own_directory("devices")
    if directory is None:
        return False
    try:
        return read(f"{directory}/devices.list").strip() not in ("a *:* rwm", "")
    except OSError:
        return False


class Group:
    """The control groups of one container, by path; JSON-able through `paths`."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths

    def join(self, pid: int) -> None:
        """Move a process in, before it starts children; raises `OSError`."""
        for path in self.paths.values():
            write(f"{path}/cgroup.procs", str(pid))

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something here for want of memory."""
        path = self.paths.get("memory")
        if path is None:
            return False
        for name in ("memory.events", "memory.oom_control"):
            try:
                rows = dict(line.split(" ", 1) for line in read(f"{path}/{name}").splitlines())
            except (OSError, ValueError):
                continue
            if rows.get("oom_kill", "0") != "0":
                return True
        return False


def remove(paths: Iterable[str], seconds: float = 0.0) -> bool:
    """Remove groups, waiting that long for processes on their way out of them; tells whether all are gone."""
    deadline = time.monotonic() + seconds
    left = set(paths)
    while True:
        for path in tuple(left):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                left.discard(path)
            except OSError:
                continue
            else:
                left.discard(path)
        if not left or time.monotonic() > deadline:
            return not left
        time.sleep(0.005)


# Every limit in the order of setting: memory before swap, which cannot be less.
KEYS = ("memory", "memory_swap", "memory_reservation", "pids", "cpus", "cpu_shares", "cpuset_cpus")


def controller_of(key: str) -> str:
    """The controller that enforces a limit."""
    return {"pids": "pids", "cpus": "cpu", "cpu_shares": "cpu", "cpuset_cpus": "cpuset"}.get(key, "memory")


def create(
    name: str, limits: LimitsJson, note: Callable[[list[str]], None] | None = None
) -> tuple[Group | None, list[str]]:
    """Groups that enforce the limits, and the names of those limits that this host cannot enforce.

    `note` hears where they will be before any is made.
    """
    wanted = [key for key in KEYS if limits.get(key) is not None]
    if not wanted:
        return None, []
    if note is not None:
        places = {place(controller_of(key), name) for key in wanted}
        note(sorted(path for path in places if path is not None))
    paths: dict[str, str] = {}
    ignored = []
    for key in wanted:
        try:
            path = _make(controller_of(key), name)
        except OSError:
            ignored.append(key)
            continue
        try:
            for file, value in _values(key, limits, path, unified=unified()):
                write(f"{path}/{file}", value)
            paths[controller_of(key)] = path
        except OSError:
            ignored.append(key)
            if path not in paths.values():
                remove((path,))
    return (Group(paths) if paths else None), ignored


def extend(paths: dict[str, str], name: str, keys: list[str]) -> dict[str, str]:
    """The groups of a container with those that `keys` need besides, empty as yet; raises `OSError`."""
    found = dict(paths)
    for key in keys:
        found.setdefault(controller_of(key), _make(controller_of(key), name))
    return found


def change(paths: dict[str, str], limits: LimitsJson, keys: list[str]) -> None:
    """Set these limits anew, None for no limit; raises `OSError`, whose second argument may name what the matter is."""
    files = [
        (f"{path}/{file}", value)
        for key in keys
        for path in (paths[controller_of(key)],)
        for file, value in _values(key, limits, path, unified=unified())
    ]
    try:
        _write_all(files)
    except OSError as error:
        if error.errno != errno.EINVAL or len(files) == 1:
            raise
        # Memory and swap that both grow have to be set the other way round.
        _write_all(files[::-1])


def _write_all(files: list[tuple[str, str]]) -> None:
    for file, value in files:
        write(file, value)


def place(controller: str, name: str) -> str | None:
    """Where a group of that name is or would be made in the hierarchy of `controller`; None for nowhere."""
    parent = _own_directory(controller)
    return None if parent is None else f"{parent}/{_NAME}/{name}"


def make(controller: str, name: str) -> str:
    """A group without limits in the hierarchy of `controller` (`cgroup` for v2's own); raises `OSError`."""
    path = place(controller, name)
    if path is None:
        raise FileNotFoundError
    os.makedirs(path, exist_ok=True)
    return path


def _values(key: str, limits: LimitsJson, path: str, *, unified: bool) -> list[tuple[str, str]]:
    """Files of a group and what to write into them (cgroup-v1 and cgroup-v2 in the kernel's documentation)."""
    value = limits.get(key)
    if key == "pids":
        return [("pids.max", "max" if value is None else str(value))]
    if key == "cpuset_cpus":
        return [("cpuset.cpus", str(value) if value else "\n" if unified else _above(path, "cpuset.cpus"))]
    if key == "cpu_shares":
        shares = 1024 if value is None else int(str(value))
        # As runc turns one into the other (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value).
        return (
            [("cpu.weight", str(1 + max(0, shares - 2) * 9999 // 262142))] if unified else [("cpu.shares", str(shares))]
        )
    if key == "cpus":
        quota = int((limits["cpus"] or 0) * 100000)
        if unified:
            return [("cpu.max", f"{quota or 'max'} 100000")]
        return [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", str(quota or -1))]
    none = "max" if unified else "-1"
    if key == "memory_swap" and unified:
        swap = limits.get("memory_swap")
        return [("memory.swap.max", none if swap in (None, -1) else str((swap or 0) - (limits["memory"] or 0)))]
    if key == "memory_reservation" and unified:
        return [("memory.low", str(value or 0))]
    file = {
        "memory": "memory.max" if unified else "memory.limit_in_bytes",
        "memory_swap": "memory.memsw.limit_in_bytes",
    }
    return [(file.get(key, "memory.soft_limit_in_bytes"), none if value is None else str(value))]


def _above(path: str, file: str) -> str:
    return read(f"{os.path.dirname(path)}/{file}").strip()


def _make(controller: str, name: str) -> str:
    parent = _own_directory(controller)
    if parent is None:
        raise FileNotFoundError
    if not unified():
        path = f"{parent}/{_NAME}/{name}"
    else:
        if controller not in read(f"{parent}/cgroup.controllers").split():
            raise FileNotFoundError
        path = f"{parent}/{_NAME}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for directory in (parent, os.path.dirname(path)):
            write(f"{directory}/cgroup.subtree_control", f"+{controller}")
    os.makedirs(path, exist_ok=True)
    if controller == "cpuset" and not unified():
        # A new group has none of either, and takes no process before it has.
        for directory in (os.path.dirname(path), path):
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not read(f"{directory}/{file}").strip():
                    write(f"{directory}/{file}", _above(directory, file))
    return path


def unified() -> bool:
    """Whether the host has cgroup v2 alone."""
    try:
        fd = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return syscalls.filesystem_magic(fd) == syscalls.CGROUP2_SUPER_MAGIC
    finally:
        os.close(fd)


def _own_directory(controller: str) -> str | None:
    """Where this process is in a controller's hierarchy; None when there is none, or nothing may be made there."""
    single = unified()
    try:
        rows = [line.split(":", 2) for line in read("/proc/self/cgroup").splitlines()]
    except OSError:
        return None
    for number, names, path in rows:
        if (single and number == "0") or (not single and controller in names.split(",")):
            mount = ROOT if single else f"{ROOT}/{controller}"
            # In a container the path is the host's while the mount shows only our part of the hierarchy.
            directory = f"{mount}{path}".rstrip("/")
            directory = directory if os.path.isdir(directory) else mount
            return directory if os.access(directory, os.W_OK) else None
    return None


def read(path: str) -> str:
    """The text of a small kernel file."""
    with open(path, encoding="ascii") as file:
        return file.read()


def write(path: str, text: str) -> None:
    """Write a small kernel file in one call, for each call is a command."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
