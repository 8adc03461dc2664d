"""Which entries of an upper directory are nothing but mount points that were made for a container."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orlop.runtime.init import stubs


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """As after `-v X:/made/deep -v Y:/old/in -v Z:/copied/file`, where /old was in the upper directory before."""
    for name in ("made/deep", "old/in", "copied"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "copied" / "file").touch()
    return tmp_path


def record(upper: Path) -> dict[str, Any]:
    def facts(path: str, *, copied: bool, mtime: int = 0) -> dict[str, Any]:
        return {"copied": copied, "mtime": mtime, "ctime": os.stat(upper / path.lstrip("/")).st_ctime_ns}

    return {
        "made": ["/made", "/made/deep", "/old/in", "/copied/file"],
        "parents": {
            "/": facts("", copied=False, mtime=7),
            "/made": facts("made", copied=True),
            "/old": facts("old", copied=False, mtime=5),
            "/copied": facts("copied", copied=True),
        },
    }


def test_untouched_mount_points_leave_no_trace(upper: Path) -> None:
    omit, times = stubs.traces(str(upper), record(upper))
    assert omit == {b"made", b"made/deep", b"old/in", b"copied", b"copied/file"}
    assert times == {b"": 7, b"old": 5}


def test_what_the_container_put_beside_them_stays(upper: Path) -> None:
    known = record(upper)
    (upper / "copied" / "own").write_text("x")
    (upper / "made" / "deep" / "own").write_text("x")
    omit, times = stubs.traces(str(upper), known)
    assert omit == {b"old/in", b"copied/file"}
    assert times == {b"": 7, b"old": 5}


def test_a_mount_point_that_has_content_is_a_file_like_others(upper: Path) -> None:
    known = record(upper)
    (upper / "copied" / "file").write_text("content")
    (upper / "old").chmod(0o700)
    omit, times = stubs.traces(str(upper), known)
    assert omit == {b"made", b"made/deep", b"old/in"}
    assert times == {b"": 7}


def test_links_in_place_of_directories_lead_nowhere(upper: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    known = record(upper)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "deep").mkdir()
    (upper / "made" / "deep").rmdir()
    (upper / "made").rmdir()
    (upper / "made").symlink_to(elsewhere)
    assert b"made" not in stubs.traces(str(upper), known)[0]
    assert stubs.traces(str(upper), {}) == (set(), {})
