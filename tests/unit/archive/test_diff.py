"""A layer's tree and its tar are two forms of one thing: each gives the other back, byte for byte."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.archive import apply, diff, overlay
from orlop.core import errors

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes owners and devices: needs root")


def write(root: str | os.PathLike[str]) -> bytes:
    out = io.BytesIO()
    written = diff.write_layer(os.fspath(root), out.write)
    assert written.tar_size == len(out.getvalue())
    return out.getvalue()


def names(root: Path) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(write(root))) as tar:
        return [member.name + "/" * member.isdir() for member in tar]


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    root = tmp_path / "layer"
    root.mkdir()
    return root


def test_an_empty_layer_is_an_empty_tar(layer: Path) -> None:
    assert bytes(1024) == write(layer)


def test_whiteouts_and_opaque_marks_get_their_names_back(layer: Path) -> None:
    (layer / "b").mkdir()
    (layer / "b" / "new").write_text("x")
    os.setxattr(layer / "b", overlay.TRUSTED_OPAQUE, b"y")
    (layer / "c").mkdir()
    os.setxattr(layer / "c", overlay.USER_OPAQUE, b"y")
    os.mknod(layer / "a", stat.S_IFCHR, 0)
    os.link(layer / "a", layer / "a2")
    assert names(layer) == [".wh.a", ".wh.a2", "b/", "b/.wh..wh..opq", "b/new", "c/", "c/.wh..wh..opq"]


def test_an_opaque_root_is_written(layer: Path) -> None:
    os.setxattr(layer, overlay.TRUSTED_OPAQUE, b"y")
    assert names(layer) == [".wh..wh..opq"]


def test_overlay_bookkeeping_is_not_content(layer: Path, tmp_path: Path) -> None:
    (layer / "d").mkdir()
    before = write(layer)
    for name in ("trusted.overlay.origin", "trusted.overlay.impure", "user.overlay.origin"):
        os.setxattr(layer / "d", name, b"y")
    assert before == write(layer)


@pytest.mark.parametrize("name", ["trusted.overlay.redirect", "trusted.overlay.metacopy", "user.overlay.redirect"])
def test_a_tree_that_needs_its_lower_is_refused(name: str, layer: Path) -> None:
    (layer / "d").mkdir()
    os.setxattr(layer / "d", name, b"/x")
    with pytest.raises(errors.Corrupt, match="'d'"):
        write(layer)


def test_the_root_is_an_entry_only_when_it_is_unusual(layer: Path) -> None:
    (layer / "f").touch()
    assert names(layer) == ["f"]
    layer.chmod(0o700)
    assert names(layer) == ["./", "f"]


def test_sockets_and_names_of_whiteouts_are_left_out(layer: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(layer / "s"))
    (layer / ".wh.file").touch()
    (layer / "kept").touch()
    out = io.BytesIO()
    assert ((result := diff.write_layer(str(layer), out.write)).entries, result.skipped) == (1, 2)


def test_files_come_before_subdirectories_and_both_by_name(layer: Path) -> None:
    for name in ("b/z", "b/a/x", "a/y", "c", "a.txt"):
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).touch()
    assert names(layer) == ["a.txt", "c", "a/", "a/y", "b/", "b/z", "b/a/", "b/a/x"]


def test_sizes_count_hard_links_once(layer: Path) -> None:
    (layer / "a").write_bytes(b"x" * 1000)
    os.link(layer / "a", layer / "b")
    os.symlink("a", layer / "s")
    os.link(layer / "s", layer / "t", follow_symlinks=False)
    result = diff.write_layer(str(layer), lambda _: None)
    assert (result.size, result.entries) == (1000, 4)


def test_a_file_linked_from_another_tree_is_a_file_here(layer: Path, tmp_path: Path) -> None:
    (tmp_path / "origin").write_text("data")
    os.link(tmp_path / "origin", layer / "f")
    with tarfile.open(fileobj=io.BytesIO(write(layer))) as tar:
        assert tar.getmember("f").isreg()


def test_reading_leaves_the_access_time_alone(layer: Path) -> None:
    (layer / "f").write_text("x")
    os.utime(layer / "f", ns=(1, 10**18))
    write(layer)
    assert (layer / "f").stat().st_atime_ns == 1


NODES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=2000)),
    st.tuples(st.just("large"), st.integers(1, 3_000_000)),
    st.tuples(st.just("dir"), st.booleans()),
    st.tuples(st.just("symlink"), st.binary(min_size=1, max_size=150).filter(lambda target: b"\0" not in target)),
    st.tuples(st.just("hardlink"), st.integers(0, 9)),
    st.tuples(st.just("fifo"), st.none()),
    st.tuples(st.just("device"), st.tuples(st.integers(1, 4095), st.integers(0, 1 << 19))),
    st.tuples(st.just("whiteout"), st.none()),
)
NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"b", b"c", b"etc", b"\xff\xfe", b".hidden", b"sp ace", "ünï".encode(), b"a" * 120, b"n" * 251]
    ),
    st.binary(min_size=1, max_size=12),
).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..") and not n.startswith(b".wh."))
META = st.fixed_dictionaries({
    "mode": st.integers(0, 0o7777), "uid": st.integers(0, 70000), "gid": st.integers(0, 3_000_000),
    "mtime": st.integers(-(1 << 31) * 10**9, (1 << 33) * 10**9),
    "xattrs": st.dictionaries(st.sampled_from(["user.a", "user.b", "trusted.c"]), st.binary(max_size=40), max_size=2),
})  # fmt: skip
TREES = st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=4), NODES, META), max_size=12)


def grow(root: bytes, nodes: list[tuple[list[bytes], tuple[str, object], dict[str, object]]]) -> None:
    """Make the nodes that are possible; a name that is taken, or a parent that is no directory, skips one."""
    made: list[tuple[bytes, str, dict[str, object]]] = []
    for parts, (kind, what), meta in nodes:
        path = os.path.join(root, *parts)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "dir":
                os.mkdir(path)
                if what:
                    os.setxattr(path, overlay.TRUSTED_OPAQUE, b"y")
            elif kind == "symlink":
                os.symlink(what, path)  # type: ignore[arg-type]
            elif kind == "hardlink":
                others = [other for other, sort, _ in made if sort != "dir"]
                if not others:
                    continue
                os.link(others[what % len(others)], path, follow_symlinks=False)  # type: ignore[operator]
                continue
            elif kind == "fifo":
                os.mkfifo(path)
            elif kind == "device":
                os.mknod(path, stat.S_IFBLK, os.makedev(*what))  # type: ignore[misc]
            elif kind == "whiteout":
                os.mknod(path, stat.S_IFCHR, 0)
                continue
            else:
                data = what if kind == "file" else b"0123456789abcdef" * (what // 16)  # type: ignore[operator]
                with open(path, "xb") as file:
                    file.write(data)  # type: ignore[arg-type]
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue
        made.append((path, kind, meta))
    for path, kind, meta in reversed(made):
        os.chown(path, meta["uid"], meta["gid"], follow_symlinks=False)  # type: ignore[arg-type]
        for key, value in meta["xattrs"].items():  # type: ignore[attr-defined]
            if kind in ("file", "dir") or key.startswith("trusted."):
                os.setxattr(path, key, value, follow_symlinks=False)
        if kind != "symlink":
            os.chmod(path, meta["mode"])  # type: ignore[arg-type]
        os.utime(path, ns=(0, meta["mtime"]), follow_symlinks=False)  # type: ignore[arg-type]
    # A whiteout in an opaque directory says nothing: no reader keeps it.
    for directory, _, files in os.walk(root):
        if overlay.is_opaque(directory):  # type: ignore[arg-type]
            time = os.stat(directory).st_mtime_ns
            for name in files:
                path = os.path.join(directory, name)
                if overlay.is_whiteout(os.lstat(path)):
                    os.unlink(path)
            os.utime(directory, ns=(0, time))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES)
def test_a_tree_survives_its_tar(tree: Callable[..., object], nodes: list[object]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as temporary:
        first, second = os.path.join(temporary, "1"), os.path.join(temporary, "2")
        os.mkdir(first, 0o755)
        os.mkdir(second, 0o755)
        grow(os.fsencode(first), nodes)  # type: ignore[arg-type]
        once = write(first)
        assert once == write(first)
        written = diff.write_layer(first, lambda _: None)
        applied = apply.apply(io.BytesIO(once), second, apply.ApplyOptions())
        assert tree(first) == tree(second)
        assert (written.size, written.entries) == (applied.size, applied.entries)
        assert once == write(second)


ROOTLESS = """
import hashlib, io, os
from orlop.archive import apply, diff
def digest(root):
    out = io.BytesIO(); diff.write_layer(root, out.write); return out.getvalue()
for name in ("a", "b"): os.mkdir(name)
os.makedirs("a/d/e"); open("a/d/f", "w").write("data"); os.chown("a/d/f", 33, 1000); os.chmod("a/d/f", 0o4750)
os.setxattr("a/d/f", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
os.setxattr("a/d/e", "user.overlay.opaque", b"y"); os.mknod("a/gone", 0o020000, 0); os.mkfifo("a/p")
os.chmod("a/d/e", 0)
first = digest("a")
apply.apply(io.BytesIO(first), "b", apply.ApplyOptions(userxattr=True))
assert first == digest("b") == digest("a")
print(hashlib.sha256(b"".join(first.split(b"mtime="))).hexdigest())
"""


def test_the_tar_of_a_rootless_tree_survives_as_well(in_user_namespace: Callable[[str], str]) -> None:
    assert len(in_user_namespace(ROOTLESS).strip()) == 64


def test_the_tar_is_the_same_for_root_and_rootless(in_user_namespace: Callable[[str], str], layer: Path) -> None:
    source = (
        "import os\nos.chmod('.', 0o755); open('f', 'w').write('x'); os.chown('f', 33, 44); os.utime('f', ns=(0, 5))\n"
    )
    program = (
        "import hashlib\nfrom orlop.archive import diff\nsum = hashlib.sha256()\ndiff.write_layer('.', sum.update)\n"
    )
    rootless = in_user_namespace(source + program + "print(sum.hexdigest())")
    (layer / "f").write_text("x")
    os.chown(layer / "f", 33, 44)
    os.utime(layer / "f", ns=(0, 5))
    assert rootless.strip() == hashlib.sha256(write(layer)).hexdigest()


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_other_programs_unpack_it(program: str, layer: Path, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    deep = layer / Path(*["d" * 50] * 5)
    deep.mkdir(parents=True)
    (deep / "file").write_text("far")
    os.link(deep / "file", layer / "again")
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run([program, "-xpf", "-"], input=write(layer), cwd=copy, check=True)
    subprocess.run(["diff", "-r", layer, copy], check=True)
    assert (copy / "again").samefile(copy / deep.relative_to(layer) / "file")
