"""The arrangement on disk and its version."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orlop.core import errors
from orlop.store.layout import Layout, is_id, new_id
from orlop.store.store import Store


def test_opening_makes_an_oci_layout_that_only_the_owner_may_enter(root: Path) -> None:
    Store(root).close()
    assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert os.stat(root).st_mode & 0o777 == 0o700
    assert (root / "version").read_text() == "1\n"


def test_opening_again_keeps_what_is_there(root: Path) -> None:
    Store(root).close()
    (root / "blobs" / "sha256" / "x").write_bytes(b"y")
    Store(root).close()
    assert (root / "blobs" / "sha256" / "x").read_bytes() == b"y"


@pytest.mark.parametrize("version", ["2", "999999", "", "x", "-1"])
def test_a_layout_of_another_version_is_refused_and_left_alone(root: Path, version: str) -> None:
    root.mkdir()
    (root / "version").write_text(version)
    with pytest.raises(errors.Unavailable) as caught:
        Store(root)
    assert caught.value.hint
    assert [root / "version"] == list(root.iterdir())


def test_a_file_in_the_way_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.Unavailable) as caught:
        Store(tmp_path / "file")
    assert "ORLOP_ROOT" in (caught.value.hint or "")


def test_a_place_that_cannot_be_written_is_an_error_with_a_hint() -> None:
    with pytest.raises(errors.OrlopError) as caught:
        Store(Path("/proc/orlop"))
    assert "open the image store" in caught.value.message


def test_interrupted_making_is_finished_by_the_next_opening(root: Path) -> None:
    Store(root).close()
    (root / "version").unlink()
    (root / "trash").rmdir()
    Store(root).close()
    assert (root / "trash").is_dir()


def test_ids_are_26_characters_of_base_32_and_differ() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(map(is_id, ids))
    assert not any(map(is_id, ("", "a" * 25, "A" * 26, "1" * 26, ".new-" + "a" * 21)))


def test_paths_are_absolute_even_for_a_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Path("s"))
    assert store.root == tmp_path / "s"
    assert store.layers.path("x") == Layout(tmp_path / "s").layers / "x" / "diff"
    store.close()
