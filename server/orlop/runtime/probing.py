"""Trying out what containers need, in a lean process that is root of the user namespace; one answer per capability."""

from __future__ import annotations

import os
import stat

from orlop.core import errors
from orlop.runtime.init import confine
from orlop.runtime.linux import capabilities, cgroups, mounts, namespaces, seccomp, syscalls
from orlop.runtime.linux.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main(params: dict[str, Any], fds: list[int]) -> int:
    """Send {"name", "ok", "detail", "fix"} per check on the channel `fds[0]`; `params["store"]` is a directory."""
    channel = Channel(fds[0])
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
    if not _tell(channel, "namespaces", lambda: _unshare(flags | syscalls.CLONE_NEWNET)):
        return 0
    child = os.fork()  # the first process of the pid namespace, which a fresh /proc wants
    if child == 0:
        for name, check in (
            ("kernel", _kernel),
            ("layers", lambda: _layers(params["store"])),
            ("proc", _proc),
            ("seccomp", _seccomp),
            ("limits", _limits),
        ):
            _tell(channel, name, check)
        os._exit(0)
    os.waitpid(child, 0)
    return 0


class _Wanting(Exception):
    """It works, but not fully; the second argument is the fix."""


def _tell(channel: Channel, name: str, check: Callable[[], str]) -> bool:
    answer: dict[str, Any] = {"name": name, "ok": False, "fix": None}
    try:
        answer.update(ok=True, detail=check())
    except _Wanting as error:
        answer.update(detail=error.args[0], fix=error.args[1])
    except errors.OrlopError as error:
        answer.update(detail=error.message, fix=error.hint)
    except OSError as error:
        answer["detail"] = (error.strerror or str(error)).lower()
    channel.send(answer)
    return bool(answer["ok"])


def _unshare(flags: int) -> str:
    try:
        syscalls.unshare(flags)
    except PermissionError:
        raise errors.Unavailable(
            "this process may not make mount, pid and network namespaces",
            hint="In a container, start it with `--privileged`, or with `--cap-add SYS_ADMIN"
            " --security-opt seccomp=unconfined --security-opt apparmor=unconfined`.",
        ) from None
    mounts.make_private()
    return "mount, pid, ipc, uts and network namespaces can be made"


def _kernel() -> str:
    """The newest calls that launching uses; mount_setattr came last of them (5.12)."""
    release = os.uname().release
    try:
        fd = syscalls.new_mount("tmpfs", (("size", "4k"),))
        syscalls.mount_setattr(fd, set_=syscalls.MOUNT_ATTR_RDONLY)
        os.close(fd)
        os.close(syscalls.openat2(syscalls.AT_FDCWD, "/", os.O_PATH, resolve=syscalls.RESOLVE_IN_ROOT))
    except OSError as error:
        raise errors.Unavailable(
            f"Linux {release} lacks or forbids a call: {(error.strerror or '').lower()}",
            hint="Use Linux 5.12 or later, or an outer container without a system call filter.",
        ) from error
    return f"Linux {release}"


def _layers(store: str) -> str:
    """An overlay in the store that deletes and replaces, and keeps the marks of that."""
    base = f"{store}/.probe-{os.getpid()}-{os.urandom(4).hex()}"
    names = ("lower", "lower/gone", "lower/replaced", "upper", "work")
    try:
        for name in ("", *names):
            os.mkdir(f"{base}/{name}")
        upper = f"{base}/upper"
        mounts.mount_overlay(upper, (f"{base}/lower",), upper, f"{base}/work")
        try:
            os.rmdir(f"{upper}/gone")
            os.rmdir(f"{upper}/replaced")
            os.mkdir(f"{upper}/replaced")
        finally:
            syscalls.umount(upper, syscalls.MNT_DETACH)
        prefix = "user" if namespaces.in_user_namespace() else "trusted"
        if not stat.S_ISCHR(os.lstat(f"{upper}/gone").st_mode):
            raise errors.Unavailable(
                f"deletions leave no mark in {store}", hint="Keep the store on ext4, xfs or btrfs."
            )
        if os.getxattr(f"{upper}/replaced", f"{prefix}.overlay.opaque") != b"y":
            raise errors.Unavailable(f"extended attributes are lost in {store}", hint="Keep the store on ext4 or xfs.")
    finally:
        _remove(base)
    return f"layers can be mounted on top of each other in {store}"


def _proc() -> str:
    try:
        os.close(syscalls.new_mount("proc", ()))
    except PermissionError:
        raise _Wanting(
            "a fresh /proc is refused, so containers see the processes of this one",
            "Start the outer container with `--privileged`, or with `--security-opt systempaths=unconfined`.",
        ) from None
    return "containers get a /proc of their own"


def _seccomp() -> str:
    """Put a child under the filter and see a forbidden call refused."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            confine.set_limits([])
            seccomp.install(seccomp.compile(capabilities.DEFAULT, os.uname().machine))
            code = 1
            syscalls.unshare(syscalls.CLONE_NEWUSER)
        except PermissionError:
            code = 0 if code == 1 else 3
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise errors.Unavailable(
            "system calls of containers cannot be filtered",
            hint="Use a kernel with CONFIG_SECCOMP_FILTER, or turn the filter off for a container.",
        )
    return "system calls of containers are filtered"


def _limits() -> str:
    group, ignored = cgroups.create(f"probe-{os.getpid()}", {"memory": 64 << 20, "pids": 64, "cpus": 1.0})
    if group is not None:
        cgroups.remove(group.paths.values())
    if ignored:
        raise _Wanting(
            f"containers run without limits of {', '.join(ignored)}",
            "Run as root, or in a control group that is delegated to this user.",
        )
    return "memory, processes and CPUs of a container can be limited"


def _remove(path: str) -> None:
    for directory, names, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(f"{directory}/{name}")
        for name in names:
            os.rmdir(f"{directory}/{name}")
    if os.path.isdir(path):
        os.rmdir(path)
