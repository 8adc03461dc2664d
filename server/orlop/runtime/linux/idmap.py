"""Entering a user namespace and giving it its ids: by newuidmap and newgidmap, or one id alone.

The ids are JSON (`userns.IdMapping.to_json`): {"kind": "identity"|"ranges"|"single", "uids": [[inside, outside,
count]…], "gids": […], "tools": [newuidmap, newgidmap]}.
"""

from __future__ import annotations

import errno
import os

from orlop.core import errors
from orlop.runtime.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def enter(mapping: dict[str, Any]) -> None:
    """Become root of a new user namespace with these ids; does nothing for `identity`.

    The caller has one thread. Raises `Unavailable` with the fix when the kernel or the helpers refuse.
    """
    kind = mapping["kind"]
    if kind == "identity":
        return
    uid, gid = os.geteuid(), os.getegid()
    if kind == "single":
        _unshare_user()
        _write_own("setgroups", "deny")
        _write_own("uid_map", f"0 {uid} 1")
        _write_own("gid_map", f"0 {gid} 1")
    else:
        _enter_with_helpers(mapping)
    os.setresgid(0, 0, 0)
    if kind != "single":
        os.setgroups([])
    os.setresuid(0, 0, 0)


def _enter_with_helpers(mapping: dict[str, Any]) -> None:
    """A child stays outside and runs the helpers for us: only from there they may map ids into our namespace."""
    target = os.getpid()
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(ready_write)
        os.close(done_read)
        message = "helper did not start"
        try:
            message = _map_when_ready(ready_read, target, mapping)
        except OSError as error:
            message = f"{mapping['tools'][0]}: {error.strerror}"
        finally:
            os.write(done_write, message.encode()[:4000])
            os._exit(0)
    os.close(ready_read)
    os.close(done_write)
    try:
        _unshare_user()
        os.write(ready_write, b"1")
        os.close(ready_write)
        ready_write = -1
        message = _read_all(done_read).decode("utf-8", "replace").strip()
    finally:
        if ready_write >= 0:
            os.close(ready_write)
        os.close(done_read)
        os.waitpid(helper, 0)
    if message:
        raise errors.Unavailable(
            f"cannot map the ids of the user namespace: {message}",
            hint="Check that /etc/subuid and /etc/subgid give this user a range of 65536 ids,"
            " and that newuidmap and newgidmap are set-uid root.",
        )


def _map_when_ready(ready: int, target: int, mapping: dict[str, Any]) -> str:
    """Run both helpers at once; returns what they complain about."""
    if os.read(ready, 1) != b"1":
        return ""
    error_read, error_write = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, error_write, 1), (os.POSIX_SPAWN_DUP2, error_write, 2)]
    pids = []
    for tool, rows in zip(mapping["tools"], (mapping["uids"], mapping["gids"]), strict=True):
        arguments = [tool, str(target), *(str(number) for row in rows for number in row)]
        pids.append(os.posix_spawn(tool, arguments, {"PATH": "/usr/bin:/bin"}, file_actions=actions))
    os.close(error_write)
    complaint = _read_all(error_read).decode("utf-8", "replace").strip()
    failed = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if not any(failed):
        return ""
    return complaint or f"{mapping['tools'][0]} ended with exit code {failed[0] or failed[1]}"


def _unshare_user() -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        raise refused(error) from error


def _write_own(name: str, text: str) -> None:
    try:
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        if name == "setgroups" and error.errno == errno.ENOENT:
            return
        raise refused(error) from error


def refused(error: OSError) -> errors.Unavailable:
    """Why this host does not let an ordinary user make a user namespace, with the exact fix."""
    reason = (error.strerror or str(error)).lower()
    message = f"cannot create a user namespace: {reason}"
    if error.errno == errno.ENOSPC:
        hint = "Raise the limit: `sudo sysctl -w user.max_user_namespaces=15000`."
    elif error.errno == errno.EUSERS:
        hint = "Start orlop outside of so many nested containers."
    elif error.errno == errno.EINVAL:
        hint = "Use a kernel that was built with CONFIG_USER_NS."
    elif _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" and error.errno in (errno.EACCES, errno.EPERM):
        message += " (AppArmor restricts unprivileged user namespaces)"
        hint = (
            "Allow them: `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`,"
            " or give orlop's interpreter an AppArmor profile with `userns,`."
        )
    elif _sysctl("kernel/unprivileged_userns_clone") == "0":
        hint = "Allow them: `sudo sysctl -w kernel.unprivileged_userns_clone=1`."
    elif _sysctl("user/max_user_namespaces") == "0":
        hint = "Allow them: `sudo sysctl -w user.max_user_namespaces=15000`."
    elif _filtered():
        message += " (a seccomp filter is active: this looks like the inside of a container)"
        hint = (
            "Start the outer container with `--security-opt seccomp=unconfined --cap-add SYS_ADMIN`, or `--privileged`."
        )
    else:
        hint = "Leave the chroot, or the sandbox, that orlop was started in."
    return errors.Unavailable(message, hint=hint)


def _sysctl(name: str) -> str | None:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _filtered() -> bool:
    try:
        with open("/proc/self/status", "rb") as file:
            return b"\nSeccomp:\t2" in file.read()
    except OSError:
        return False


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    return b"".join(parts)
