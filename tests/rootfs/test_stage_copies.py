"""COPY --from another stage: what is taken, what stays behind, and what is linked instead of copied."""

from __future__ import annotations

import os

import pytest
from shop import Shop, Tree, file, folder, hard, link

from orlop.core import errors
from orlop.rootfs import excludes

STAGE: Tree = {
    "app": folder(0o750, 1000, 1001),
    "app/main": file("main", 0o755, 1000, 1001),
    "app/lib": folder(0o755, 33, 33),
    "app/lib/a.so": file("a", uid=33, gid=33),
    "app/lib/b.so": hard("app/lib/a.so", uid=33, gid=33),
    "app/lib/c.txt": file("c"),
    "app/current": link("lib", 1000, 1001),
    "srv": link("/app"),
    "escape": link("../../app/main"),
}


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("sources", "destination", "expected"),
    [
        pytest.param(["app/main"], "/x", {"x": file("main", 0o755, 1000, 1001)}, id="owner and mode stay"),
        pytest.param(
            ["srv/main"], "/x", {"x": file("main", 0o755, 1000, 1001)}, id="links on the way to a source are followed"
        ),
        pytest.param(
            ["escape"],
            "/x",
            {"x": file("main", 0o755, 1000, 1001)},
            id="a source that is a link is followed, inside its root",
        ),
        pytest.param(
            ["app/lib/*.so"],
            "/x/",
            {"x": folder(), "x/a.so": file("a", uid=33, gid=33), "x/b.so": file("a", uid=33, gid=33)},
            id="a wildcard names several sources",
        ),
        pytest.param(
            ["app/li?"],
            "/x",
            {
                "x": folder(),
                "x/a.so": file("a", uid=33, gid=33),
                "x/b.so": hard("x/a.so", uid=33, gid=33),
                "x/c.txt": file("c"),
            },
            id="a directory that a wildcard names gives its content",
        ),
        pytest.param(["none*"], "/y/", {}, id="a wildcard may miss"),
        pytest.param(
            ["app/lib/[a-b].so", "app/lib/[^ab].*"],
            "/x/",
            {
                "x": folder(),
                "x/a.so": file("a", uid=33, gid=33),
                "x/b.so": file("a", uid=33, gid=33),
                "x/c.txt": file("c"),
            },
            id="classes",
        ),
        pytest.param(
            ["app"],
            "/x",
            {
                "x": folder(),
                "x/main": file("main", 0o755, 1000, 1001),
                "x/current": link("lib", 1000, 1001),
                "x/lib": folder(0o755, 33, 33),
                "x/lib/a.so": file("a", uid=33, gid=33),
                "x/lib/b.so": hard("x/lib/a.so", uid=33, gid=33),
                "x/lib/c.txt": file("c"),
            },
            id="a tree with its owners",
        ),
    ],
)
def test_files_of_another_stage(shop: Shop, sources: list[str], destination: str, expected: Tree) -> None:
    stage = shop.layer(STAGE)
    assert shop.table(shop.copy_from((), [stage], sources, destination)) == expected


def test_a_plain_source_that_is_not_there_is_an_error(shop: Shop) -> None:
    with pytest.raises(errors.BuildFailed, match='"/app/nothing": not found'):
        shop.copy_from((), [shop.layer(STAGE)], ["app/nothing"], "/x")


def test_a_malformed_pattern_is_an_error(shop: Shop) -> None:
    with pytest.raises(errors.Invalid, match="syntax error in pattern"):
        shop.copy_from((), [shop.layer(STAGE)], ["app/[a"], "/x/")


def test_what_upper_layers_of_the_source_hide_is_not_copied(shop: Shop) -> None:
    chain = [
        shop.layer(STAGE),
        shop.layer(
            {
                "app": folder(0o700),
                "app/.wh.main": file(),
                "app/lib": folder(),
                "app/lib/.wh..wh..opq": file(),
                "app/lib/new": file("n"),
            }
        ),
    ]
    found = shop.table(shop.copy_from((), chain, ["app"], "/x"))
    assert sorted(found) == ["x", "x/current", "x/lib", "x/lib/new"]


def test_excludes_are_judged_from_the_source(shop: Shop) -> None:
    rules = excludes.compiled(["**/*.so", "!lib/b.so", "current"])
    found = shop.table(shop.copy_from((), [shop.layer(STAGE)], ["app"], "/x", excludes=rules))
    assert sorted(found) == ["x", "x/lib", "x/lib/b.so", "x/lib/c.txt", "x/main"]


def test_an_excluded_directory_comes_back_with_what_is_taken_back(shop: Shop) -> None:
    rules = excludes.compiled(["lib", "!lib/c.txt"])
    found = shop.table(shop.copy_from((), [shop.layer(STAGE)], ["app"], "/x", excludes=rules))
    assert sorted(found) == ["x", "x/current", "x/lib", "x/lib/c.txt", "x/main"]
    gone = shop.table(shop.copy_from((), [shop.layer(STAGE)], ["app"], "/y", excludes=excludes.compiled(["lib"])))
    assert sorted(gone) == ["y", "y/current", "y/main"]


@pytest.mark.several_ids
def test_unchanged_files_of_frozen_layers_are_linked_not_copied(shop: Shop) -> None:
    stage = shop.layer({"d": folder(), "d/c.txt": file("c", uid=33)})
    made = shop.copy_from((), [stage], ["d"], "/x")
    changed = shop.copy_from((), [stage], ["d"], "/x", chown="9:9")
    where = shop.store.layers.path
    original = os.lstat(where(stage.id) / "d/c.txt")
    assert os.lstat(where(made.id) / "x/c.txt").st_ino == original.st_ino
    assert os.lstat(where(changed.id) / "x/c.txt").st_ino != original.st_ino


def test_the_size_counts_linked_files_once(shop: Shop) -> None:
    stage = shop.layer(STAGE)
    assert shop.copy_from((), [stage], ["app"], "/x").size == len("main") + len("a") + len("c")
    assert shop.copy_from((), [stage], ["app", "app/main"], "/x").size == len("main") + len("a") + len("c")


def test_two_files_that_only_share_their_bytes_stay_two(shop: Shop) -> None:
    stage = shop.layer({"a": file("same")})
    copied = shop.copy_from((), [stage], ["a"], "/b")
    found = shop.table(shop.copy_from((), [stage, copied], [""], "/x"))
    assert found == {"x": folder(), "x/a": file("same"), "x/b": file("same")}


def test_one_file_named_by_two_sources_becomes_two(shop: Shop) -> None:
    stage = shop.layer({"d": folder(), "d/a": file("same")})
    found = shop.table(shop.copy_from((), [stage], ["d", "d"], "/x/"))
    assert found == {"x": folder(), "x/a": file("same")}
