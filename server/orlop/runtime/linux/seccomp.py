"""The system call filter of a container: a small assembler from the profile to classic BPF, and its installation.

A program checks the architecture, then finds the call's number by binary search over ranges with the same verdict
(seccomp(2), linux/seccomp.h, linux/filter.h). Containers on x86-64 may run i386 programs; x32 does not exist for them.
"""

from __future__ import annotations

import ctypes
import errno
import os
from struct import pack

from orlop.runtime.linux import seccomp_profile as profile
from orlop.runtime.linux import syscall_table

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS
KILL = 0x80000000

_LOAD, _JEQ, _JGE, _JSET, _JUMP, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x05, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, little-endian

# Machine as uname(2) says -> (audit architecture, table), the native one first.
_MACHINES = {
    "x86_64": ((0xC000003E, syscall_table.X86_64), (0x40000003, syscall_table.I386)),
    "aarch64": ((0xC00000B7, syscall_table.ARM64),),
}

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1

# Where to go on: a verdict (ALLOW, REFUSE, UNKNOWN), the name of a condition, the bounds of a subtree of the search.
_Label = int | str | tuple[int, int]
# One instruction: code, operand, and the labels to go on at when true and when false (None: the next instruction).
_Instruction = tuple[int, int, "_Label | None", "_Label | None"]


def supported(machine: str) -> bool:
    """Whether this machine (`os.uname().machine`) has a table."""
    return machine in _MACHINES


def compile(capabilities: int, machine: str) -> bytes:  # noqa: A001 - the word for it
    """The program for a container whose bounding set is `capabilities`: an array of `struct sock_filter`.

    Raises `ValueError` for a machine without a table.
    """
    if machine not in _MACHINES:
        raise ValueError(f"no system call table for {machine}")
    tables = [(audit, _assemble(_ranges(text, capabilities))) for audit, text in _MACHINES[machine]]
    head = [pack("<HBBI", _LOAD, 0, 0, _ARCHITECTURE)]
    body = b""
    for position, (audit, code) in enumerate(tables):
        # Two instructions per table, one for the final verdict, then the bodies one after another.
        ahead = 2 * (len(tables) - position - 1) + 1 + len(body) // 8
        head.append(pack("<HBBI", _JEQ, 0, 1, audit) + pack("<HBBI", _JUMP, 0, 0, ahead))
        body += code
    head.append(pack("<HBBI", _RETURN, 0, 0, KILL))
    return b"".join(head) + body


def install(program: bytes) -> None:
    """Put this thread and everything it starts under the filter, for good.

    Needs no_new_privs or CAP_SYS_ADMIN in the user namespace: without no_new_privs it goes before the capabilities are
    given up (the profile allows that), with it just before execve. Raises `OSError`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(pack("@HP", len(program) // 8, ctypes.addressof(buffer)))
    number = _SECCOMP[os.uname().machine]
    if libc.syscall(ctypes.c_long(number), ctypes.c_long(_SET_MODE_FILTER), ctypes.c_long(0), filter_) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "seccomp")


def _ranges(text: str, capabilities: int) -> list[tuple[int, int | str]]:
    """A table's verdicts as (first number, verdict), ascending from 0; a verdict is an action or a condition's name."""
    numbers = {name: int(number) for name, _, number in (word.partition("=") for word in text.split())}
    named: dict[str, int | str] = dict.fromkeys(profile.ALWAYS, ALLOW)
    named.update(dict.fromkeys(profile.ABSENT, UNKNOWN))
    named.update((name, name) for name in profile.CONDITIONAL)
    newest = max(numbers[name] for name in named if name in numbers)
    for bit, names in profile.WITH_CAPABILITY.items():
        guarded = names.split()
        newest = max(newest, *(numbers.get(name, 0) for name in guarded))
        if capabilities >> bit & 1:
            named.update(dict.fromkeys(guarded, ALLOW))
    verdicts = {numbers[name]: verdict for name, verdict in named.items() if name in numbers}
    ranges: list[tuple[int, int | str]] = []
    for number in range(newest + 1):
        verdict = verdicts.get(number, REFUSE)
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((number, verdict))
    # Whatever is newer does not exist; on x86-64 that covers the numbers of x32, which start at 0x40000000.
    ranges.append((newest + 1, UNKNOWN))
    return ranges


def _assemble(ranges: list[tuple[int, int | str]]) -> bytes:
    code: list[_Instruction] = [(_LOAD, _NUMBER, None, None)]
    places: dict[_Label, int] = {}

    def search(low: int, high: int) -> _Label:
        # The search among ranges[low:high]; a single one needs no code, its verdict is the label.
        if high - low == 1:
            return ranges[low][1]
        places[low, high] = position = len(code)
        middle = (low + high) // 2
        code.append((0, 0, None, None))
        left, right = search(low, middle), search(middle, high)
        code[position] = (_JGE, ranges[middle][0], right, left)
        return low, high

    search(0, len(ranges))
    tests = {"none-of": (_JSET, REFUSE, ALLOW), "not": (_JEQ, REFUSE, ALLOW), "one-of": (_JEQ, ALLOW, REFUSE)}
    for name, (kind, values) in profile.CONDITIONAL.items():
        places[name] = len(code)
        code.append((_LOAD, _FIRST_ARGUMENT, None, None))
        test, hit, miss = tests[kind]
        code.extend((test, value, hit, None) for value in values[:-1])
        code.append((test, values[-1], hit, miss))
    for action in (ALLOW, REFUSE, UNKNOWN):
        places[action] = len(code)
        code.append((_RETURN, action, None, None))

    def distance(position: int, label: _Label | None) -> int:
        # `pack` refuses what does not fit in a byte: the profile has room, with any capabilities.
        return 0 if label is None else places[label] - position - 1

    return b"".join(
        pack("<HBBI", operation, distance(position, true), distance(position, false), operand)
        for position, (operation, operand, true, false) in enumerate(code)
    )
