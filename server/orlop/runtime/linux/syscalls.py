"""The system calls that Python lacks, as functions that raise `OSError` like the ones in `os`.

Numbers are those of x86-64 and arm64 (asm/unistd_64.h, asm-generic/unistd.h); since Linux 5.1 both share them.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MACHINE = os.uname().machine
_PIVOT_ROOT = 41 if _MACHINE == "aarch64" else 155
_KEYCTL = 219 if _MACHINE == "aarch64" else 250
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR = 436, 437, 442

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_STRICTATIME = 32, 4096, 16384, 1 << 18, 1 << 24
MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NAME = 15

PROC_SUPER_MAGIC = 0x9FA0
CGROUP2_SUPER_MAGIC = 0x63677270
OVERLAYFS_SUPER_MAGIC = 0x794C7630

_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_CLOSE_RANGE_CLOEXEC = 4
_KEYCTL_JOIN_SESSION_KEYRING = 1

# A binding of the C library, the same for the whole life of the process: a constant, not state.
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def unshare(flags: int) -> None:
    """Move the caller into new namespaces (unshare(2))."""
    _check(_LIBC.unshare(flags))


def setns(fd: int, flags: int) -> None:
    """Join namespaces: `fd` is a namespace file, or a pidfd with several flags (setns(2), Linux 5.8)."""
    _check(_LIBC.setns(fd, flags))


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a file system or change a mount; the paths may be relative."""
    encoded = os.fsencode(data) if data is not None else None
    type_ = kind.encode() if kind is not None else None
    _check(_LIBC.mount(os.fsencode(source), os.fsencode(target), type_, ctypes.c_ulong(flags), encoded), target)


def umount(target: str, flags: int) -> None:
    """Unmount `target`, with the flags of umount2."""
    _check(_LIBC.umount2(os.fsencode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and put the old root at `old`."""
    _call(_PIVOT_ROOT, os.fsencode(new), os.fsencode(old))


def prctl(option: int, value: int) -> None:
    """Set an attribute of the calling process that takes one integer."""
    _check(_LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def set_process_name(name: str) -> None:
    """What `ps -o comm` shows, 15 bytes at most."""
    _LIBC.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def forget_arguments(name: str) -> None:
    """Overwrite what others see in /proc/PID/cmdline and environ: the first with `name`, the second with nothing.

    The C library's `getenv` finds nothing afterwards, `os.environ` is as it was. Needs the host's /proc
    (proc_pid_stat(5), fields 48 to 51).
    """
    with open("/proc/self/stat", "rb") as file:
        start, end, first, last = map(int, file.read().rpartition(b")")[2].split()[45:49])
    if 0 < start < end and 0 < first < last:
        ctypes.memset(start, 0, end - start)
        ctypes.memset(first, 0, last - first)
        text = name.encode()[: end - start - 1]
        ctypes.memmove(start, text, len(text))


def sethostname(name: str) -> None:
    """Name the host of the caller's UTS namespace."""
    raw = name.encode()
    _check(_LIBC.sethostname(raw, ctypes.c_size_t(len(raw))))


def setdomainname(name: str) -> None:
    """Name the NIS domain of the caller's UTS namespace."""
    raw = name.encode()
    _check(_LIBC.setdomainname(raw, ctypes.c_size_t(len(raw))))


def openat2(dir_fd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open with limits on how the path resolves, always close-on-exec; raises `OSError` (ELOOP, EXDEV …)."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        try:
            return _call(_OPENAT2, dir_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how), path=path)
        except BlockingIOError:  # EAGAIN: a rename raced with the lookup of ".."
            continue


def open_tree(path: str, *, recursive: bool = True, dir_fd: int = AT_FDCWD) -> int:
    """A detached copy of the mounts at `path` (open_tree(2)), alive while open or attached."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    if not path:
        flags |= AT_EMPTY_PATH
    return _call(_OPEN_TREE, dir_fd, os.fsencode(path), flags, path=path)


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Attach a detached mount on the file or directory that `target_fd` refers to (move_mount(2))."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _call(_MOVE_MOUNT, mount_fd, b"", target_fd, b"", flags)


def new_mount(kind: str, options: tuple[tuple[str, str | None], ...], attributes: int = 0) -> int:
    """A detached mount of a new file system (fsopen, fsconfig, fsmount); an option without value is a flag."""
    context = _call(_FSOPEN, kind.encode(), 1)
    try:
        for key, value in options:
            if value is None:
                _call(_FSCONFIG, context, _FSCONFIG_SET_FLAG, key.encode(), None, 0)
            else:
                _call(_FSCONFIG, context, _FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)
        _call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_FSMOUNT, context, 1, attributes)
    finally:
        os.close(context)


def mount_setattr(fd: int, *, set_: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False) -> None:
    """Change attributes of the mount `fd` is on, and below it when `recursive` (mount_setattr(2), Linux 5.12)."""
    attributes = _MountAttr(set_, clear, propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _call(_MOUNT_SETATTR, fd, b"", flags, ctypes.byref(attributes), ctypes.sizeof(attributes))


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11)."""
    _call(_CLOSE_RANGE, first, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)


def close_from(first: int, kept: Iterable[int] = ()) -> None:
    """Close every descriptor from `first` on but those that are `kept`."""
    for fd in sorted(each for each in kept if each >= first):
        if fd > first:
            _call(_CLOSE_RANGE, first, fd - 1, 0)
        first = fd + 1
    _call(_CLOSE_RANGE, first, 0xFFFFFFFF, 0)


def join_session_keyring(name: str) -> None:
    """Leave the caller's session keyring for a new one (keyctl(2)); keys of the user do not reach the container."""
    _call(_KEYCTL, _KEYCTL_JOIN_SESSION_KEYRING, name.encode())


def filesystem_magic(fd: int) -> int:
    """`f_type` of the file system `fd` is on (fstatfs(2)), such as `PROC_SUPER_MAGIC`."""
    buffer = (ctypes.c_long * 32)()
    _check(_LIBC.fstatfs(fd, ctypes.byref(buffer)))
    return int(buffer[0]) & 0xFFFFFFFF


def _call(number: int, *arguments: object, path: str | bytes | None = None) -> int:
    wrapped = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *wrapped)
    return _check(result, path)


def _check(result: int, path: str | bytes | None = None) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if path is None:
        raise OSError(number, os.strerror(number))
    raise OSError(number, os.strerror(number), path)
