"""A layer becomes a directory in overlay form, and no archive, however hostile, touches anything else."""

from __future__ import annotations

import io
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.archive import apply, overlay, removal
from orlop.archive import entry as entries
from orlop.archive.entry import Entry
from orlop.core import errors

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="makes owners and devices: needs root")
pytestmark = root_only


def directory(name: bytes, mode: int = 0o755, **fields: object) -> Entry:
    return Entry(name, entries.DIRECTORY, mode, **fields)  # type: ignore[arg-type]


def symlink(name: bytes, target: bytes) -> Entry:
    return Entry(name, entries.SYMLINK, 0o777, linkname=target)


def hardlink(name: bytes, target: bytes, mode: int = 0o644) -> Entry:
    return Entry(name, entries.HARDLINK, mode, linkname=target)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file no archive may read, change or replace; checked by the tests that use it."""
    path = tmp_path / "outside"
    path.write_text("untouched")
    path.chmod(0o600)
    os.utime(path, ns=(1, 1))
    return path


def untouched(path: Path) -> bool:
    status = path.stat()
    return (path.read_text(), stat.S_IMODE(status.st_mode), status.st_mtime_ns) == ("untouched", 0o600, 1)


# What is refused.

ESCAPES = {
    "dot-dot": [Entry(b"../outside")],
    "hidden dot-dot": [Entry(b"a/../../outside")],
    "dot-dot directory": [directory(b"..")],
    "root is a symlink": [symlink(b".", b"/etc"), Entry(b"x")],
    "root is a file": [Entry(b".")],
    "root is a fifo": [Entry(b"/", entries.FIFO)],
    "hard link out": [hardlink(b"x", b"../../outside")],
    "hard link to the root": [hardlink(b"x", b"/")],
    "hard link to a directory": [directory(b"d"), hardlink(b"x", b"d")],
    "hard link to nothing": [hardlink(b"x", b"missing")],
    "hard link through a missing directory": [hardlink(b"x", b"no/such")],
    "hard link to a whiteout": [Entry(b".wh.gone"), hardlink(b"x", b"gone")],
    "whiteout without a name": [Entry(b"a/.wh.")],
    "whiteout of dot": [Entry(b"a/.wh..")],
    "whiteout of dot-dot": [Entry(b"a/.wh...")],
    "whiteout as a directory": [Entry(b".wh.a/b")],
    "file as a directory": [Entry(b"a"), Entry(b"a/b")],
    "link loop": [symlink(b"a", b"b"), symlink(b"b", b"a"), Entry(b"a/x")],
    "symlink to nothing": [Entry(b"s", entries.SYMLINK)],
    "endless name": [Entry(b"n" * 300)],
    "endless path": [Entry(b"/".join([b"d" * 200] * 30))],
    "device number": [Entry(b"dev", entries.BLOCK, devmajor=1 << 13)],
}


@pytest.mark.parametrize("members", ESCAPES.values(), ids=ESCAPES.keys())
def test_an_entry_that_no_honest_layer_has_is_refused(
    members: list[Entry], unpack: Callable[..., object], outside: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(errors.InvalidArchive):
        unpack(*members)
    assert untouched(outside)
    assert set(tmp_path.iterdir()) - set(before) <= {tmp_path / "jail1"}
    assert os.listdir(tmp_path / "jail1") == ["root"]


def test_the_error_names_the_entry_and_no_control_character(unpack: Callable[..., object]) -> None:
    with pytest.raises(errors.InvalidArchive) as caught:
        unpack(Entry(b"../a\x1b[31m"))
    assert r"'../a\x1b[31m'" in str(caught.value)


def test_links_on_the_way_are_followed_inside_the_root_only(unpack: Callable[..., object], outside: Path) -> None:
    up = b"../" * 20
    result = unpack(
        symlink(b"absolute", os.fsencode(outside.parent)),
        (Entry(b"absolute/outside"), b"inside"),
        symlink(b"climbing", up + os.fsencode(outside.parent)[1:]),
        (Entry(b"climbing/outside2"), b"inside"),
        directory(b"usr/lib"),
        symlink(b"lib", b"usr/lib"),
        (Entry(b"lib/x"), b"1"),
        directory(b"lib/sub", mtime_ns=7),
        hardlink(b"y", b"lib/x"),
        Entry(b"lib/.wh.deleted"),
    )
    assert untouched(outside)
    assert not (outside.parent / "outside2").exists()
    inside = result.root / str(outside.parent)[1:]  # type: ignore[attr-defined]
    assert {"outside", "outside2"} == set(os.listdir(inside))
    assert (result.root / "usr/lib/x").read_text() == "1"  # type: ignore[attr-defined]
    assert (result.root / "y").samefile(result.root / "usr/lib/x")  # type: ignore[attr-defined]
    assert (result.root / "usr/lib/sub").stat().st_mtime_ns == 7  # type: ignore[attr-defined]
    assert result.is_whiteout("usr/lib/deleted")  # type: ignore[attr-defined]


def test_a_hard_link_to_a_symlink_links_the_link_and_changes_no_mode(
    unpack: Callable[..., object], outside: Path
) -> None:
    target = os.fsencode(outside)
    result = unpack(symlink(b"s", target), hardlink(b"h", b"s", mode=0o777), hardlink(b"s", b"h", mode=0o4777))
    assert untouched(outside)
    assert target == os.fsencode(os.readlink(result.root / "h"))  # type: ignore[attr-defined]


def test_an_existing_link_is_replaced_never_written_through(unpack: Callable[..., object], outside: Path) -> None:
    target = os.fsencode(outside)
    result = unpack(
        symlink(b"a", target), (Entry(b"a", mode=0o666), b"new"),
        symlink(b"b", target), Entry(b"b", entries.FIFO),
        symlink(b"c", target), directory(b"c", 0o777),
        (Entry(b"d"), b"one"), hardlink(b"e", b"d"), (Entry(b"e"), b"two"),
    )  # fmt: skip
    assert untouched(outside)
    assert tuple((result.root / name).read_text() for name in "ade") == ("new", "one", "two")  # type: ignore[attr-defined]
    assert (result.root / "c").is_dir()  # type: ignore[attr-defined]
    assert result.result.size == 9  # type: ignore[attr-defined]


def test_a_directory_remembered_for_its_time_and_turned_into_a_link_is_not_followed(
    unpack: Callable[..., object], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    os.utime(victim, ns=(1, 1))
    unpack(
        directory(b"x"), directory(b"x/y", 0o6777, mtime_ns=10**9), Entry(b"x"), directory(b"x"),
        symlink(b"x/y", os.fsencode(victim)),
        directory(b"z"), directory(b"z/y", 0o6777), Entry(b"z"), symlink(b"z", os.fsencode(tmp_path)),
    )  # fmt: skip
    assert (stat.S_IMODE(victim.stat().st_mode), victim.stat().st_mtime_ns) == (0o700, 1)


FORGED = {
    b"trusted.overlay.opaque": b"y",
    b"user.overlay.opaque": b"y",
    b"trusted.overlay.redirect": b"/etc",
    b"user.overlay.metacopy": b"",
    b"security.selinux": b"system_u:object_r:etc_t:s0\0",
    b"system.posix_acl_access": b"\x02\0\0\0",
}


def test_forged_overlay_attributes_and_labels_are_dropped(unpack: Callable[..., object]) -> None:
    result = unpack(
        directory(b"d", xattrs=FORGED),
        (Entry(b"f", xattrs=FORGED | {b"user.mine": b"1"}), b""),
        directory(b".", xattrs=FORGED),
    )
    assert os.listxattr(result.root / "d") == []  # type: ignore[attr-defined]
    assert os.listxattr(result.root) == []  # type: ignore[attr-defined]
    assert os.listxattr(result.root / "f") == ["user.mine"]  # type: ignore[attr-defined]


def test_a_forged_whiteout_device_is_not_made(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b"gone", entries.CHARACTER))
    assert set() == result.names()  # type: ignore[attr-defined]
    assert result.result.devices_skipped == 1  # type: ignore[attr-defined]


def test_devices_are_made_or_skipped_as_told(unpack: Callable[..., object]) -> None:
    null = Entry(b"null", entries.CHARACTER, 0o666, devmajor=1, devminor=3)
    made = unpack(null, Entry(b"pipe", entries.FIFO, 0o600))
    assert os.makedev(1, 3) == (made.root / "null").stat().st_rdev  # type: ignore[attr-defined]
    skipped = unpack(null, Entry(b"pipe", entries.FIFO, 0o600), devices=False)
    assert {"pipe"} == skipped.names()  # type: ignore[attr-defined]
    assert (made.result.devices_skipped, skipped.result.devices_skipped) == (0, 1)  # type: ignore[attr-defined]


def test_more_entries_than_the_limit_are_refused_even_as_parents(unpack: Callable[..., object]) -> None:
    limits = apply.Limits(entries=100)
    with pytest.raises(errors.InvalidArchive, match="more than 100 entries"):
        unpack(*[Entry(b"f%d" % number) for number in range(101)], limits=limits)
    with pytest.raises(errors.InvalidArchive, match="more than 100 entries"):
        unpack(*[Entry(b"%d/" % number + b"d/" * 20 + b"f") for number in range(10)], limits=limits)


def test_more_bytes_than_the_limit_are_refused_even_as_holes(unpack: Callable[..., object]) -> None:
    limits = apply.Limits(size=1 << 20)
    with pytest.raises(errors.InvalidArchive, match="larger than"):
        unpack((Entry(b"a"), bytes(2 << 20)), limits=limits)
    with pytest.raises(errors.InvalidArchive, match="larger than"):
        unpack(sparse_bomb(), limits=limits)


def sparse_bomb() -> bytes:
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("holes")
        info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 50)}
        tar.addfile(info)
    return out.getvalue()


def test_a_tree_deeper_than_any_path_is_refused_and_removable(unpack: Callable[..., object], tmp_path: Path) -> None:
    deep = b"/".join([b"d" * 100] * 39)
    members = [directory(deep), symlink(b"s", deep)]
    with pytest.raises(errors.InvalidArchive, match="longer than"):
        unpack(*members, Entry(b"s/" + b"e/" * 200 + b"f"))
    removal.remove_tree(str(tmp_path / "jail1"))
    assert not (tmp_path / "jail1").exists()


def test_few_descriptors_suffice_for_many_deep_directories(unpack: Callable[..., object]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 120, hard))
    try:
        members: list[Entry] = []
        for number in range(30):
            path = b"%d/" % number + b"x/" * 150
            members += [directory(path), Entry(path + b"f"), hardlink(path + b"h", path + b"f")]
            if number:
                members.append(hardlink(path + b"k", b"%d/" % (number - 1) + b"x/" * 150 + b"f"))
        result = unpack(*members)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result.result.entries == 119  # type: ignore[attr-defined]


def test_a_truncated_layer_is_refused(unpack: Callable[..., object], tar: Callable[..., bytes]) -> None:
    data = tar((Entry(b"a"), b"x" * 5000))
    for cut in (100, 600, 3000):
        with pytest.raises(errors.InvalidArchive, match="truncated"):
            unpack(data[:cut])


def test_no_descriptor_is_left_open(unpack: Callable[..., object]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    unpack(directory(b"a"), Entry(b"a/b"), Entry(b"c/d/e"))
    with pytest.raises(errors.InvalidArchive):
        unpack(Entry(b"a/b"), Entry(b"../c"))
    assert before == sorted(os.listdir("/proc/self/fd"))


def test_the_umask_changes_nothing_and_is_kept(unpack: Callable[..., object]) -> None:
    old = os.umask(0o077)
    try:
        result = unpack(directory(b"d", 0o777), Entry(b"f", mode=0o666), Entry(b"p", entries.FIFO, 0o666))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((result.root / name).stat().st_mode) for name in "dfp"]  # type: ignore[attr-defined]
    assert modes == [0o777, 0o666, 0o666]


# Whiteouts and opaque directories.


def test_a_whiteout_is_a_character_device(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b"a/.wh.b"), Entry(b".wh.missing"))
    assert {"a", "a/b", "missing"} == result.names()  # type: ignore[attr-defined]
    assert result.is_whiteout("a/b")  # type: ignore[attr-defined]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_opaque_mark_hides_the_lower_and_keeps_this_layer_wherever_it_stands(
    position: int, unpack: Callable[..., object]
) -> None:
    members = [Entry(b"d/a"), Entry(b"d/.wh.b")]
    members.insert(position, Entry(b"d/.wh..wh..opq"))
    result = unpack(*members)
    assert {"d", "d/a"} == result.names()  # type: ignore[attr-defined]
    assert result.is_opaque("d")  # type: ignore[attr-defined]


def test_userxattr_chooses_the_other_mark(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b"d/.wh..wh..opq"), userxattr=True)
    assert os.listxattr(result.root / "d") == [overlay.USER_OPAQUE]  # type: ignore[attr-defined]


@pytest.mark.parametrize("last", [False, True])
def test_a_whiteout_and_a_file_of_one_name_leave_the_file(last: bool, unpack: Callable[..., object]) -> None:
    members = [Entry(b".wh.x"), (Entry(b"x"), b"new")]
    result = unpack(*(members[::-1] if last else members))
    assert (result.root / "x").read_text() == "new"  # type: ignore[attr-defined]


@pytest.mark.parametrize("members", [
    [Entry(b".wh.x"), directory(b"x"), Entry(b"x/a")],
    [directory(b"x"), Entry(b"x/a"), Entry(b".wh.x")],
    [Entry(b".wh.x"), Entry(b"x/a")],
    [Entry(b"x"), directory(b"x"), Entry(b"x/a")],
    [symlink(b"x", b"y"), directory(b"x"), Entry(b"x/a")],
    [directory(b"x"), Entry(b"x/old"), Entry(b"x"), directory(b"x"), Entry(b"x/a")],
])  # fmt: skip
def test_a_directory_in_the_place_of_something_deleted_hides_the_lower_one(
    members: list[Entry], unpack: Callable[..., object]
) -> None:
    result = unpack(*members)
    assert {"x", "x/a"} == result.names()  # type: ignore[attr-defined]
    assert result.is_opaque("x")  # type: ignore[attr-defined]


def test_a_plain_directory_is_not_opaque(unpack: Callable[..., object]) -> None:
    result = unpack(directory(b"x"), Entry(b"x/a"), directory(b"x", 0o700))
    assert not result.is_opaque("x")  # type: ignore[attr-defined]
    assert {"x", "x/a"} == result.names()  # type: ignore[attr-defined]


def test_aufs_leftovers_are_skipped_and_lookalikes_kept(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b".wh..wh.plnk/1.2"), Entry(b"d/.wh..wh.aufs"), Entry(b"not.wh.white"))
    assert {"not.wh.white"} == result.names()  # type: ignore[attr-defined]


def test_an_opaque_root_is_told(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b".wh..wh..opq"))
    assert result.result.opaque_root  # type: ignore[attr-defined]
    assert not unpack(Entry(b"d/.wh..wh..opq")).result.opaque_root  # type: ignore[attr-defined]


# Metadata and oddities.


def test_owner_mode_time_and_capabilities_arrive(unpack: Callable[..., object]) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    result = unpack(
        (Entry(b"ping", mode=0o6755, uid=1, gid=2, mtime_ns=1_111_111_111_222_222_222, xattrs={b"security.capability": capability}), b"x"),
        directory(b"tmp", 0o1777, mtime_ns=5),
        directory(b"shared", 0o2775, uid=0, gid=50, mtime_ns=6),
        Entry(b"shared/f", gid=0),
        directory(b"shared/d", gid=0),
        Entry(b"s", entries.SYMLINK, uid=3, gid=4, mtime_ns=7, linkname=b"x"),
        Entry(b"tmp/late"),
        directory(b".", 0o711, uid=8, gid=9, mtime_ns=10),
    )  # fmt: skip

    def facts(name: str) -> tuple[int, int, int, int]:
        status = os.lstat(result.root / name)  # type: ignore[attr-defined]
        return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns

    assert facts("ping") == (0o6755, 1, 2, 1_111_111_111_222_222_222)
    assert capability == os.getxattr(result.root / "ping", "security.capability")  # type: ignore[attr-defined]
    assert facts("tmp") == (0o1777, 0, 0, 5)
    assert facts("shared") == (0o2775, 0, 50, 6)
    assert facts("shared/f") == (0o644, 0, 0, 0)
    assert facts("shared/d") == (0o755, 0, 0, 0)
    assert facts("s")[1:] == (3, 4, 7)
    assert facts(".") == (0o711, 8, 9, 10)


def test_a_root_with_a_set_group_bit_hands_nothing_down(tmp_path: Path, tar: Callable[..., bytes]) -> None:
    root = tmp_path / "r"
    root.mkdir()
    os.chown(root, 0, 50)
    root.chmod(0o2755)
    apply.apply(io.BytesIO(tar(Entry(b"f"), directory(b"d"))), str(root), apply.ApplyOptions())
    assert [((root / n).stat().st_gid, stat.S_IMODE((root / n).stat().st_mode)) for n in "fd"] == [
        (0, 0o644),
        (0, 0o755),
    ]


def test_missing_parents_are_made_alike_everywhere(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b"a/b/c"))
    status = (result.root / "a/b").stat()  # type: ignore[attr-defined]
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime_ns) == (0o755, 0, 0)


def test_the_last_of_several_entries_of_one_name_wins(unpack: Callable[..., object]) -> None:
    result = unpack(
        (Entry(b"f"), b"12345"), (Entry(b"./f", mode=0o600), b"1"), directory(b"d", 0o700), directory(b"d", 0o750)
    )
    assert (result.root / "f").read_text() == "1"  # type: ignore[attr-defined]
    assert result.result.size == 1  # type: ignore[attr-defined]
    assert stat.S_IMODE((result.root / "d").stat().st_mode) == 0o750  # type: ignore[attr-defined]


def test_every_spelling_of_a_name_is_one_place(unpack: Callable[..., object]) -> None:
    result = unpack(
        Entry(b"./a/b"), Entry(b"/c"), Entry(b"d//e"), Entry(b"f/./g"), Entry(b"h/x/../i"), directory(b"./")
    )
    assert {"a", "a/b", "c", "d", "d/e", "f", "f/g", "h", "h/i"} == result.names()  # type: ignore[attr-defined]


def test_names_that_are_no_text_are_kept(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b"\xff\xfe/\x80"))
    assert os.listdir(os.fsencode(result.root)) == [b"\xff\xfe"]  # type: ignore[attr-defined]


def test_hard_links_count_once(unpack: Callable[..., object]) -> None:
    result = unpack((Entry(b"a"), b"12345"), hardlink(b"b", b"a"), hardlink(b"c/d", b"./b"), hardlink(b"a", b"c/d"))
    assert result.result.size == 5  # type: ignore[attr-defined]
    assert (result.root / "a").stat().st_nlink == 3  # type: ignore[attr-defined]


def test_an_unsupported_attribute_is_counted_not_fatal(unpack: Callable[..., object]) -> None:
    result = unpack(
        Entry(b"s", entries.SYMLINK, linkname=b"x", xattrs={b"user.not-on-links": b"1"}),
        Entry(b"f", xattrs={b"user.large": bytes(70_000)}),
    )
    assert result.result.xattrs_skipped == 2  # type: ignore[attr-defined]


def test_owners_can_be_left_alone(unpack: Callable[..., object]) -> None:
    result = unpack(Entry(b"f", uid=77, gid=77), owners=False)
    assert os.geteuid() == (result.root / "f").stat().st_uid  # type: ignore[attr-defined]


def test_the_source_is_read_to_its_end(tmp_path: Path, tar: Callable[..., bytes]) -> None:
    source = io.BytesIO(tar(Entry(b"f")) + bytes(3 << 20))
    apply.apply(source, str(tmp_path), apply.ApplyOptions())
    assert source.read() == b""


def test_a_lean_worker_imports_nothing_heavy() -> None:
    server = str(Path(apply.__file__).parents[2])
    program = (
        f"import sys; sys.path.insert(0, {server!r})\n"
        "from orlop.archive import apply, diff, removal, unpack\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    heavy = {
        "re",
        "enum",
        "json",
        "typing",
        "attr",
        "attrs",
        "hashlib",
        "contextlib",
        "pathlib",
        "threading",
        "inspect",
    }
    assert set() == heavy & set(done.stdout.split())


ROOTLESS = """
import io, os, stat
from orlop.archive import apply, entry as e
from orlop.archive.tarstream import Entry, TarWriter
from orlop.core import errors
def tar(*members):
    out = io.BytesIO(); writer = TarWriter(out.write)
    for member in members: writer.add(member)
    writer.finish(); out.seek(0); return out
os.mkdir("r")
capability = bytes.fromhex("0100000200200000000000000000000000000000")
done = apply.apply(tar(
    Entry(b"f", uid=33, gid=1000, mode=0o4711, xattrs={b"security.capability": capability, b"trusted.x": b"1"}),
    Entry(b"null", e.CHARACTER, devmajor=1, devminor=3), Entry(b"pipe", e.FIFO), Entry(b".wh.gone"),
    Entry(b"d/.wh..wh..opq"), Entry(b"secret", e.DIRECTORY, 0), Entry(b"secret/x", uid=5),
), "r", apply.ApplyOptions(userxattr=True))
status = os.stat("r/f")
assert (33, 1000, 0o4711) == (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), status
assert os.getxattr("r/f", "security.capability") == capability
assert os.getxattr("r/d", "user.overlay.opaque") == b"y"
assert os.stat("r/gone").st_rdev == 0 and stat.S_ISCHR(os.stat("r/gone").st_mode)
assert (done.devices_skipped, done.xattrs_skipped) == (1, 1)
os.mkdir("s")
try:
    apply.apply(tar(Entry(b"far", uid=1_000_000)), "s", apply.ApplyOptions(userxattr=True))
except errors.Unavailable as error:
    print(error, error.hint)
"""


def test_a_user_namespace_gets_real_owners_and_a_clear_word_for_the_others(
    in_user_namespace: Callable[[str], str],
) -> None:
    said = in_user_namespace(ROOTLESS)
    assert "'far' to owner 1000000:0: the ID is not mapped" in said
    assert "/etc/subuid" in said
