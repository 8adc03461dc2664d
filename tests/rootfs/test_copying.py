"""COPY as people know it: each rule is a row of sources, destination and the tree that must come out."""

from __future__ import annotations

import os

import pytest
from shop import DIR, MTIME, Shop, Tree, archive, file, folder, hard, link, match

from orlop.core import errors

CONTEXT: Tree = {
    "a.txt": file("a"),
    "b.txt": file("b", mode=0o600),
    "tool": file("#!", mode=0o4755),
    "dir": folder(0o750),
    "dir/one": file("1"),
    "dir/sub": folder(0o700),
    "dir/sub/two": file("2", mode=0o444),
    "dir/to-one": link("one"),
    "empty": folder(),
}


@pytest.mark.parametrize(
    ("sources", "destination", "expected"),
    [
        pytest.param(["a.txt"], "/x", {"x": file("a")}, id="a file becomes the destination"),
        pytest.param(["a.txt"], "/x/", {"x": folder(), "x/a.txt": file("a")}, id="a slash makes it a directory"),
        pytest.param(["a.txt"], "/n/m/x", {"n": folder(), "n/m": folder(), "n/m/x": file("a")}, id="parents are made"),
        pytest.param(["a.txt", "b.txt"], "/x", {"x": file("b", 0o600)}, id="several files to one name: the last wins"),
        pytest.param(["tool"], "/x", {"x": file("#!", 0o4755)}, id="set-ID bits survive"),
        pytest.param(
            ["dir"],
            "/x",
            {
                "x": folder(),
                "x/one": file("1"),
                "x/to-one": link("one"),
                "x/sub": folder(0o700),
                "x/sub/two": file("2", 0o444),
            },
            id="a directory's content is copied, the new destination is 0755",
        ),
        pytest.param(["dir/sub"], "/", {"two": file("2", 0o444)}, id="into the root"),
        pytest.param(["empty"], "/x", {"x": folder()}, id="an empty directory makes the destination"),
        pytest.param(
            ["dir", "a.txt"],
            "/x/",
            {
                "x": folder(),
                "x/a.txt": file("a"),
                "x/one": file("1"),
                "x/to-one": link("one"),
                "x/sub": folder(0o700),
                "x/sub/two": file("2", 0o444),
            },
            id="files and directories mix",
        ),
    ],
)
def test_context_files_land_where_buildkit_puts_them(
    shop: Shop, sources: list[str], destination: str, expected: Tree
) -> None:
    context = shop.context(CONTEXT)
    assert shop.table(shop.copy_context((), sources, destination, context)) == expected


def test_no_match_copies_nothing_and_makes_no_destination(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    assert shop.table(shop.copy((), "/y/", context=context, matches=[])) == {}


def test_times_are_the_sources(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    found = shop.table(shop.copy_context((), ["dir"], "/x", context))
    assert {found[name].mtime for name in ("x/one", "x/sub", "x/sub/two", "x/to-one")} == {MTIME}


def test_only_the_entries_that_were_selected_are_taken(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    selected = {"path": "", "name": "", "dir": True, "entries": ["a.txt", "dir", "dir/one"]}
    found = shop.table(shop.copy((), "/x/", context=context, matches=[selected]))
    assert sorted(found) == ["x", "x/a.txt", "x/dir", "x/dir/one"]


BASE: Tree = {
    "etc": folder(),
    "data": folder(0o700, 5, 6),
    "data/sub": folder(0o711, 5, 6),
    "data/sub/old": file("old", 0o600, 5, 6),
    "data/file": file("lower", 0o640, 5, 6),
    "data/gone": file("gone"),
    "run": folder(),
    "var": folder(),
    "var/run": link("/run"),
    "out": link("../../../run"),
    "to-file": link("data/file"),
    "dangling": link("/later/there"),
    "loop": link("loop"),
}


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("sources", "destination", "expected"),
    [
        pytest.param(
            ["a.txt"],
            "/data",
            {"data": folder(0o700, 5, 6), "data/a.txt": file("a")},
            id="an existing directory takes the file and keeps its looks",
        ),
        pytest.param(
            ["a.txt"], "/data/file", {"data": folder(0o700, 5, 6), "data/file": file("a")}, id="a file replaces a file"
        ),
        pytest.param(
            ["a.txt"],
            "/var/run/x",
            {"run": folder(), "run/x": file("a")},
            id="links on the way are followed inside the root",
        ),
        pytest.param(["a.txt"], "/out/x", {"run": folder(), "run/x": file("a")}, id="a link cannot leave the root"),
        pytest.param(
            ["a.txt"], "/var/run", {"run": folder(), "run/a.txt": file("a")}, id="a link to a directory is a directory"
        ),
        pytest.param(
            ["a.txt"],
            "/to-file",
            {"data": folder(0o700, 5, 6), "data/file": file("a")},
            id="a link to a file leads to the file",
        ),
        pytest.param(
            ["a.txt"], "/dangling", {"later": folder(), "later/there": file("a")}, id="a dangling link is followed too"
        ),
        pytest.param(["a.txt"], "/data/../etc/x", {"etc": folder(), "etc/x": file("a")}, id="dot dot"),
        pytest.param(
            ["dir"],
            "/data",
            {
                "data": folder(0o700, 5, 6),
                "data/one": file("1"),
                "data/to-one": link("one"),
                "data/sub": folder(0o700),
                "data/sub/two": file("2", 0o444),
            },
            id="the destination keeps its looks, directories below take the source's",
        ),
        pytest.param(["empty"], "/data", {}, id="nothing to copy changes nothing"),
    ],
)
def test_existing_destinations(shop: Shop, sources: list[str], destination: str, expected: Tree) -> None:
    context = shop.context(CONTEXT)
    base = shop.layer(BASE)
    assert shop.table(shop.copy_context([base], sources, destination, context)) == expected


@pytest.mark.parametrize(
    ("sources", "destination", "message"),
    [
        (["dir"], "/data/file", "cannot copy to non-directory: /data/file"),
        (["dir"], "/data/file/x", "cannot copy to non-directory: /data/file"),
        (["a.txt"], "/data/file/", "cannot copy to non-directory: /data/file"),
        (["onto"], "/", "cannot replace to directory /data/sub with file"),
        (["under"], "/", "cannot copy to non-directory: /data/file"),
    ],
)
def test_what_does_not_fit_is_said_in_buildkits_words(
    shop: Shop, sources: list[str], destination: str, message: str
) -> None:
    context = shop.context(
        CONTEXT | {"onto": folder(), "onto/data": folder(), "onto/data/sub": file(), "under/data/file/x": file("x")}
    )
    base = shop.layer(BASE)
    with pytest.raises(errors.BuildFailed) as failure:
        shop.copy_context([base], sources, destination, context)
    assert message in failure.value.message
    assert failure.value.hint


def test_a_circle_of_links_is_an_error(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    with pytest.raises(errors.OrlopError, match="symbolic links"):
        shop.copy_context([shop.layer(BASE)], ["a.txt"], "/loop", context)


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("chown", "owner", "warnings"),
    [
        ("www-data", (33, 33), 0),
        ("app", (1000, 1001), 0),
        ("55", (55, 55), 0),
        ("app:lp", (1000, 7), 0),
        ("4242:lp", (4242, 7), 0),
        ("0:33", (0, 33), 0),
        ("nobody-here", (0, 0), 1),
        ("app:no-group", (1000, 0), 1),
    ],
)
def test_chown_names_are_those_of_the_image(shop: Shop, chown: str, owner: tuple[int, int], warnings: int) -> None:
    context = shop.context(CONTEXT)
    found = shop.table(shop.copy_context([shop.base()], ["dir"], "/x/y", context, chown=chown))
    assert {(node.uid, node.gid) for node in found.values()} == {owner}
    assert len(shop.warnings) == warnings


@pytest.mark.several_ids
def test_chown_leaves_the_existing_destination_alone(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    base = shop.layer(BASE)
    found = shop.table(shop.copy_context([base], ["dir"], "/data", context, chown="9:9"))
    assert (found["data"].uid, found["data"].gid) == (5, 6)
    assert (found["data/sub"].uid, found["data/one"].uid) == (9, 9)


@pytest.mark.several_ids
def test_an_id_beyond_the_users_range_is_explained(shop: Shop) -> None:
    if os.geteuid() == 0:
        pytest.skip("root has every id")
    context = shop.context(CONTEXT)
    with pytest.raises(errors.Unavailable, match="outside the range") as failure:
        shop.copy_context((), ["a.txt"], "/x", context, chown="100000")
    assert "/etc/subuid" in (failure.value.hint or "")


@pytest.mark.parametrize(
    ("chmod", "source", "mode", "parent"),
    [
        ("640", "a.txt", 0o640, 0o640),
        ("4755", "a.txt", 0o4755, 0o4755),
        ("u=rwX,go=rX", "a.txt", 0o644, 0o755),
        ("u=rwX,go=rX", "tool", 0o755, 0o755),
        ("+x", "a.txt", 0o755, 0o755),
        ("a-w", "a.txt", 0o444, 0o555),
        ("g=u", "a.txt", 0o664, 0o775),
        ("go+w", "a.txt", 0o666, 0o777),
    ],
)
def test_chmod_reaches_files_and_made_parents(shop: Shop, chmod: str, source: str, mode: int, parent: int) -> None:
    context = shop.context(CONTEXT)
    found = shop.table(shop.copy_context((), [source], "/new/x", context, chmod=chmod))
    assert (found["new/x"].mode, found["new"].mode) == (mode, parent)


@pytest.mark.parametrize("chmod", ["64a", "99", "77777", "u=rwq", "u", "u=gr"])
def test_a_bad_chmod_is_refused(shop: Shop, chmod: str) -> None:
    context = shop.context(CONTEXT)
    with pytest.raises(errors.Invalid, match="invalid chmod parameter"):
        shop.copy_context((), ["a.txt"], "/x", context, chmod=chmod)


def test_links_have_no_mode_to_change(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    found = shop.table(shop.copy_context((), ["dir"], "/x", context, chmod="600"))
    assert found["x/to-one"] == link("one")
    assert (found["x/sub"].mode, found["x/one"].mode) == (0o600, 0o600)


def test_hard_links_stay_linked_within_one_source(shop: Shop) -> None:
    context = shop.context({"d": folder(), "d/a": file("same"), "d/b": hard("d/a")})
    found = shop.table(shop.copy_context((), ["d"], "/x", context))
    assert found == {"x": folder(), "x/a": file("same"), "x/b": hard("x/a")}


def test_attributes_travel(shop: Shop) -> None:
    context = shop.context({"a": file("a", xattrs={"user.note": "hello"})})
    assert shop.table(shop.copy_context((), ["a"], "/x", context))["x"].xattrs == {"user.note": "hello"}


def test_a_fifo_stays_one_and_a_socket_becomes_an_empty_file(shop: Shop) -> None:
    import socket

    context = shop.context({"d": folder(), "d/fifo": file()})
    os.unlink(f"{context}/d/fifo")
    os.mkfifo(f"{context}/d/fifo", 0o600)
    here = os.getcwd()
    os.chdir(f"{context}/d")  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("sock")
    finally:
        os.chdir(here)
    found = shop.table(shop.copy_context((), ["d"], "/x", context))
    assert (found["x/fifo"].kind, found["x/sock"].kind, found["x/sock"].data) == ("fifo", "file", "")


def test_sparse_and_large_files_arrive_whole(shop: Shop) -> None:
    context = shop.context({"d": folder()})
    with open(f"{context}/d/sparse", "wb") as out:
        out.seek(3 << 20)
        out.write(b"end")
    block = "0123456789abcdef" * 8192
    with open(f"{context}/d/large", "w") as out:
        out.write(block)
    with open(f"{context}/d/exact", "w") as out:
        out.write(block[: 64 << 10])
    found = shop.table(shop.copy_context((), ["d"], "/x", context))
    assert found["x/large"].data == block
    assert found["x/exact"].data == block[: 64 << 10]
    assert found["x/sparse"].data == "\0" * (3 << 20) + "end"


@pytest.mark.several_ids
def test_a_file_of_the_dockerfile_itself(shop: Shop) -> None:
    found = shop.table(shop.copy((), "/x/", inline=[["run.sh", "echo"]], chmod="755", chown="7:8"))
    assert found == {"x": folder(0o755, 7, 8), "x/run.sh": file("echo", 0o755, 7, 8)}


@pytest.mark.several_ids
def test_the_root_of_a_new_layer_looks_like_the_base(shop: Shop) -> None:
    base = shop.layer({".": folder(0o711, 3, 4), "etc": folder()})
    found = shop.table(shop.copy((base,), "/x/", inline=[["f", ""]]))
    assert (found["."].kind, found["."].mode, found["."].uid) == (DIR, 0o711, 3)


def test_a_set_gid_directory_does_not_pass_its_group_on(shop: Shop) -> None:
    context = shop.context(CONTEXT)
    base = shop.layer({"s": folder(0o2755, 0, 7)})
    found = shop.table(shop.copy_context([base], ["dir"], "/s", context))
    assert {(found[name].gid, found[name].mode) for name in ("s/one", "s/sub")} == {(0, 0o644), (0, 0o700)}


@pytest.mark.several_ids
def test_workdir_makes_what_is_missing_for_its_user(shop: Shop) -> None:
    base = shop.base()
    made = shop.step("mkdir", [base], {"path": "/etc/a/b", "user": "app"})
    assert shop.table(made) == {
        "etc": folder(),
        "etc/a": folder(0o755, 1000, 1001),
        "etc/a/b": folder(0o755, 1000, 1001),
    }
    assert shop.table(shop.step("mkdir", [base], {"path": "/etc", "user": "app"})) == {}
    with pytest.raises(errors.BuildFailed):
        shop.step("mkdir", [base], {"path": "/etc/passwd", "user": ""})


@pytest.mark.several_ids
@pytest.mark.parametrize("packed", ["plain", "gzip", "xz", "bzip2", "zstd"])
def test_an_archive_is_unpacked_with_its_owners(shop: Shop, packed: str) -> None:
    raw = archive({"d": folder(0o750, 5, 5), "d/f": file("f", 0o4711, 33, 33), "run/x": file("x"), ".wh.etc": file()})
    context = shop.context({"a.tar": file()})
    with open(f"{context}/a.tar", "wb") as out:
        out.write(compress(packed, raw))
    base = shop.layer(BASE)
    source = match(context, "a.tar") | {"unpack": True}
    found = shop.table(shop.copy([base], "/var", context=context, matches=[source]))
    assert found == {
        "run": folder(), "run/x": file("x"), "var": folder(), "var/d": folder(0o750, 5, 5),
        "var/d/f": file("f", 0o4711, 33, 33),
    }  # fmt: skip
    assert len(shop.warnings) == 1


@pytest.mark.several_ids
def test_an_archive_among_files_gives_way_and_takes_over_in_order(shop: Shop) -> None:
    context = shop.context({"a.tar": file(), "f": file("file")})
    with open(f"{context}/a.tar", "wb") as out:
        out.write(archive({"f": file("archive", uid=8), "g": file("g", uid=8)}))
    unpacked = match(context, "a.tar") | {"unpack": True}
    plain = match(context, "f")
    first = shop.table(shop.copy([shop.base()], "/x/", context=context, matches=[unpacked, plain]))
    assert first == {"x": folder(), "x/f": file("file"), "x/g": file("g", uid=8)}
    last = shop.table(shop.copy((), "/x/", context=context, matches=[plain, unpacked], chown="9:9"))
    assert last == {"x": folder(uid=9, gid=9), "x/f": file("archive", uid=9, gid=9), "x/g": file("g", uid=9, gid=9)}


def test_a_damaged_archive_is_an_error_and_leaves_no_layer(shop: Shop) -> None:
    context = shop.context({"a.tar": file()})
    with open(f"{context}/a.tar", "wb") as out:
        out.write(compress("gzip", archive({"f": file("x" * 5000)}))[:-20])
    before = sorted(os.listdir(shop.root / "store/layers"))
    with pytest.raises(errors.InvalidArchive):
        shop.copy((), "/x/", context=context, matches=[match(context, "a.tar") | {"unpack": True}])
    assert sorted(os.listdir(shop.root / "store/layers")) == before


def compress(kind: str, raw: bytes) -> bytes:
    import bz2
    import gzip
    import lzma

    if kind == "zstd":
        zstandard = pytest.importorskip("zstandard")
        packed: bytes = zstandard.compress(raw)
        return packed
    return {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}[kind](raw)


def test_a_link_that_the_context_puts_in_the_way_is_not_followed(shop: Shop) -> None:
    outside = shop.context({"secret": file("secret")}, "outside")
    context = shop.context({"d": folder(), "way": link(outside)})
    asked = [
        {"path": "way/secret", "name": "secret", "dir": False, "entries": []},
        {"path": "way", "name": "way", "dir": True, "entries": ["secret"]},
    ]
    for source in asked:
        with pytest.raises(errors.OrlopError, match=r"symbolic links|not a directory"):
            shop.copy((), "/x/", context=context, matches=[source])
    selected = {"path": "", "name": "", "dir": True, "entries": ["d", "way", "way/secret"]}
    found = shop.table(shop.copy((), "/x/", context=context, matches=[selected]))
    assert found == {"x": folder(), "x/d": folder(), "x/way": link(outside)}
