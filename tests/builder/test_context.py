from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from orlop.builder.context import Context, Missing
from orlop.builder.contexthash import ContextHasher, StatKey
from orlop.core import errors
from orlop.core.job import CancelToken, Job
from orlop.dockerfile.ignorefile import parse_ignore


class Memory:
    """Keeps hashes as the store does, and counts."""

    def __init__(self) -> None:
        self.known: dict[StatKey, str] = {}
        self.put = 0

    def get_many(self, keys: Iterable[StatKey]) -> dict[StatKey, str]:
        return {key: self.known[key] for key in keys if key in self.known}

    def put_many(self, hashes: Mapping[StatKey, str]) -> None:
        self.put += len(hashes)
        self.known.update(hashes)


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)


def found(root: Path, source: str, ignore: str = "", excludes: tuple[str, ...] = ()) -> list[str] | None:
    """What a source takes: `path` for files, `path:` and the entries for directories; None when it is missing."""
    context = Context(str(root), parse_ignore(ignore) if ignore else None)
    result = context.find(source, excludes, Job())
    if isinstance(result, Missing):
        return None
    listed: list[str] = []
    for match in result:
        listed.append(f"{match.path}:" if match.is_dir else match.path)
        listed += [path for path, _ in match.entries]
    return listed


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a", ["a"]),
        ("d", ["d:", "e", "e/g", "f"]),
        ("d/e", ["d/e:", "g"]),
        ("", [":", ".hidden", "a", "b.md", "c.md", "d", "d/e", "d/e/g", "d/f", "empty"]),
        ("*.md", ["b.md", "c.md"]),
        ("d/*", ["d/e:", "g", "d/f"]),
        ("*/f", ["d/f"]),
        ("*/*/g", ["d/e/g"]),
        ("none*", []),
        ("d/none*", []),
        ("none*/x", []),
        ("none", None),
        ("d/none", None),
        ("a/b", None),
        ("[ab]*", ["a", "b.md"]),
        (".h*", [".hidden"]),
    ],
)
def test_sources_name_files(tmp_path: Path, source: str, expected: list[str] | None) -> None:
    fill(tmp_path, "a", "b.md", "c.md", ".hidden", "d/f", "d/e/g", "empty/")
    assert found(tmp_path, source) == expected


@pytest.mark.parametrize(
    ("ignore", "source", "expected"),
    [
        ("d", "", [":", "a"]),
        ("d/e", "", [":", "a", "d", "d/f"]),
        ("d\n!d/e/g", "", [":", "a", "d", "d/e", "d/e/g"]),
        ("d\n!d/e/g", "d", ["d:", "e", "e/g"]),
        ("d", "d", None),
        ("d", "d/f", None),
        ("d\n!d/f", "d/f", ["d/f"]),
        ("d\n!d/zzz", "d", None),
        ("*\n!a", "", [":", "a"]),
        ("**/g", "d", ["d:", "e", "f"]),
        ("a", "a", None),
        ("a", "*", ["d:", "e", "e/g", "f"]),
        ("*.md", "a", ["a"]),
    ],
)
def test_the_ignore_file_hides(tmp_path: Path, ignore: str, source: str, expected: list[str] | None) -> None:
    fill(tmp_path, "a", "d/f", "d/e/g")
    assert found(tmp_path, source, ignore) == expected


def test_excludes_are_relative_to_the_directory_that_is_copied(tmp_path: Path) -> None:
    fill(tmp_path, "d/a.md", "d/b.txt", "d/s/c.md", "x.md", "x.txt")
    assert found(tmp_path, "d", excludes=("*.md",)) == ["d:", "b.txt", "s", "s/c.md"]
    assert found(tmp_path, "d", excludes=("**/*.md",)) == ["d:", "b.txt", "s"]
    assert found(tmp_path, "d", excludes=("s", "!s/c.md")) == ["d:", "a.md", "b.txt", "s", "s/c.md"]
    assert found(tmp_path, "x.*", excludes=("*.md",)) == ["x.txt"]


def test_links_are_followed_on_the_way_and_kept_inside(tmp_path: Path) -> None:
    fill(tmp_path, "real/f", "real/s/g")
    (tmp_path / "to").symlink_to("real")
    (tmp_path / "absolute").symlink_to("/real/f")
    (tmp_path / "up").symlink_to("../../real/s")
    (tmp_path / "real" / "inner").symlink_to("f")
    (tmp_path / "broken").symlink_to("nothing")
    assert found(tmp_path, "to/f") == ["real/f"]
    assert found(tmp_path, "to") == ["real:", "f", "inner", "s", "s/g"]
    assert found(tmp_path, "absolute") == ["real/f"]
    assert found(tmp_path, "up/g") == ["real/s/g"]
    assert found(tmp_path, "to/inner") == ["real/f"]
    assert found(tmp_path, "broken") is None
    assert found(tmp_path, "to/f", ignore="real") is None


def test_links_never_lead_out_of_the_context(tmp_path: Path) -> None:
    root = tmp_path / "context"
    fill(root, "x")
    fill(tmp_path, "secret")
    (root / "out").symlink_to("../secret")
    (root / "away").symlink_to(str(tmp_path))
    assert found(root, "out") is None
    assert found(root, "away/secret") is None


def test_a_ring_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(errors.Invalid, match="too many symbolic links"):
        found(tmp_path, "a")


def test_a_malformed_pattern_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="syntax error in pattern"):
        found(tmp_path, "[a")


def test_ignored_directories_are_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a", "big/x/y", "keep/z")
    seen: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (seen.append(str(path)), real(path))[1])
    assert found(tmp_path, "", "big\n!keep") == [":", "a", "keep", "keep/z"]
    assert not any("big" in path for path in seen)


# --- digests


def digest(root: Path, source: str = "", memory: Memory | None = None, now: Callable[[], float] = time.time) -> str:
    context = Context(str(root), None)
    matches = context.find(source, (), Job())
    assert not isinstance(matches, Missing)
    return ContextHasher(str(root), memory or Memory(), now).select(matches, Job()).digest


def chown(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(path, 1, 1)


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        (lambda root: os.utime(root / "f", (1, 1)), False),
        (lambda root: chown(root / "f"), False),
        (lambda root: (root / "f").write_text("f"), False),
        (lambda root: (root / "f").write_text("g"), True),
        (lambda root: os.chmod(root / "f", 0o600), True),
        (lambda root: (root / "f").rename(root / "h"), True),
        (lambda root: (root / "new").mkdir(), True),
        (lambda root: ((root / "l").unlink(), (root / "l").symlink_to("g")), True),
        (lambda root: ((root / "f").unlink(), (root / "f").mkdir()), True),
        (lambda root: os.chmod(root / "d", 0o700), True),
        (lambda root: os.utime(root / "d", (1, 1)), False),
    ],
)
def test_a_digest_changes_with_what_a_copy_would_take(
    tmp_path: Path, change: Callable[[Path], object], matters: bool
) -> None:
    fill(tmp_path, "f", "d/e")
    (tmp_path / "f").write_text("f")
    (tmp_path / "l").symlink_to("f")
    before = digest(tmp_path)
    change(tmp_path)
    assert (digest(tmp_path) != before) is matters


def test_the_name_of_a_file_counts_and_that_of_a_directory_does_not(tmp_path: Path) -> None:
    for name in ("a", "b", "d1/x", "d2/x"):
        fill(tmp_path, name)
        (tmp_path / name).write_text("same")
    assert digest(tmp_path, "a") != digest(tmp_path, "b")
    assert digest(tmp_path, "d1") == digest(tmp_path, "d2")


def test_extended_attributes_count(tmp_path: Path) -> None:
    fill(tmp_path, "f")
    before = digest(tmp_path)
    try:
        os.setxattr(tmp_path / "f", "user.note", b"x")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    assert digest(tmp_path) != before


def test_files_at_rest_are_hashed_once(tmp_path: Path) -> None:
    fill(tmp_path, "a", "d/b")
    memory = Memory()
    later = time.time() + 60
    first = digest(tmp_path, memory=memory, now=lambda: later)
    assert memory.put == 2
    (tmp_path / "a").write_text("b")
    assert digest(tmp_path, memory=memory, now=lambda: later) != first
    assert memory.put == 3
    memory.known = dict.fromkeys(memory.known, "00")
    assert digest(tmp_path, memory=memory, now=lambda: later) != digest(tmp_path)


def test_files_that_changed_a_moment_ago_are_not_remembered(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    memory = Memory()
    digest(tmp_path, memory=memory)
    assert memory.put == 0


def test_a_file_that_changes_after_hashing_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, "a", "d/b", "d/c")
    context = Context(str(tmp_path), None)
    hasher = ContextHasher(str(tmp_path), Memory(), time.time)
    matches = context.find("", (), Job())
    assert not isinstance(matches, Missing)
    selection = hasher.select(matches, Job())
    assert hasher.changed(selection) is None
    (tmp_path / "d/c").write_text("other")
    assert hasher.changed(selection) == "d/c"
    (tmp_path / "a").unlink()
    assert hasher.changed(selection) == "a"


def test_hashing_can_be_cancelled(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    token = CancelToken()
    token.cancel()
    context = Context(str(tmp_path), None)
    with pytest.raises(errors.Cancelled):
        context.find("", (), Job(token=token))


def test_a_context_of_thousands_of_files_costs_tens_of_milliseconds(tmp_path: Path) -> None:
    for folder in range(50):
        (tmp_path / f"d{folder}").mkdir()
        for file in range(105):
            (tmp_path / f"d{folder}" / f"f{file}").write_text(str(file))
    memory = Memory()
    later = time.time() + 60
    first = digest(tmp_path, memory=memory, now=lambda: later)
    times = []
    for _ in range(3):
        began = time.monotonic()
        assert digest(tmp_path, memory=memory, now=lambda: later) == first
        times.append(time.monotonic() - began)
    assert min(times) < 0.25
