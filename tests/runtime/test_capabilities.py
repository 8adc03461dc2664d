"""Capability sets: what names mean, and what /proc says of a process that applied them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orlop.runtime.linux import capabilities as cap

SERVER = str(Path(cap.__file__).parents[3])
KERNEL = (1 << int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1) - 1
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")

APPLY = """
import os, sys
sys.path.insert(0, {server!r})
from orlop.runtime.linux import capabilities as cap
{before}
cap.apply({arguments})
os.execv("/bin/sh", ["sh", "-c", "grep -E '^(Cap|Uid|Gid|Groups)' /proc/self/status"])
"""


def status(arguments: str, before: str = "", prefix: tuple[str, ...] = ()) -> dict[str, list[str]]:
    code = APPLY.format(server=SERVER, arguments=arguments, before=before)
    done = subprocess.run(
        [*prefix, sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return {line.split(":")[0]: line.split(":")[1].split() for line in done.stdout.splitlines()}


def sets(found: dict[str, list[str]]) -> dict[str, int]:
    return {name: int(found[f"Cap{name}"][0], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


@needs_root
def test_root_keeps_the_default_set_and_inherits_nothing() -> None:
    found = status("bounding=cap.DEFAULT, wanted=cap.DEFAULT, uid=0, gid=0")
    default = cap.DEFAULT
    assert {"Inh": 0, "Prm": default, "Eff": default, "Bnd": default, "Amb": 0} == sets(found)
    assert found["Groups"] == []


@needs_root
def test_a_user_has_none_but_the_bound_remains_for_setuid_programs() -> None:
    found = status("bounding=cap.DEFAULT, wanted=cap.DEFAULT, uid=1234, gid=99, groups=(7, 8)")
    assert sets(found) == {"Inh": 0, "Prm": 0, "Eff": 0, "Bnd": cap.DEFAULT, "Amb": 0}
    assert (found["Uid"], found["Gid"], found["Groups"]) == (["1234"] * 4, ["99"] * 4, ["7", "8"])


@needs_root
def test_a_user_may_be_given_ambient_capabilities() -> None:
    found = status("bounding=cap.DEFAULT, wanted=0, uid=1234, gid=99, ambient=cap.parse('NET_BIND_SERVICE')")
    bit = 1 << 10
    assert {"Inh": bit, "Prm": bit, "Eff": bit, "Bnd": cap.DEFAULT, "Amb": bit} == sets(found)


@needs_root
def test_everything_asked_for_is_cut_to_what_the_caller_holds() -> None:
    held = int(
        next(x.split()[1] for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("CapPrm")), 16
    )
    found = status("bounding=cap.ALL, wanted=cap.ALL, uid=0, gid=0")
    assert held & KERNEL == sets(found)["Eff"]


@needs_root
def test_inherited_and_ambient_sets_of_the_caller_do_not_reach_the_program() -> None:
    before = "cap._write(cap.DEFAULT, cap.DEFAULT, 1 << 10); cap._prctl('x', 47, 2, 10)"
    assert sets(status("bounding=cap.DEFAULT, wanted=0, uid=1234, gid=99", before))["Amb"] == 0


def test_in_a_user_namespace_of_one_identity_groups_are_left_alone() -> None:
    prefix: tuple[str, ...] = ("unshare", "--user", "--map-root-user")
    if os.getuid() == 0:
        if subprocess.run(["id", "orloptest"], capture_output=True, check=False).returncode:
            pytest.skip("needs an account orloptest")
        prefix = ("runuser", "-u", "orloptest", "--", *prefix)
    found = status("bounding=cap.DEFAULT, wanted=cap.DEFAULT, uid=0, gid=0, groups=None", prefix=prefix)
    assert sets(found) == {"Inh": 0, "Prm": cap.DEFAULT, "Eff": cap.DEFAULT, "Bnd": cap.DEFAULT, "Amb": 0}


def test_names_are_read_as_people_write_them() -> None:
    assert [cap.parse(each) for each in ("NET_ADMIN", "net_admin", "CAP_NET_ADMIN", " cap_net_admin ")] == [1 << 12] * 4
    assert cap.parse("all") == cap.ALL
    assert cap.names(1 << 40 | 1) == ("CAP_CHOWN", "CAP_CHECKPOINT_RESTORE")
    with pytest.raises(ValueError, match="unknown capability 'NET_ADMINN'"):
        cap.parse("NET_ADMINN")


def test_the_default_set_is_dockers() -> None:
    docker = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    assert {f"CAP_{each}" for each in docker.split()} == set(cap.names(cap.DEFAULT))


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), cap.DEFAULT),
        (("NET_ADMIN",), (), cap.DEFAULT | 1 << 12),
        ((), ("CHOWN",), cap.DEFAULT & ~1),
        ((), ("ALL",), 0),
        (("CHOWN", "KILL"), ("ALL",), 1 | 1 << 5),
        (("ALL",), (), cap.ALL),
        (("ALL",), ("SYS_ADMIN",), cap.ALL & ~(1 << 21)),
        (("CHOWN",), ("CHOWN",), cap.DEFAULT),
    ],
)
def test_adding_and_dropping_follows_docker(add: tuple[str, ...], drop: tuple[str, ...], expected: int) -> None:
    assert expected == cap.adjusted(add=add, drop=drop)
