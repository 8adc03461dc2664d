"""Lean Python processes as root of a user namespace: which ids this user has, and how to start such a process."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from orlop.core import errors
from orlop.runtime.linux import leanjson

SERVER_ROOT = str(Path(__file__).resolve().parents[2])
# Inherited descriptors get the numbers from here on in the new process, in the order they were given.
FIRST_FD = 3
_HIGH_FD = 64
_BOOT = "import sys;sys.path.append({root!r});from orlop.runtime.boot import main;main()"


@attrs.frozen(slots=True)
class IdMapping:
    """The ids of a user namespace: rows of (inside, outside, count) for users and groups.

    `identity` needs no namespace (real root). `single` maps the caller's own id to 0 and nothing else: files cannot
    belong to anybody else and package managers fail; `reason` and `fix` then say why and what to do.
    """

    kind: Literal["identity", "ranges", "single"]
    uids: tuple[tuple[int, int, int], ...]
    gids: tuple[tuple[int, int, int], ...]
    tools: tuple[str, ...] = ()
    reason: str | None = None
    fix: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form `linux.idmap.enter` takes."""
        return {
            "kind": self.kind,
            "uids": [list(row) for row in self.uids],
            "gids": [list(row) for row in self.gids],
            "tools": list(self.tools),
        }


IDENTITY = IdMapping("identity", ((0, 0, 4294967295),), ((0, 0, 4294967295),))


def for_current_user(*, subuid: str = "/etc/subuid", subgid: str = "/etc/subgid") -> IdMapping:
    """What this process may map: everything as root, else its subordinate ranges, else its own id alone."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        return IDENTITY
    tools = (_tool("newuidmap"), _tool("newgidmap"))
    name = _user_name(uid)
    uid_ranges, gid_ranges = _ranges(subuid, name, uid), _ranges(subgid, name, uid)
    if tools[0] and tools[1] and uid_ranges and gid_ranges:
        return IdMapping("ranges", _rows(uid, uid_ranges), _rows(gid, gid_ranges), (tools[0], tools[1]))
    if not (tools[0] and tools[1]):
        reason, fix = "newuidmap or newgidmap is not installed", "Install it: `sudo apt-get install uidmap`."
    else:
        reason = f"{subuid if not uid_ranges else subgid} has no range for {name}"
        fix = f"Give the user a range: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}`."
    return IdMapping("single", ((0, uid, 1),), ((0, gid, 1),), (), reason, fix)


@attrs.frozen(slots=True)
class Interpreter:
    """A sealed copy of this process's Python in memory: `fd` to execute, `argv0` for it to find its library by.

    Containers see it as /proc/self/exe; being sealed, and nobody's file, there is nothing in it to overwrite.
    """

    fd: int
    argv0: str
    environment: Mapping[str, str]

    def close(self) -> None:
        """Free the copy once running processes have ended."""
        os.close(self.fd)


def seal() -> Interpreter:
    """Copy the interpreter's binary into a sealed memfd; takes a few milliseconds, so keep the result."""
    binary = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    with open(binary, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        low = os.memfd_create("python", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            offset = 0
            while offset < size:
                offset += os.sendfile(low, file.fileno(), offset, size - offset)
            os.fchmod(low, 0o500)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(low, fcntl.F_ADD_SEALS, seals)
            fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
        finally:
            os.close(low)
    return Interpreter(fd, binary, _library_path())


def spawn(
    entry: str,
    *,
    mapping: IdMapping | None = None,
    fds: Sequence[int] = (),
    params: Mapping[str, Any] | None = None,
    stdio: tuple[int, int, int] | None = None,
    interpreter: Interpreter | None = None,
) -> int:
    """Start `entry` (`package.module:function`) in a lean single-threaded interpreter and return its pid.

    The function is called as `function(params, fds)`; `fds` arrive as 3, 4, …, nothing else is inherited. With a
    `mapping` it runs as root of that user namespace, and raises `Unavailable` there, told through exit code 125 and
    one JSON line on its standard error. stdin is /dev/null and stdout, stderr are the caller's unless `stdio` says
    otherwise. Other threads may run. Only the standard library and this package are importable.
    """
    own = interpreter or seal()
    document = {"entry": entry, "fds": len(fds), "mapping": mapping.to_json() if mapping else None}
    parked: list[int] = []
    actions: list[tuple[Any, ...]] = []
    try:
        for number, fd in enumerate(fds):
            parked.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD))
            actions.append((os.POSIX_SPAWN_DUP2, parked[-1], FIRST_FD + number))
        if stdio is None:
            actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
        else:
            for number, fd in enumerate(stdio):
                parked.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD))
                actions.append((os.POSIX_SPAWN_DUP2, parked[-1], number))
        arguments = [
            own.argv0, "-I", "-S", "-c", _BOOT.format(root=SERVER_ROOT),
            leanjson.dumps(document), leanjson.dumps(dict(params or {})),
        ]  # fmt: skip
        return os.posix_spawn(f"/proc/self/fd/{own.fd}", arguments, own.environment, file_actions=actions)
    except OSError as error:
        raise errors.from_os(error, "start a helper process") from error
    finally:
        for fd in parked:
            os.close(fd)
        if interpreter is None:
            own.close()


def _rows(own: int, ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int, int], ...]:
    rows = [(0, own, 1)]
    inside = 1
    for start, count in ranges:
        rows.append((inside, start, count))
        inside += count
    return tuple(rows)


def _ranges(path: str, name: str, uid: int) -> list[tuple[int, int]]:
    """The ranges a subid file gives to a user, by name or by number (subuid(5))."""
    found = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                owner, _, rest = line.strip().partition(":")
                start, _, count = rest.partition(":")
                if owner in (name, str(uid)) and start.isdigit() and count.isdigit() and int(count) > 0:
                    found.append((int(start), int(count)))
    except OSError:
        return []
    return found


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - name services may be slow; only ordinary users ask

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _tool(name: str) -> str | None:
    for directory in ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"):
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return None


def _library_path() -> dict[str, str]:
    """Where a shared libpython is, since an executable in memory has no $ORIGIN to look beside."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                path = line.rstrip("\n").partition("/")[2]
                if os.path.basename(path).startswith("libpython"):
                    return environment | {"LD_LIBRARY_PATH": os.path.dirname(f"/{path}")}
    except OSError:
        pass
    return environment
