"""Every compression is recognized by content, survives being cut into any pieces, and never hides that it was cut off."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.archive import compression
from orlop.archive.compression import Compression
from orlop.archive.zstdframes import ZstdFrames
from orlop.core import errors

zstandard = pytest.importorskip("zstandard")

PLAIN = random.Random(7).randbytes(70_000) + b"easy " * 100_000


def skippable(data: bytes) -> bytes:
    return (0x184D2A53).to_bytes(4, "little") + len(data).to_bytes(4, "little") + data


def zstd(data: bytes, *, checksum: bool = True, size: bool = True) -> bytes:
    options = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size)
    return bytes(options.compress(data))


PACKED = {
    "gzip": gzip.compress(PLAIN),
    "gzip members": gzip.compress(PLAIN[:100]) + gzip.compress(b"") + gzip.compress(PLAIN[100:]),
    "zstd": zstd(PLAIN),
    "zstd without checksum": zstd(PLAIN, checksum=False),
    "zstd without size": zstd(PLAIN, size=False),
    "zstd frames": skippable(b"toc") + zstd(PLAIN[:5]) + skippable(b"") + zstd(PLAIN[5:]) + skippable(b"end"),
    "bzip2": bz2.compress(PLAIN),
    "bzip2 streams": bz2.compress(PLAIN[:9]) + bz2.compress(PLAIN[9:]),
    "xz": lzma.compress(PLAIN),
    "xz streams": lzma.compress(PLAIN[:9]) + bytes(8) + lzma.compress(PLAIN[9:]),
    "none": PLAIN,
    "none, short": b"abc",
    "nothing": b"",
}


class Dribble:
    """Gives a byte or a few at a time, as a socket may."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        self._file = io.BytesIO(data)
        self._most = most
        self.closed = False

    def read(self, count: int = -1) -> bytes:
        return self._file.read(min(count, self._most) if count >= 0 else self._most)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("name", PACKED)
def test_plain_bytes_come_out(name: str) -> None:
    wanted = {"none, short": b"abc", "nothing": b""}.get(name, PLAIN)
    assert wanted == compression.decompressed(io.BytesIO(PACKED[name])).read()
    assert wanted == compression.decompressed(Dribble(PACKED[name])).read()


@pytest.mark.parametrize("name", [name for name in PACKED if not name.startswith("no")])
def test_cut_off_data_is_told(name: str) -> None:
    data = PACKED[name]
    for cut in (9, 20, len(data) // 2, len(data) - 1):
        with pytest.raises(errors.InvalidArchive):
            compression.decompressed(io.BytesIO(data[:cut])).read()


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_damaged_data_is_told(name: str) -> None:
    data = bytearray(PACKED[name])
    data[len(data) // 2 : len(data) // 2 + 4] = b"\xff\0\xff\0"
    with pytest.raises(errors.InvalidArchive):
        compression.decompressed(io.BytesIO(bytes(data))).read()


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_zeros_may_follow_and_nothing_else(name: str) -> None:
    assert compression.decompressed(io.BytesIO(PACKED[name] + bytes(600_000))).read() == PLAIN
    with pytest.raises(errors.InvalidArchive, match="followed by something else"):
        compression.decompressed(io.BytesIO(PACKED[name] + b"garbage")).read()


@pytest.mark.parametrize(("name", "kind"), [
    ("gzip", Compression.GZIP), ("zstd frames", Compression.ZSTD), ("zstd", Compression.ZSTD),
    ("bzip2", Compression.BZIP2), ("xz", Compression.XZ), ("none", Compression.NONE), ("nothing", Compression.NONE),
])  # fmt: skip
def test_the_first_bytes_tell_the_kind(name: str, kind: Compression) -> None:
    assert kind is compression.detect(PACKED[name][:8])


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bz2.compress, lzma.compress])
def test_a_bomb_is_read_in_small_pieces(pack: object) -> None:
    bomb = pack(bytes(64 << 20))  # type: ignore[operator]
    assert len(bomb) < 1 << 18
    tracemalloc.start()
    with compression.decompressed(io.BytesIO(bomb)) as plain:
        assert sum(len(chunk) for chunk in iter(lambda: plain.read(1 << 20), b"")) == 64 << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_closing_the_result_closes_the_source() -> None:
    for name, data in PACKED.items():
        source = Dribble(data)
        compression.decompressed(source).close()
        assert source.closed, name


@pytest.mark.parametrize("kind", [Compression.NONE, Compression.GZIP, Compression.ZSTD])
def test_what_is_compressed_comes_back_and_is_always_the_same(kind: Compression) -> None:
    def pack() -> bytes:
        packer = compression.compressor(kind, 1)
        return packer.compress(PLAIN[:100_000]) + packer.compress(PLAIN[100_000:]) + packer.flush()

    assert pack() == pack()
    assert compression.decompressed(io.BytesIO(pack())).read() == PLAIN
    assert kind is compression.detect(pack())


def test_other_programs_read_what_is_compressed() -> None:
    for kind, program in ((Compression.GZIP, "gzip"), (Compression.ZSTD, "zstd")):
        if shutil.which(program) is None:
            continue
        packer = compression.compressor(kind)
        data = packer.compress(PLAIN) + packer.flush()
        assert subprocess.run([program, "-dc"], input=data, capture_output=True, check=True).stdout == PLAIN


def test_nobody_writes_bzip2() -> None:
    with pytest.raises(errors.Invalid):
        compression.compressor(Compression.BZIP2)


WITHOUT = """
import sys
sys.modules["isal"] = sys.modules["isal.isal_zlib"] = sys.modules["zstandard"] = None
import io
from orlop.archive import compression
from orlop.core import errors
packer = compression.compressor(compression.Compression.GZIP, 6)
data = packer.compress(b"x" * 100000) + packer.flush()
assert compression.decompressed(io.BytesIO(data + data)).read() == b"x" * 200000
for action in (lambda: compression.compressor(compression.Compression.ZSTD),
               lambda: compression.decompressed(io.BytesIO(bytes.fromhex("28b52ffd00000000")))):
    try:
        action()
    except errors.Unavailable as error:
        print(error.hint)
"""


def test_without_the_compiled_packages_gzip_works_and_zstd_says_what_to_install() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines() == ["Install it with `pip install zstandard`, or ask for gzip."] * 2


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans(), st.booleans()), max_size=4), st.data())
def test_frames_are_complete_exactly_at_their_ends(frames: list[tuple[bytes, bool, bool]], data: st.DataObject) -> None:
    stream, ends = b"", {0}
    for content, checksum, size in frames:
        stream += zstd(content, checksum=checksum, size=size) if size or checksum else skippable(content)
        ends.add(len(stream))
    cut = data.draw(st.integers(0, len(stream)))
    middle = data.draw(st.integers(0, cut))
    watcher = ZstdFrames()
    watcher.feed(stream[:middle])
    watcher.feed(stream[middle:cut])
    assert (cut in ends) == watcher.complete
