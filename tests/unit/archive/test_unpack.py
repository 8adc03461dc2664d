"""ADD of an archive changes a file system as `tar -x` in its root would, and nothing outside of it."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.archive import entry as entries
from orlop.archive.apply import Limits
from orlop.archive.entry import Entry
from orlop.archive.unpack import Unpacked, unpack
from orlop.core import errors

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes owners: needs root")


def directory(name: bytes, mode: int = 0o755, **fields: object) -> Entry:
    return Entry(name, entries.DIRECTORY, mode, **fields)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small root file system beside a file that must stay as it is."""
    (tmp_path / "secret").write_text("untouched")
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "run").mkdir()
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    (root / "escape").symlink_to(tmp_path)
    (root / "usr/lib/old").write_text("old")
    return root


@pytest.fixture
def add(root: Path, tar: Callable[..., bytes]) -> Callable[..., Unpacked]:
    def run(destination: str, *members: object, **options: object) -> Unpacked:
        return unpack(io.BytesIO(tar(*members)), str(root), destination, **options)  # type: ignore[arg-type]

    return run


def test_links_on_the_way_are_followed(root: Path, add: Callable[..., Unpacked]) -> None:
    add("/", directory(b"./"), (Entry(b"lib/new"), b"1"), directory(b"var/"), (Entry(b"var/run/pid"), b"2"))
    assert (root / "lib").is_symlink()
    assert ((root / "usr/lib/new").read_text(), (root / "usr/lib/old").read_text()) == ("1", "old")
    assert (root / "run/pid").read_text() == "2"


def test_a_directory_of_the_archive_takes_the_place_of_a_link_as_with_gnu_tar(
    root: Path, add: Callable[..., Unpacked], tmp_path: Path, tar: Callable[..., bytes]
) -> None:
    members = [directory(b"lib/"), (Entry(b"lib/new"), b"1")]
    other = tmp_path / "other"
    shutil.copytree(root, other, symlinks=True)
    add("/", *members)
    subprocess.run(["tar", "-xf", "-"], input=tar(*members), cwd=other, check=True)
    for place in (root, other):
        assert not (place / "lib").is_symlink()
        assert os.listdir(place / "usr/lib") == ["old"]


def test_links_never_lead_out_of_the_root(root: Path, add: Callable[..., Unpacked]) -> None:
    add("/", (Entry(b"escape/secret"), b"inside"), Entry(b"escape", entries.SYMLINK, linkname=b"/"))
    assert (root.parent / "secret").read_text() == "untouched"
    assert (root / str(root.parent)[1:] / "secret").read_text() == "inside"


@pytest.mark.parametrize("name", [b"../secret", b"a/../../secret"])
def test_a_name_that_climbs_out_is_refused(name: bytes, root: Path, add: Callable[..., Unpacked]) -> None:
    with pytest.raises(errors.InvalidArchive):
        add("/usr", Entry(name))
    assert (root.parent / "secret").read_text() == "untouched"


def test_the_destination_is_made_and_keeps_its_mode(root: Path, add: Callable[..., Unpacked]) -> None:
    add("/opt/app/", directory(b".", 0o700, uid=5), Entry(b"f"))
    assert (stat.S_IMODE((root / "opt/app").stat().st_mode), (root / "opt/app").stat().st_uid) == (0o755, 0)
    assert (root / "opt/app/f").exists()


def test_a_destination_through_a_link_stays_inside(root: Path, add: Callable[..., Unpacked]) -> None:
    add("/var/run/deep", Entry(b"f"))
    assert (root / "run/deep/f").exists()


def test_whiteouts_mean_nothing_and_are_left_out(root: Path, add: Callable[..., Unpacked]) -> None:
    result = add("/usr/lib", Entry(b".wh.old"), Entry(b".wh..wh..opq"), Entry(b".wh.d/x"), Entry(b"kept"))
    assert {"old", "kept"} == set(os.listdir(root / "usr/lib"))
    assert result.whiteouts_skipped == 3


def test_what_is_there_is_replaced(root: Path, add: Callable[..., Unpacked]) -> None:
    (root / "d").mkdir()
    (root / "d/x").write_text("x")
    (root / "f").write_text("f")
    (root / "dangling").symlink_to("/nowhere")
    add(
        "/",
        (Entry(b"d"), b"file"),
        directory(b"f"),
        directory(b"dangling"),
        (Entry(b"usr/lib/old", mode=0o600), b"new"),
    )
    assert (root / "d").read_text() == "file"
    assert (root / "f").is_dir()
    assert (root / "dangling").is_dir()
    assert not (root / "dangling").is_symlink()
    assert (root / "usr/lib/old").read_text() == "new"


def test_an_old_file_is_replaced_and_not_written_through(root: Path, add: Callable[..., Unpacked]) -> None:
    os.link(root / "usr/lib/old", root.parent / "other-name")
    add("/usr/lib", (Entry(b"old"), b"new"))
    assert (root.parent / "other-name").read_text() == "old"


def test_owners_come_from_the_archive_or_from_the_caller(root: Path, add: Callable[..., Unpacked]) -> None:
    members = [
        Entry(b"f", uid=33, gid=44),
        directory(b"d", uid=33, gid=44),
        Entry(b"l", entries.SYMLINK, uid=33, linkname=b"f"),
    ]
    add("/own", *members)
    add("/given", *members, owner=(7, 8))
    for name in ("f", "d", "l"):
        assert os.lstat(root / "own" / name).st_uid == 33
        assert (os.lstat(root / "given" / name).st_uid, os.lstat(root / "given" / name).st_gid) == (7, 8)


def test_a_directory_that_hands_down_its_group_does_not_change_the_archive(
    root: Path, add: Callable[..., Unpacked]
) -> None:
    (root / "shared").mkdir()
    os.chown(root / "shared", 0, 50)
    (root / "shared").chmod(0o2775)
    add("/shared", Entry(b"f", gid=0), directory(b"d", gid=0))
    assert [
        ((root / "shared" / n).stat().st_gid, stat.S_IMODE((root / "shared" / n).stat().st_mode)) for n in "fd"
    ] == [(0, 0o644), (0, 0o755)]


def test_hard_links_are_within_the_archive(root: Path, add: Callable[..., Unpacked]) -> None:
    add(
        "/opt",
        (Entry(b"a"), b"1"),
        Entry(b"b/c", entries.HARDLINK, linkname=b"./a"),
        Entry(b"a", entries.HARDLINK, linkname=b"a"),
    )
    assert (root / "opt/a").samefile(root / "opt/b/c")
    with pytest.raises(errors.InvalidArchive, match="not there"):
        add("/opt", Entry(b"x", entries.HARDLINK, linkname=b"usr/lib/old"))


def test_limits_hold(add: Callable[..., Unpacked]) -> None:
    with pytest.raises(errors.InvalidArchive, match="more than 2 entries"):
        add("/", *[Entry(b"%d" % n) for n in range(3)], limits=Limits(entries=2))
    with pytest.raises(errors.InvalidArchive):
        add("/", (Entry(b"f"), bytes(2 << 20)), limits=Limits(size=1 << 20))


def test_times_are_those_of_the_archive(root: Path, add: Callable[..., Unpacked]) -> None:
    add("/", directory(b"d", mtime_ns=10**18), Entry(b"d/f", mtime_ns=5))
    assert ((root / "d").stat().st_mtime_ns, (root / "d/f").stat().st_mtime_ns) == (10**18, 5)
