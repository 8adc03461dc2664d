"""Blobs are written whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.store.store import Store

DATA = os.urandom(3 << 20)
DIGEST = digests.of_bytes(DATA)


def _descriptor(data: bytes = DATA, size: int | None = None, algorithm: str = "sha256") -> Descriptor:
    digest = Digest(algorithm, hashlib.new(algorithm, data).hexdigest())
    return Descriptor("application/octet-stream", digest, len(data) if size is None else size)


def _assert_nothing_is_left(store: Store) -> None:
    assert os.listdir(store.layout.ingest) == []
    assert list(store.blobs.all()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_stream_that_matches_becomes_a_read_only_blob(store: Store, job: Job, algorithm: str) -> None:
    descriptor = _descriptor(algorithm=algorithm)
    store.blobs.put(descriptor, io.BytesIO(DATA), job)
    assert store.blobs.has(descriptor.digest)
    assert len(DATA) == store.blobs.size(descriptor.digest)
    assert store.blobs.read(descriptor.digest) == DATA
    with store.blobs.open(descriptor.digest) as file:
        assert file.read() == DATA
    assert stat.S_IMODE(os.stat(store.blobs.path(descriptor.digest)).st_mode) == 0o444
    assert os.listdir(store.layout.ingest) == []
    assert [descriptor.digest] == [blob.digest for blob in store.blobs.all()]


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (DATA[:-1], None),
        (DATA + b"x", None),
        (DATA[:-1] + bytes([DATA[-1] ^ 1]), None),
        (DATA, len(DATA) - 1),
        (DATA, len(DATA) + 1),
        (b"", None),
    ],
)  # fmt: skip
def test_a_stream_that_differs_is_corrupt_and_leaves_nothing(
    store: Store, job: Job, stream: bytes, size: int | None
) -> None:
    with pytest.raises(errors.Corrupt):
        store.blobs.put(_descriptor(size=size), io.BytesIO(stream), job)
    _assert_nothing_is_left(store)


def test_an_empty_blob_is_a_blob(store: Store, job: Job) -> None:
    store.blobs.put(_descriptor(b""), io.BytesIO(b""), job)
    assert store.blobs.read(digests.of_bytes(b"")) == b""


def test_a_blob_that_is_there_is_not_read_again(store: Store, job: Job) -> None:
    store.blobs.put(_descriptor(), io.BytesIO(DATA), job)
    source = io.BytesIO(DATA)
    store.blobs.put(_descriptor(), source, job)
    assert source.tell() == 0


def test_cancel_leaves_nothing(store: Store, job: Job) -> None:
    class Cancelling(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            job.token.cancel()
            return super().read(size)

    with pytest.raises(errors.Cancelled):
        store.blobs.put(_descriptor(), Cancelling(DATA), job)
    _assert_nothing_is_left(store)


def test_what_is_not_committed_goes_away(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"abc")
    _assert_nothing_is_left(store)
    with pytest.raises(ZeroDivisionError), store.blobs.writer() as writer:  # noqa: PT012 - the block is the test
        writer.write(b"abc")
        _ = 1 // 0
    _assert_nothing_is_left(store)


def test_a_writer_tells_digest_and_size(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(DATA[:1000])
        writer.write(memoryview(DATA)[1000:])
        assert (DIGEST, len(DATA)) == writer.commit()
    assert store.blobs.read(DIGEST) == DATA


@pytest.mark.parametrize(
    ("expected", "size"),
    [(digests.of_bytes(b"other"), None), (None, 4), (Digest("sha512", "0" * 128), None)],
)
def test_a_writer_refuses_what_was_not_expected(store: Store, expected: Digest | None, size: int | None) -> None:
    with pytest.raises(errors.Corrupt), store.blobs.writer() as writer:  # noqa: PT012 - the block is the test
        writer.write(b"abc")
        writer.commit(expected, size)
    _assert_nothing_is_left(store)


def test_a_writer_verifies_sha512_too(store: Store) -> None:
    digest = Digest("sha512", hashlib.sha512(b"abc").hexdigest())
    with store.blobs.writer() as writer:
        writer.write(b"abc")
        assert (digest, 3) == writer.commit(digest, 3)
    assert store.blobs.read(digest) == b"abc"


def test_two_writers_of_one_blob_both_succeed(store: Store, job: Job) -> None:
    threads = [threading.Thread(target=store.blobs.put, args=(_descriptor(), io.BytesIO(DATA), job)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.blobs.read(DIGEST) == DATA
    assert os.listdir(store.layout.ingest) == []


def test_reading_a_changed_blob_is_corrupt(store: Store) -> None:
    digest = store.blobs.put_bytes(b"abc")
    os.chmod(store.blobs.path(digest), 0o600)
    store.blobs.path(digest).write_bytes(b"abd")
    with pytest.raises(errors.Corrupt):
        store.blobs.read(digest)


def test_a_missing_blob_is_not_found_and_may_be_deleted_again(store: Store) -> None:
    for call in (store.blobs.read, store.blobs.open, store.blobs.size):
        with pytest.raises(errors.NotFound):
            call(DIGEST)
    store.blobs.delete(DIGEST)
    assert not store.blobs.has(DIGEST)


def test_foreign_names_among_the_blobs_are_passed_over(store: Store) -> None:
    (store.root / "blobs" / "sha256" / "README").write_text("x")
    (store.root / "blobs" / "md5").mkdir()
    (store.root / "blobs" / "md5" / "abc").write_text("x")
    assert list(store.blobs.all()) == []
