"""Specs, signals, names, users and programs, without any namespace."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.core import errors
from orlop.runtime import names
from orlop.runtime.init import identity, program
from orlop.runtime.linux import signals
from orlop.runtime.spec import ContainerSpec, InlineFile, Limits, Mount, Rlimit, Rootfs


def test_a_spec_goes_through_json_and_back() -> None:
    spec = ContainerSpec(
        args=("a", "b"),
        rootfs=Rootfs(("/l1", "/l2"), "/u", "/w", volatile=True, skeleton="/s"),
        env=("A=b",),
        mounts=(Mount("bind", "/x", "/y", ("ro",)), Mount("tmpfs", "", "/z")),
        files=(InlineFile("/etc/hosts", "text", 0o600),),
        capabilities=("CAP_CHOWN",),
        rlimits=(Rlimit("nofile", 1, -1),),
        sysctls={"net.core.somaxconn": "4"},
        limits=Limits(memory=1, pids=2, cpus=0.5),
        stop_timeout=1.5,
    )
    assert ContainerSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(errors.Invalid, match="cannot read container spec"):
        ContainerSpec.from_json({"args": []})
    with pytest.raises(errors.Invalid):
        ContainerSpec.from_json({**spec.to_json(), "surprise": 1})


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGTERM", 15), ("term", 15), ("15", 15), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), (" kill ", 9), ("SIGRTMIN", 34)],
)
def test_signals_by_any_name(text: str, number: int) -> None:
    assert signals.number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGNOPE", "TERM+1000", "-9", "SIG", "9.5", "RTMIN+x"])
def test_no_signals(text: str) -> None:
    with pytest.raises(errors.Invalid, match="unknown signal"):
        signals.number(text)


def test_every_signal_has_the_name_that_python_knows() -> None:
    for each in signal.Signals:
        assert signals.number(signals.name(each)) == each
        assert signals.number(each.name) == each


@given(st.sets(st.text(max_size=5)))
def test_new_names_are_legal_and_free(taken: set[str]) -> None:
    name = names.new(taken)
    assert names.check(name) == name
    assert name not in taken


@pytest.mark.parametrize("name", ["", "a", "-ab", "a b", "a/b", ".ab", "ä1", "a\n", "ab\n"])
def test_illegal_names(name: str) -> None:
    with pytest.raises(errors.Invalid):
        names.check(name)


def image(path: Path, passwd: str | bytes, group: str = "root:x:0:\n") -> str:
    (path / "etc").mkdir(exist_ok=True)
    (path / "etc" / "passwd").write_bytes(passwd if isinstance(passwd, bytes) else passwd.encode())
    (path / "etc" / "group").write_text(group)
    return str(path)


def test_users_of_a_broken_passwd_file(tmp_path: Path) -> None:
    root = image(
        tmp_path, b"#comment\n\n:::\nroot:x:zero:0::/:\nbad\nok:x:5:6::/home/ok:/bin/sh\n\xff\xfe:x:7:8::/x:\n"
    )
    assert identity.resolve("ok", root=root).uid == 5
    assert identity.resolve("7", root=root).gid == 8
    with pytest.raises(errors.Invalid):
        identity.resolve("root", root=root)
    assert (identity.resolve("", root=root).uid, identity.resolve("", root=root).home) == (0, "/")


def test_an_image_without_files_has_only_numbers(tmp_path: Path) -> None:
    who = identity.resolve("12:34", ["56", "56"], root=str(tmp_path))
    assert (who.uid, who.gid, who.groups, who.home) == (12, 34, [56], "/")
    with pytest.raises(errors.Invalid, match="unable to find group x"):
        identity.resolve("12", ["x"], root=str(tmp_path))


def test_a_passwd_that_is_a_fifo_or_directory_is_no_trap(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc" / "passwd")
    (tmp_path / "etc" / "group").mkdir()
    assert identity.resolve("1", root=str(tmp_path)).uid == 1


@given(st.binary(max_size=300))
def test_no_passwd_file_breaks_the_lookup(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = image(tmp_path_factory.mktemp("p"), data)
    try:
        who = identity.resolve("somebody", root=root)
    except errors.Invalid:
        return
    assert who.uid >= 0


def test_environment_items_are_taken_in_order() -> None:
    env = program.environment(["A=1", "B", "=x", "A=2", "C=a=b", "HOME="], "/root")
    assert env == {"A": "2", "C": "a=b", "HOME": "/root"}


def test_programs_are_found_on_the_path_given(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("")
    with pytest.raises(program.CannotExecute, match="permission denied") as caught:
        program.find("tool", f"/nowhere:{tmp_path}")
    assert caught.value.code == 126
    (tmp_path / "tool").chmod(0o755)
    assert program.find("tool", f"/nowhere:{tmp_path}") == f"{tmp_path}/tool"
    with pytest.raises(program.CannotExecute) as caught:
        program.find("a\0b", str(tmp_path))
    assert caught.value.code == 127
