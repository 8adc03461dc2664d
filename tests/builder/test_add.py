from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from building import Lab

from orlop.builder.context import Context, Missing
from orlop.builder.ops import add
from orlop.core import errors
from orlop.core.job import Job


def packed(**files: str) -> bytes:
    """A tar whose members belong to 7:8."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size, info.uid, info.gid, info.mode = len(text), 7, 8, 0o640
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def judged(root: Path, data: bytes, name: str = "f") -> bool:
    (root / name).write_bytes(data)
    matches = Context(str(root), None).find(name, (), Job())
    assert not isinstance(matches, Missing)
    return add.is_archive(str(root), matches[0])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (packed(a="1"), True),
        (gzip.compress(packed(a="1"), mtime=0), True),
        (bz2.compress(packed(a="1")), True),
        (lzma.compress(packed(a="1")), True),
        (b"", False),
        (b"plain text", False),
        (b"x" * 2000, False),
        (b"\0" * 1024, False),
        (gzip.compress(b"not a tar", mtime=0), False),
        (gzip.compress(packed(a="1"), mtime=0)[:20], False),
        (b"PK\3\4" + b"\0" * 600, False),
        (packed(a="1")[:300], False),
    ],
)
def test_an_archive_is_known_by_its_content(tmp_path: Path, data: bytes, expected: bool) -> None:
    assert judged(tmp_path, data) is expected
    assert judged(tmp_path, data, "named.tar.gz") is expected


def test_a_directory_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    matches = Context(str(tmp_path), None).find("d", (), Job())
    assert not isinstance(matches, Missing)
    assert not add.is_archive(str(tmp_path), matches[0])


@pytest.mark.several_ids
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_archives_are_unpacked_with_their_owners(lab: Lab, compress: Callable[[bytes], bytes]) -> None:
    (lab.context / "a").write_bytes(compress(packed(f="1", d__g="2")))
    tree = lab.tree(lab.build("FROM base\nADD a /c/new").image, "/c")
    assert tree["new"] == "755 0:0"
    assert tree["new/f"] == "640 7:8 1"
    assert tree["new/d/g"] == "640 7:8 2"


@pytest.mark.several_ids
def test_archives_and_files_may_be_mixed(lab: Lab) -> None:
    (lab.context / "a.tar").write_bytes(packed(f="1"))
    lab.write({"plain": "p"})
    image = lab.build(
        "FROM base\nADD a.tar plain /c/\nADD --chown=5:6 a.tar /c/owned/\nADD --unpack=false a.tar /c/kept\nCOPY a.tar /c/copied"
    ).image
    assert sorted(lab.tree(image, "/c")) == ["copied", "f", "kept", "owned", "owned/f", "plain"]
    assert lab.tree(image, "/c/owned") == {"f": "640 5:6 1"}


@pytest.mark.several_ids
def test_unpacking_follows_directories_that_are_links(lab: Lab) -> None:
    (lab.context / "a.tar").write_bytes(packed(link__f="1", var__run__g="2"))
    image = lab.build("FROM base\nRUN mkdir /real && ln -s /real /link\nADD a.tar /").image
    assert lab.tree(image, "/real") == {"f": "640 7:8 1"}
    assert lab.tree(image, "/run") == {"g": "640 7:8 2"}


def test_a_hostile_archive_stays_inside(lab: Lab, tmp_path: Path) -> None:
    (lab.context / "a.tar").write_bytes(packed(**{"..____escaped": "x", "f": "1"}))
    outside = tmp_path / "escaped"
    try:
        lab.build("FROM base\nADD a.tar /c/")
    except errors.OrlopError as error:
        assert isinstance(error, (errors.InvalidArchive, errors.BuildFailed))
    assert not outside.exists()


def test_a_damaged_archive_is_an_error_with_its_place(lab: Lab) -> None:
    (lab.context / "a.tar").write_bytes(packed(f="1" * 2000)[:1200])
    with pytest.raises(errors.OrlopError) as caught:
        lab.build("FROM base\nADD a.tar /c/")
    assert isinstance(caught.value, errors.InvalidArchive)
    assert caught.value.location is not None
