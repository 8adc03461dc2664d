"""Ways out of a container through descriptors of the process that made it, tried by what a hostile image can write."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from containers import Lab

from orlop.core import errors
from orlop.runtime.init import identity

# A directory of the host, and the number of a descriptor beside it that every launcher inherits here. It has others of
# its own, whose numbers an attacker would have to guess.
OUTSIDE = "outside"
HELD = 40
WAY = f"/proc/self/fd/{HELD}/../{OUTSIDE}"


@pytest.fixture
def host(lab: Lab) -> Iterator[Lab]:
    (lab.path / OUTSIDE).mkdir()
    (lab.path / OUTSIDE / "passwd").write_text("evil:x:4711:4711::/stolen:/bin/sh\n")
    (lab.path / OUTSIDE / "group").write_text("evil:x:4712:\n")
    (lab.path / OUTSIDE / "busybox").write_bytes((lab.base / "bin" / "busybox").read_bytes())
    (lab.path / OUTSIDE / "busybox").chmod(0o755)
    fd = os.open(lab.upper, os.O_PATH)
    if fd != HELD:
        os.dup2(fd, HELD, inheritable=False)
        os.close(fd)
    yield lab
    os.close(HELD)


@pytest.mark.several_ids
def test_the_first_process_holds_nothing_of_the_host(host: Lab) -> None:
    look = f"""
        for fd in /proc/1/fd/*; do
            case $fd in */0|*/1|*/2) ;; *) [ -e $fd ] && echo "open: $fd";; esac
            for up in . .. ../.. ../../..; do [ -e $fd/$up/{OUTSIDE}/passwd ] && echo "escaped by $fd"; done
        done
        [ -e /proc/1/root/{OUTSIDE} -o -e /proc/1/cwd/{OUTSIDE} ] && echo "escaped by its directories"
        exit 0
    """
    for fields in ({"init": True}, {"init": False}, {"init": True, "user": "node"}):
        ended = host.sh(look, **fields)
        assert (ended.code, ended.error, ended.out) == (0, None, "")


def test_a_program_is_not_looked_up_through_the_launchers_descriptors(host: Lab) -> None:
    (host.base / "start").symlink_to(f"{WAY}/busybox")
    for init in (False, True):
        for program in ("busybox", f"{WAY}/busybox", "/start"):
            ended = host.run(program, "echo", "escaped", env=(f"PATH={WAY}",), init=init)
            assert (ended.code, ended.out) == (127, "")


def test_the_kernel_finds_no_interpreter_through_the_launchers_descriptors(host: Lab) -> None:
    (host.base / "script").write_text(f"#!{WAY}/busybox cat\n")
    (host.base / "script").chmod(0o755)
    ended = host.run("/script")
    assert (ended.code, ended.out) == (127, "")


def test_a_link_to_a_descriptor_is_no_program_and_no_directory(host: Lab) -> None:
    (host.base / "start").symlink_to("/proc/self/exe")
    ended = host.run("/start", "-c", "print(1)")
    assert (ended.code, ended.out) == (127, "")
    assert ended.error == 'exec: "/start": stat /start: too many levels of symbolic links'
    (host.base / "work").symlink_to("/proc/self/cwd")
    assert host.run("true", cwd="/work").code == 125


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_users_and_groups_are_not_read_through_the_launchers_descriptors(host: Lab, name: str) -> None:
    file = host.base / "etc" / name
    user = "evil" if name == "passwd" else "0:evil"
    file.unlink()
    file.symlink_to(f"{WAY}/{name}")
    ended = host.run("id", user=user)
    assert (ended.code, ended.out) == (125, "")
    assert f"no matching entries in {name} file" in str(ended.error)


def test_users_and_groups_are_those_of_the_tree_whatever_its_links_say(host: Lab) -> None:
    place = host.base / "etc"
    for name, link in (("passwd", str(host.path / OUTSIDE / "passwd")), ("group", f"../../{OUTSIDE}/group")):
        (place / name).unlink()
        (place / name).symlink_to(link)
    for user in ("evil", "0:evil"):
        with pytest.raises(errors.Invalid, match="no matching entries"):
            identity.resolve(user, root=str(host.base))


def test_the_working_directory_is_not_entered_through_the_launchers_descriptors(host: Lab) -> None:
    ended = host.run("cat", "passwd", cwd=WAY)
    assert (ended.code, ended.out) == (125, "")
