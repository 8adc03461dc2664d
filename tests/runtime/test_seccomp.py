"""The filter: simulated for every call number, and tried on the kernel by a process that lives under it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.runtime.linux import capabilities, seccomp, syscall_table
from orlop.runtime.linux import seccomp_profile as profile

SERVER = str(Path(seccomp.__file__).parents[3])
X86_64, I386, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
TABLES = {X86_64: syscall_table.X86_64, I386: syscall_table.I386, ARM64: syscall_table.ARM64}
MACHINES = {X86_64: "x86_64", I386: "x86_64", ARM64: "aarch64"}
EPERM, ENOSYS = 0x50001, 0x50026


def numbers(audit: int) -> dict[str, int]:
    return {name: int(number) for name, number in (word.split("=") for word in TABLES[audit].split())}


def simulate(program: bytes, audit: int, number: int, argument: int = 0) -> int:
    """The verdict a kernel's interpreter of classic BPF comes to."""
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, audit, 0, argument & 0xFFFFFFFFFFFFFFFF, 0, 0, 0, 0, 0)
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, position = 0, 0
    while True:
        operation, true, false, operand = code[position]
        position += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif operation == 0x06:
            return operand
        elif operation == 0x05:
            position += operand
        else:
            taken = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            position += true if taken[operation] else false


def expected(name: str, caps: int, newest: int, number: int) -> int:
    guarded = {bit: names.split() for bit, names in profile.WITH_CAPABILITY.items()}
    if any(name in names and caps >> bit & 1 for bit, names in guarded.items()):
        return seccomp.ALLOW
    if name in profile.ABSENT or number > newest:
        return ENOSYS
    return seccomp.ALLOW if name in profile.ALWAYS else EPERM


@pytest.mark.parametrize("audit", [X86_64, I386, ARM64], ids=["x86_64", "i386", "arm64"])
@pytest.mark.parametrize("caps", [0, capabilities.DEFAULT, capabilities.ALL, 1 << capabilities.SYS_ADMIN], ids=hex)
def test_every_number_gets_the_verdict_of_the_profile(audit: int, caps: int) -> None:
    program = seccomp.compile(caps, MACHINES[audit])
    table = numbers(audit)
    names = {number: name for name, number in table.items()}
    spoken = {*profile.ALWAYS, *profile.ABSENT, *" ".join(profile.WITH_CAPABILITY.values()).split()}
    newest = max(table[name] for name in spoken if name in table)
    for number in range(700):
        name = names.get(number, "")
        if name in profile.CONDITIONAL and expected(name, caps, newest, number) != seccomp.ALLOW:
            continue
        assert expected(name, caps, newest, number) == simulate(program, audit, number), (name, number)


@pytest.mark.parametrize("audit", [X86_64, I386, ARM64], ids=["x86_64", "i386", "arm64"])
def test_arguments_decide_about_clone_socket_and_personality(audit: int) -> None:
    program = seccomp.compile(capabilities.DEFAULT, MACHINES[audit])
    table = numbers(audit)

    def verdict(name: str, argument: int) -> bool:
        result = simulate(program, audit, table[name], argument)
        assert result in (seccomp.ALLOW, EPERM)
        return result == seccomp.ALLOW

    for bit in range(64):
        namespace = 1 << bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
        assert (not namespace) == verdict("clone", 1 << bit | 17), hex(1 << bit)
    for family in range(50):
        assert (family != 40) == verdict("socket", family)
    assert not verdict("socket", 0x7_0000_0028), "the kernel reads only the low half"
    allowed = [
        each for each in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF, 4, 0x40000, 9, 0x400000) if verdict("personality", each)
    ]
    assert allowed == [0, 8, 0x20000, 0x20008, 0xFFFFFFFF]


def test_other_architectures_are_killed_and_x32_does_not_exist() -> None:
    program = seccomp.compile(capabilities.DEFAULT, "x86_64")
    assert simulate(program, ARM64, 0) == seccomp.KILL
    assert simulate(seccomp.compile(0, "aarch64"), X86_64, 0) == seccomp.KILL
    assert simulate(program, X86_64, 0x40000000) == ENOSYS
    assert simulate(program, X86_64, 0x40000000 | 59) == ENOSYS
    assert simulate(program, X86_64, -1) == ENOSYS


def test_what_docker_refuses_is_refused_and_what_programs_need_is_allowed() -> None:
    program = seccomp.compile(capabilities.DEFAULT, "x86_64")
    table = numbers(X86_64)
    refused = (
        "mount umount2 unshare setns pivot_root keyctl add_key request_key bpf perf_event_open kexec_load reboot swapon "
        "init_module finit_module delete_module acct settimeofday clock_settime iopl ioperm open_by_handle_at userfaultfd "
        "move_pages mbind set_mempolicy io_uring_setup io_uring_enter fsopen move_mount open_tree mount_setattr quotactl "
        "syslog sethostname ustat sysfs vhangup kcmp lookup_dcookie nfsservctl uselib process_madvise pidfd_getfd"
    )
    assert {name: hex(v) for name in refused.split() if (v := simulate(program, X86_64, table[name])) != EPERM} == {}
    needed = "chroot mknodat fork vfork execve ptrace prctl seccomp capset statx faccessat2 openat2 close_range rseq memfd_create"
    assert {n: hex(v) for n in needed.split() if (v := simulate(program, X86_64, table[n])) != seccomp.ALLOW} == {}
    assert simulate(program, X86_64, table["clone3"]) == ENOSYS


def test_every_name_of_the_profile_exists_on_some_architecture() -> None:
    known = set().union(*(numbers(audit) for audit in TABLES))
    spoken = [
        *profile.ALWAYS,
        *profile.ABSENT,
        *profile.CONDITIONAL,
        *" ".join(profile.WITH_CAPABILITY.values()).split(),
    ]
    assert set(spoken) <= known
    assert len(profile.ALWAYS) == len(set(profile.ALWAYS))


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 40)), st.sampled_from(["x86_64", "aarch64"]))
def test_any_set_of_capabilities_compiles_within_the_jump_range(bits: set[int], machine: str) -> None:
    program = seccomp.compile(sum(1 << bit for bit in bits), machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 400


def test_an_unknown_machine_is_refused() -> None:
    assert not seccomp.supported("riscv64")
    with pytest.raises(ValueError, match="no system call table for riscv64"):
        seccomp.compile(0, "riscv64")


TRY_FORBIDDEN = """
import ctypes, os, sys
sys.path.insert(0, SERVER)
from orlop.runtime.linux import capabilities, seccomp
libc = ctypes.CDLL(None, use_errno=True)
machine = os.uname().machine
numbers = dict(word.split("=") for word in getattr(seccomp.syscall_table, {"x86_64": "X86_64", "aarch64": "ARM64"}[machine]).split())
def call(name, *arguments):
    result = libc.syscall(ctypes.c_long(int(numbers[name])), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return ctypes.get_errno() if result < 0 else 0
if os.getuid():
    libc.prctl(38, 1, 0, 0, 0)
seccomp.install(seccomp.compile(capabilities.DEFAULT, machine))
found = {
    "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "unshare user": call("unshare", 0x10000000),
    "keyctl": call("keyctl", 0, 0, 0),
    "personality linux32": call("personality", 8) and 1,
    "personality no randomize": call("personality", 0x40000),
    "clone3": call("clone3", 0, 0),
    "newer than everything": libc.syscall(ctypes.c_long(1000)) and ctypes.get_errno(),
    "vsock": call("socket", 40, 1, 0),
    "inet": call("socket", 2, 1, 0),
    "io_uring": call("io_uring_setup", 1, 0),
}
pid = os.fork()
if pid == 0:
    os._exit(call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
found["mount in a child"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with open("/proc/self/status") as file:
    found["mode"] = int(next(line.split()[1] for line in file if line.startswith("Seccomp:")))
found["echo"] = os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-c", "exec echo ok >/dev/null"])
print(str(found).replace("'", '"'))
"""


@pytest.mark.parametrize("user", ["root", "orloptest"])
def test_the_kernel_refuses_forbidden_calls_to_a_process_under_the_filter(user: str) -> None:
    command = [sys.executable, "-I", "-c", TRY_FORBIDDEN.replace("SERVER", repr(SERVER))]
    if os.getuid() != 0 and user == "root":
        pytest.skip("needs root")
    if os.getuid() == 0 and user != "root":
        if subprocess.run(["id", user], capture_output=True, check=False).returncode:
            pytest.skip(f"needs an account {user}")
        command = ["runuser", "-u", user, "--", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    refused = ("mount", "unshare user", "keyctl", "personality no randomize", "vsock", "io_uring", "mount in a child")
    assert {
        **dict.fromkeys(refused, 1),
        **dict.fromkeys(("clone3", "newer than everything"), 38),
        "personality linux32": 0,
        "inet": 0,
        "mode": 2,
        "echo": 0,
    } == json.loads(done.stdout)


def test_a_program_built_for_i386_is_filtered_too(tmp_path: Path) -> None:
    """Hand-assembled: int 0x80 with mount (21), exit(-result)."""
    if os.uname().machine != "x86_64" or os.getuid() != 0:
        pytest.skip("needs root on x86-64")
    code = bytes.fromhex("b81500000031db31c931d231f631ffcd80f7d889c3b801000000cd80")
    header = (
        b"\x7fELF\x01\x01\x01"
        + bytes(9)
        + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    )
    header += struct.pack("<IIIIIIII", 1, 0, 0x8048000, 0x8048000, 84 + len(code), 84 + len(code), 5, 0x1000)
    program = tmp_path / "i386"
    program.write_bytes(header + code)
    program.chmod(0o755)
    try:
        plain = subprocess.run([program], check=False).returncode
    except OSError:
        pytest.skip("this kernel runs no i386 programs")
    assert plain == 14, "without a filter: EFAULT"
    under = f"import os, sys; sys.path.insert(0, {SERVER!r})\nfrom orlop.runtime.linux import capabilities, seccomp\n"
    under += "seccomp.install(seccomp.compile(capabilities.DEFAULT, 'x86_64'))\nos.execv(sys.argv[1], sys.argv[1:])"
    assert subprocess.run([sys.executable, "-I", "-c", under, program], check=False).returncode == 1
