"""What people write for sizes, limits and mounts."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.core import errors
from orlop.engine import wishes
from orlop.engine.wishes import MountWish
from orlop.runtime.spec import Rlimit


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("10b", 10),
        ("6k", 6144),
        ("512m", 512 << 20),
        ("1.5g", 3 << 29),
        ("2GiB", 2 << 30),
        ("1MB", 1 << 20),
        ("1T", 1 << 40),
    ],
)
def test_sizes_are_in_binary_units(text: str, count: int) -> None:
    assert wishes.size(text, "--memory") == count


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1 2", "0x10", "1.2.3m", "١"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid, match="--memory"):
        wishes.size(text, "--memory")


def test_limits_have_one_or_two_numbers() -> None:
    assert wishes.ulimit("nofile=1024:2048") == Rlimit("nofile", 1024, 2048)
    assert wishes.ulimit("core=-1") == Rlimit("core", -1, -1)
    assert wishes.ulimit("nproc=5:-1") == Rlimit("nproc", 5, -1)
    for bad in ("nofile", "nofile=", "=1", "nofile=2:1", "nofile=-1:1", "nofile=a"):
        with pytest.raises(errors.Invalid, match="ulimit"):
            wishes.ulimit(bad)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("/data", MountWish("volume", "", "/data")),
        ("name:/data:ro,nocopy", MountWish("volume", "name", "/data", readonly=True, fill=False)),
        ("/here:/there/../x/", MountWish("bind", "/here", "/x", make=True)),
        ("./here:/x:z,cached", MountWish("bind", os.path.abspath("here"), "/x", make=True)),
    ],
)
def test_short_mounts(text: str, wish: MountWish) -> None:
    assert wishes.volume(text) == wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("type=bind,src=/a,dst=/b,ro", MountWish("bind", "/a", "/b", readonly=True)),
        ("target=/b", MountWish("volume", "", "/b")),
        (
            "type=volume,source=vv,destination=/b,readonly=false,volume-nocopy",
            MountWish("volume", "vv", "/b", fill=False),
        ),
        ('type=bind,"source=/a,b",target=/c', MountWish("bind", "/a,b", "/c")),
        (
            "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700",
            MountWish("tmpfs", "", "/t", options=("noexec", "size=1048576", "mode=700")),
        ),
    ],
)
def test_long_mounts(text: str, wish: MountWish) -> None:
    assert wishes.mount(text) == wish


@pytest.mark.parametrize("text", ["", ":", "a:", "/a:/", "x:y", "/a:/b:bad", "..:/", "-v:/x", "a b:/x", "/a:/b:/c:ro"])
def test_bad_short_mounts_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        wishes.volume(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "type=bind,target=/x",
        "type=nfs,target=/x",
        "source=v",
        "target=x",
        "target=/x,what=1",
        "target=/x,ro=maybe",
        "type=tmpfs,source=a,target=/x",
        'target="/x',
    ],
)
def test_bad_long_mounts_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        wishes.mount(text)


@given(st.text(max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    for read in (wishes.volume, wishes.mount, wishes.tmpfs, wishes.ulimit, lambda each: wishes.size(each, "x")):
        try:
            found = read(text)
        except errors.Invalid:
            continue
        if isinstance(found, MountWish):
            assert found.target.startswith("/") and found.target != "/"
