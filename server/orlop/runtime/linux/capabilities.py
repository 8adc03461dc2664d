"""Capabilities of the process to be: their names, Docker's default set, and giving up the rest in the right order.

Sets are integers, one bit per capability (capabilities(7), linux/capability.h).
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
ALL = (1 << len(NAMES)) - 1

DAC_READ_SEARCH, NET_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_CHROOT, SYS_PTRACE, SYS_PACCT = 2, 12, 16, 17, 18, 19, 20
SYS_ADMIN, SYS_BOOT, SYS_NICE, SYS_TIME, SYS_TTY_CONFIG, MKNOD, SYSLOG, PERFMON, BPF = (
    21,
    22,
    23,
    25,
    26,
    27,
    34,
    38,
    39,
)

DEFAULT = 0xA80425FB
"""What Docker leaves to a container: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP."""

_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_VERSION_3 = 0x20080522
_CAPGET, _CAPSET = (90, 91) if os.uname().machine == "aarch64" else (125, 126)

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def parse(name: str) -> int:
    """The set of one name as people write it (`NET_ADMIN`, `cap_net_admin`, `ALL`); raises `ValueError`."""
    plain = name.strip().upper().removeprefix("CAP_")
    if plain == "ALL":
        return ALL
    if plain not in NAMES:
        raise ValueError(f"unknown capability {name!r}")
    return 1 << NAMES.index(plain)


def names(mask: int) -> tuple[str, ...]:
    """Names in the order of their bits, with prefix (`CAP_CHOWN`)."""
    return tuple(f"CAP_{name}" for bit, name in enumerate(NAMES) if mask >> bit & 1)


def adjusted(base: int = DEFAULT, *, add: Iterable[str] = (), drop: Iterable[str] = ()) -> int:
    """`base` with Docker's `--cap-add` and `--cap-drop`; raises `ValueError` for an unknown name.

    With ALL added, everything but what is dropped by name; with ALL dropped, only what is added; else what is dropped
    goes first and what is added comes after.
    """
    added, dropped = [parse(each) for each in add], [parse(each) for each in drop]
    without = ~_union(each for each in dropped if each != ALL)
    if ALL in added:
        return ALL & without
    return (0 if ALL in dropped else base & without) | _union(added)


def held() -> tuple[int, int]:
    """The permitted and the bounding set of this thread."""
    permitted = _read()[1]
    bounding = 0
    for bit in range(64):
        answer = _LIBC.prctl(_PR_CAPBSET_READ, *(ctypes.c_ulong(each) for each in (bit, 0, 0, 0)))
        if answer < 0:  # EINVAL: the kernel has no more
            break
        bounding |= answer << bit
    return permitted, bounding


def apply(
    *,
    bounding: int,
    wanted: int,
    uid: int,
    gid: int,
    groups: Sequence[int] | None = (),
    ambient: int = 0,
) -> None:
    """Become the user and keep only these capabilities; irreversible, for a process about to execute a program.

    `wanted` becomes effective and permitted of uid 0; another user has none (as with Docker), except for `ambient`,
    which it keeps over the execve. The inheritable set is empty but for `ambient` (CVE-2022-29162). `groups` are all
    supplementary groups; None leaves them, for user namespaces where setgroups is denied. What this process does not
    hold itself is left out silently. Raises `OSError` with the call's name as file name.
    """
    permitted, ours = held()
    bounding &= ours
    for bit in range(ours.bit_length()):
        if ours >> bit & 1 and not bounding >> bit & 1:
            _prctl("drop from the bounding set", _PR_CAPBSET_DROP, bit)
    _prctl("clear the ambient set", _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    if groups is not None:
        _named("setgroups", os.setgroups, list(groups))
    _named("setresgid", os.setresgid, gid, gid, gid)
    ambient &= permitted & bounding
    if uid != 0 and ambient:
        _prctl("keep capabilities", _PR_SET_KEEPCAPS, 1)
    _named("setresuid", os.setresuid, uid, uid, uid)
    kept = (wanted & permitted & bounding) if uid == 0 else 0
    _write(kept | ambient, kept | ambient, ambient)
    for bit in range(ambient.bit_length()):
        if ambient >> bit & 1:
            _prctl("raise in the ambient set", _PR_CAP_AMBIENT, _AMBIENT_RAISE, bit)


def _union(sets: Iterable[int]) -> int:
    mask = 0
    for each in sets:
        mask |= each
    return mask


def _read() -> tuple[int, int, int]:
    header, data = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if _LIBC.syscall(ctypes.c_long(_CAPGET), header, data) < 0:
        _fail("capget")
    return data[0] | data[3] << 32, data[1] | data[4] << 32, data[2] | data[5] << 32


def _write(effective: int, permitted: int, inheritable: int) -> None:
    sets = (effective, permitted, inheritable)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(*(each & 0xFFFFFFFF for each in sets), *(each >> 32 for each in sets))
    if _LIBC.syscall(ctypes.c_long(_CAPSET), header, data) < 0:
        _fail("capset")


def _prctl(what: str, option: int, first: int, second: int = 0) -> None:
    if _LIBC.prctl(option, *(ctypes.c_ulong(each) for each in (first, second, 0, 0))) < 0:
        _fail(what)


def _named(what: str, call: Callable[..., None], *arguments: object) -> None:
    try:
        call(*arguments)
    except OSError as error:
        raise OSError(error.errno, error.strerror, what) from None


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), what)
