"""The tar reader understands what others write; the writer's tars are understood by others."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.archive import entry as entries
from orlop.archive import tarheader
from orlop.archive.tarstream import Entry, TarReader, TarWriter
from orlop.core import errors


def read(data: bytes, **options: int) -> list[tuple[Entry, bytes]]:
    reader = TarReader(io.BytesIO(data), **options)
    return [(entry, reader.read(1 << 30)) for entry in reader]


def python_tar(fmt: int, *members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt, errors="surrogateescape") as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_gives_the_same_entries(fmt: int) -> None:
    info = tarfile.TarInfo("a/file")
    info.mode, info.uid, info.gid, info.mtime = 0o4755, 1000, 33, 1234567890
    link = tarfile.TarInfo("a/link")
    link.type, link.linkname, link.mode = tarfile.SYMTYPE, "../x", 0o777
    hard = tarfile.TarInfo("a/hard")
    hard.type, hard.linkname = tarfile.LNKTYPE, "a/file"
    device = tarfile.TarInfo("null")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    members = read(python_tar(fmt, (info, b"hello"), (link, b""), (hard, b""), (device, b"")))
    kinds = [entry.kind for entry, _ in members]
    assert kinds == [entries.FILE, entries.SYMLINK, entries.HARDLINK, entries.CHARACTER]
    first, data = members[0]
    assert (
        first.name, first.mode, first.uid, first.gid, first.mtime_ns, first.size,
    ) == (b"a/file", 0o4755, 1000, 33, 1234567890 * 10**9, 5)  # fmt: skip
    assert data == b"hello"
    assert members[1][0].linkname == b"../x"
    assert (members[3][0].devmajor, members[3][0].devminor) == (1, 3)


@pytest.mark.parametrize("fmt", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_targets_and_large_ids_are_read(fmt: int) -> None:
    name = "d/" * 90 + "n" * 150
    info = tarfile.TarInfo(name)
    info.uid, info.gid, info.mtime = 3_000_000, 1 << 31, 1 << 34
    link = tarfile.TarInfo("l")
    link.type, link.linkname = tarfile.SYMTYPE, "t" * 300
    (first, data), (second, _) = read(python_tar(fmt, (info, b"x"), (link, b"")))
    assert (name.encode(), 3_000_000, 1 << 31, (1 << 34) * 10**9, b"x") == (
        first.name, first.uid, first.gid, first.mtime_ns, data,
    )  # fmt: skip
    assert second.linkname == b"t" * 300


def test_pax_fractions_negative_times_and_attributes_are_read() -> None:
    info = tarfile.TarInfo("f")
    info.pax_headers = {"mtime": "-1.25", "SCHILY.xattr.user.k": "v=1\n2", "comment": "ignored"}
    other = tarfile.TarInfo("g")
    other.pax_headers = {"LIBARCHIVE.xattr.user.a%20b": "aGk", "mtime": "1.0000000019"}
    (first, _), (second, _) = read(python_tar(tarfile.PAX_FORMAT, (info, b""), (other, b"")))
    assert first.mtime_ns == -1_250_000_000
    assert first.xattrs == {b"user.k": b"v=1\n2"}
    assert second.xattrs == {b"user.a b": b"hi"}
    assert second.mtime_ns == 1_000_000_001


def test_global_pax_headers_change_nothing() -> None:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "evil", "uid": "5"}
    ) as tar:
        tar.addfile(tarfile.TarInfo("good"))
    ((entry, _),) = read(out.getvalue())
    assert (entry.name, entry.uid) == (b"good", 0)


def test_a_v7_file_with_a_trailing_slash_is_a_directory() -> None:
    block = bytearray(tarheader.header(b"dir/", b"0", tarheader.owner_field(0o755, 0, 0), 0, 0))
    block[257:265] = bytes(8)
    block[156] = 0
    total = tarheader.checksum(bytes(block))
    block[148:156] = b"%06o\0 " % total
    ((entry, _),) = read(bytes(block) + bytes(1024))
    assert entry.kind == entries.DIRECTORY


def test_names_are_bytes() -> None:
    name = b"caf\xe9/\xff"
    ((entry, _),) = read(python_tar(tarfile.GNU_FORMAT, (tarfile.TarInfo(os.fsdecode(name)), b"")))
    assert name == entry.name


def test_data_nobody_reads_is_stepped_over(tar: Callable[..., bytes]) -> None:
    data = tar((Entry(b"big"), b"x" * 3_000_001), Entry(b"small"))
    assert [entry.name for entry in TarReader(io.BytesIO(data))] == [b"big", b"small"]


def test_a_seekable_reader_tells_where_data_lies(tmp_path: Path, tar: Callable[..., bytes]) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar((Entry(b"one"), b"1" * 5_000_000), (Entry(b"two"), b"22")))
    with path.open("rb") as file:
        reader = TarReader(file, seekable=True)
        places = {entry.name: (reader.offset, entry.size) for entry in reader}
    raw = path.read_bytes()
    offset, size = places[b"two"]
    assert raw[offset : offset + size] == b"22"
    path.write_bytes(raw[:4_000_000])
    with path.open("rb") as file, pytest.raises(errors.InvalidArchive, match="truncated"):
        list(TarReader(file, seekable=True))


def test_a_pipe_that_gives_small_pieces_is_enough(tar: Callable[..., bytes]) -> None:
    class Dribble(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._file = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self._file.read(min(size, 7))

        readinto = None  # type: ignore[assignment]

    reader = TarReader(Dribble(tar((Entry(b"a"), b"abc" * 999), Entry(b"b"))))  # type: ignore[arg-type]
    assert [(entry.name, reader.read(1 << 20)) for entry in reader] == [(b"a", b"abc" * 999), (b"b", b"")]


SPARSE = [(0, b"start"), (1 << 20, b"middle" * 1000), (5 << 20, b"end")]


@pytest.fixture(scope="module")
def sparse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sparse") / "holes"
    with path.open("wb") as file:
        for offset, data in SPARSE:
            file.seek(offset)
            file.write(data)
        # More extents than the four of an old header, more than the 21 of its first extension.
        for number in range(40):
            file.seek((6 << 20) + number * (1 << 16))
            file.write(b"%d" % number)
        file.truncate(20 << 20)
    return path


@pytest.mark.parametrize("flags", [
    ["--format=gnu"], ["--format=pax", "--sparse-version=0.0"], ["--format=pax", "--sparse-version=0.1"],
    ["--format=pax", "--sparse-version=1.0"],
])  # fmt: skip
def test_every_sparse_format_of_gnu_tar_is_unpacked(
    flags: list[str], sparse_file: Path, unpack: Callable[..., object]
) -> None:
    command = ["tar", "-S", *flags, "-C", str(sparse_file.parent), "-cf", "-", "holes"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(data) < 1 << 20
    result = unpack(data)
    copy = result.root / "holes"  # type: ignore[attr-defined]
    assert sparse_file.read_bytes() == copy.read_bytes()
    assert result.result.size == 20 << 20  # type: ignore[attr-defined]
    assert copy.stat().st_blocks * 512 < 4 << 20


BAD_SPARSE = [
    {"GNU.sparse.map": "0,10,5,10", "GNU.sparse.size": "100"},
    {"GNU.sparse.map": "0,20", "GNU.sparse.size": "10"},
    {"GNU.sparse.map": "0,5", "GNU.sparse.size": "100"},
    {"GNU.sparse.map": "0", "GNU.sparse.size": "100"},
    {"GNU.sparse.map": "x,y", "GNU.sparse.size": "100"},
    {"GNU.sparse.map": "0,20"},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100"},
    {"GNU.sparse.major": "7", "GNU.sparse.realsize": "100"},
]


@pytest.mark.parametrize("records", BAD_SPARSE)
def test_a_sparse_map_that_lies_is_refused(records: dict[str, str]) -> None:
    info = tarfile.TarInfo("f")
    info.pax_headers = records
    with pytest.raises(errors.InvalidArchive):
        read(python_tar(tarfile.PAX_FORMAT, (info, b"z" * 20)))


def records(body: bytes, kind: bytes = b"x") -> bytes:
    head = tarheader.header(b"p", kind, tarheader.owner_field(0o644, 0, 0), len(body), 0)
    return head + body + bytes(-len(body) % 512)


FILE = tarheader.header(b"f", b"0", tarheader.owner_field(0o644, 0, 0), 3, 0) + b"abc" + bytes(509)


@pytest.mark.parametrize("data", [
    FILE[:300],
    FILE[:514],
    FILE + b"garbage" * 100,
    records(b"999999 path=x\n") + FILE,
    records(b"5 path") + FILE,
    records(b"11 size=-1\n\n") + FILE,
    records(b"9 size=x\n") + FILE,
    records(b"10 uid=-1\n") + FILE,
    records(b"21 uid=4294967295000\n") + FILE,
    records(b"17 mtime=1.2.345\n") + FILE,
    records(b"10 path=\0\n") + FILE,
    records(b"6 a=b\n") + bytes(1024),
    records(b"6 a=b\n"),
    records(b"6 a=b\n") * 9 + FILE,
    tarheader.header(b"p", b"x", tarheader.owner_field(0, 0, 0), 1 << 21, 0) + bytes(1 << 21) + FILE,
    tarheader.header(b"p", b"L", tarheader.owner_field(0, 0, 0), 1 << 32, 0) + bytes(1 << 21),
    tarheader.header(b"f", b"M", tarheader.owner_field(0, 0, 0), 0, 0),
    b"\x80" * 512,
    os.urandom(1024),
])  # fmt: skip
def test_a_damaged_or_hostile_header_is_refused(data: bytes) -> None:
    with pytest.raises(errors.InvalidArchive):
        read(data)


def test_a_size_in_pax_rules_over_the_header() -> None:
    # A reader that trusts the header here would take the hidden entry for a real one.
    hidden = tarheader.header(b"hidden", b"0", tarheader.owner_field(0o644, 0, 0), 0, 0)
    outer = tarheader.header(b"outer", b"0", tarheader.owner_field(0o644, 0, 0), 0, 0)
    members = read(records(b"12 size=512\n") + outer + hidden + bytes(1024))
    assert [(b"outer", hidden)] == [(entry.name, data) for entry, data in members]


def test_the_stream_has_a_limit(tar: Callable[..., bytes]) -> None:
    with pytest.raises(errors.InvalidArchive, match="larger than the limit"):
        read(tar((Entry(b"a"), bytes(4 << 20))), limit=1 << 20)


def test_an_empty_stream_is_an_empty_tar() -> None:
    assert read(b"") == []


ENTRIES = st.builds(
    Entry,
    name=st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and name[-1:] != b"/"),
    kind=st.sampled_from([entries.FILE, entries.DIRECTORY, entries.SYMLINK, entries.FIFO, entries.CHARACTER]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
    mtime_ns=st.integers(-(1 << 69), 1 << 69),
    linkname=st.binary(max_size=200).filter(lambda name: b"\0" not in name),
    devmajor=st.integers(0, (1 << 12) - 1),
    devminor=st.integers(0, (1 << 20) - 1),
    xattrs=st.dictionaries(st.binary(min_size=1, max_size=20).filter(lambda k: b"=" not in k and b"\0" not in k),
                           st.binary(max_size=60), max_size=3),
)  # fmt: skip


@given(st.lists(st.tuples(ENTRIES, st.binary(max_size=1500)), max_size=5))
def test_what_the_writer_writes_the_reader_reads(members: list[tuple[Entry, bytes]]) -> None:
    out = io.BytesIO()
    writer = TarWriter(out.write)
    for entry, data in members:
        entry.size = len(data) if entry.kind == entries.FILE else 0
        writer.add(entry, io.BytesIO(data))
    writer.finish()
    assert writer.size == len(out.getvalue())
    again = read(out.getvalue())
    for (entry, data), (other, other_data) in zip(members, again, strict=True):
        suffix = b"/" if entry.kind == entries.DIRECTORY else b""
        assert entry.name + suffix == other.name
        for field in ("kind", "mode", "uid", "gid", "mtime_ns", "linkname", "xattrs"):
            assert getattr(entry, field) == getattr(other, field), field
        if entry.kind == entries.FILE:
            assert data == other_data
        if entry.kind == entries.CHARACTER:
            assert (entry.devmajor, entry.devminor) == (other.devmajor, other.devminor)


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(errors.InvalidArchive):
        read(data)


@given(st.data())
def test_a_flipped_byte_never_breaks_the_reader(data: st.DataObject) -> None:
    raw = bytearray(records(b"12 path=abcd\n"[:12] + b"\n") + FILE + bytes(1024))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    total = tarheader.checksum(bytes(raw[:512]))
    raw[148:156] = b"%06o\0 " % total
    with contextlib.suppress(errors.InvalidArchive):
        read(bytes(raw))


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_other_programs_read_what_the_writer_writes(program: str, tmp_path: Path, tar: Callable[..., bytes]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    long_name = b"d/" * 70 + b"x" * 120
    data = tar(
        (Entry(b"plain", mode=0o640, mtime_ns=1_500_000_000_123_456_789), b"hello"),
        (Entry(long_name, mtime_ns=10**9), b"far"),
        Entry(b"link", entries.SYMLINK, linkname=b"t" * 150),
        Entry(b"hard", entries.HARDLINK, linkname=long_name),
    )
    subprocess.run([program, "-xf", "-"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "plain").read_text() == "hello"
    assert (tmp_path / "plain").stat().st_mtime_ns == 1_500_000_000_123_456_789
    assert str((tmp_path / "link").readlink()) == "t" * 150
    assert (tmp_path / "hard").samefile(tmp_path / os.fsdecode(long_name))


def test_python_reads_what_the_writer_writes(tar: Callable[..., bytes]) -> None:
    data = tar((Entry(b"\xff" * 120, uid=1 << 30, xattrs={b"user.x": b"\0\xff"}), b"y"))
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        (info,) = archive.getmembers()
    assert (os.fsdecode(b"\xff" * 120), 1 << 30) == (info.name, info.uid)


def test_a_file_that_shrinks_while_it_is_written_is_reported() -> None:
    writer = TarWriter(lambda _: None)
    with pytest.raises(errors.Corrupt, match="size changed"):
        writer.add(Entry(b"f", size=10), io.BytesIO(b"short"))
