"""Which namespaces the caller is in, and joining those of another process."""

from __future__ import annotations

import os

from orlop.runtime.linux import syscalls

# All that a container may have of its own, in the order the kernel wants a joiner to take them.
_KINDS = (
    ("user", syscalls.CLONE_NEWUSER),
    ("mnt", syscalls.CLONE_NEWNS),
    ("pid", syscalls.CLONE_NEWPID),
    ("net", syscalls.CLONE_NEWNET),
    ("ipc", syscalls.CLONE_NEWIPC),
    ("uts", syscalls.CLONE_NEWUTS),
    ("cgroup", syscalls.CLONE_NEWCGROUP),
)


def in_user_namespace(pid: int | None = None) -> bool:
    """Whether ids are mapped, so that `trusted.*` attributes, device nodes and foreign ids are out of reach.

    True for an ordinary user's namespace and for root of an unprivileged container alike. Of the caller, or of `pid`
    in the caller's own /proc.
    """
    rows = _uid_map(pid)
    return os.geteuid() != 0 if rows is None else rows != [[b"0", b"0", b"4294967295"]]


def single_id(pid: int | None = None) -> bool:
    """Whether only one id is mapped, so that `chown` and `setgroups` fail for all others; `pid` as above."""
    rows = _uid_map(pid)
    return rows is not None and sum(int(row[2]) for row in rows) == 1


def join(pid: int) -> None:
    """Enter every namespace in which `pid` differs from the caller; children are born in its pid namespace.

    The caller has one thread. Raises `ProcessLookupError` when it is gone, `PermissionError` when it is not ours.
    """
    flags = 0
    for name, flag in _KINDS:
        if _identity(f"/proc/{pid}/ns/{name}") != _identity(f"/proc/self/ns/{name}"):
            flags |= flag
    pidfd = os.pidfd_open(pid)
    try:
        syscalls.setns(pidfd, flags)
    finally:
        os.close(pidfd)


def _uid_map(pid: int | None) -> list[list[bytes]] | None:
    """What the kernel tells; None when there is something else in its place, as whoever mounts inside could put."""
    try:
        with open(f"/proc/{pid or 'self'}/uid_map", "rb") as file:
            if syscalls.filesystem_magic(file.fileno()) != syscalls.PROC_SUPER_MAGIC:
                return None
            return [line.split() for line in file.read().splitlines()]
    except OSError:
        return None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
