from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.content import Partial
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job, TransferProgress
from orlop.store.partials import KEEP_SECONDS
from orlop.store.store import Store

DATA = os.urandom(300_000)
BLOB = Descriptor("application/octet-stream", digests.of_bytes(DATA), len(DATA))


class _Stream(io.BytesIO):
    """Bytes that a partial download keeps while they are read, as a registry's stream does."""

    def __init__(self, data: bytes, partial: Partial) -> None:
        super().__init__(data)
        self.partial = partial
        for position in range(0, len(data), 1000):
            partial.append(data[position : position + 1000])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_came_stays_for_the_next_attempt(store: Store) -> None:
    partial = store.partials.open(BLOB, Job())
    partial.append(DATA[:1000])
    partial.append(DATA[1000:1500])
    partial.close()
    again = store.partials.open(BLOB, Job())
    assert again.size == 1500
    assert again.read_at(500, 5000) == DATA[500:1500]
    again.close()


def test_nothing_is_left_of_what_is_empty_or_discarded(store: Store) -> None:
    store.partials.open(BLOB, Job()).close()
    partial = store.partials.open(BLOB, Job())
    partial.append(DATA)
    partial.discard()
    assert partial.size == 0
    partial.close()
    assert os.listdir(store.layout.partial) == []


def test_a_verified_download_becomes_the_blob_without_a_copy(store: Store) -> None:
    partial = store.partials.open(BLOB, Job())
    stream = _Stream(DATA, partial)
    inode = os.stat(store.layout.partial / BLOB.digest.hex).st_ino
    store.blobs.put(BLOB, stream, Job())
    partial.close()
    path = store.blobs.path(BLOB.digest)
    assert path.read_bytes() == DATA
    assert os.stat(path).st_ino == inode
    assert os.stat(path).st_mode & 0o777 == 0o444
    assert os.listdir(store.layout.partial) == []
    assert os.listdir(store.layout.ingest) == []


def test_wrong_bytes_are_forgotten(store: Store) -> None:
    partial = store.partials.open(BLOB, Job())
    with pytest.raises(errors.Corrupt):
        store.blobs.put(BLOB, _Stream(DATA[:-1] + b"?", partial), Job())
    partial.close()
    assert not store.blobs.has(BLOB.digest)
    assert os.listdir(store.layout.partial) == []


def test_too_many_bytes_are_not_gone_on_with(store: Store) -> None:
    partial = store.partials.open(BLOB, Job())
    partial.append(DATA + b"x")
    partial.close()
    assert store.partials.open(BLOB, Job()).size == 0


def test_whoever_wants_the_same_blob_waits_and_finds_it_whole(store: Store) -> None:
    partial = store.partials.open(BLOB, Job())
    told: list[TransferProgress] = []
    sizes: list[int] = []

    def other() -> None:
        second = Store(store.root).partials.open(BLOB, Job(told.append))
        sizes.append(second.size)
        sizes.append(len(second.read_at(0, len(DATA))))
        second.close()

    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(0.2)
    assert sizes == []
    store.blobs.put(BLOB, _Stream(DATA, partial), Job())
    partial.close()
    thread.join(5)
    assert sizes == [len(DATA), len(DATA)]
    assert [event.phase for event in told] == ["waiting"]
    assert os.listdir(store.layout.partial) == []


def test_waiting_ends_with_a_cancellation(store: Store) -> None:
    held = store.partials.open(BLOB, Job())
    job = Job()
    threading.Timer(0.1, job.token.cancel).start()
    with pytest.raises(errors.Cancelled):
        store.partials.open(BLOB, job)
    held.close()


_HANG = """
import sys, time, pathlib
from orlop.core import digest as digests
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job
from orlop.store.store import Store
data = sys.stdin.buffer.read()
blob = Descriptor("application/octet-stream", digests.of_bytes(data), len(data))
Store(pathlib.Path(sys.argv[1])).partials.open(blob, Job()).append(data[:123_456])
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_its_bytes_and_no_lock(store: Store) -> None:
    command = [sys.executable, "-c", _HANG, str(store.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(DATA)
        process.stdin.close()
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    partial = store.partials.open(BLOB, Job())
    assert partial.read_at(0, partial.size) == DATA[:123_456]
    partial.close()


def test_a_week_old_download_is_collected_and_a_held_one_is_not(store: Store) -> None:
    other = Descriptor("application/octet-stream", digests.of_bytes(b"other"), 10_000)
    young = Descriptor("application/octet-stream", digests.of_bytes(b"young"), 10_000)
    held = store.partials.open(other, Job())
    held.append(b"a")
    for blob in (BLOB, young):
        partial = store.partials.open(blob, Job())
        partial.append(b"abc")
        partial.close()
    long_ago = time.time() - KEEP_SECONDS - 10
    for blob in (BLOB, other):
        os.utime(store.layout.partial / blob.digest.hex, (long_ago, long_ago))
    assert store.collect(Job(), dry_run=True).reclaimed == 3
    collected = store.collect(Job())
    assert [(item.name, item.text) for item in collected.items] == [(BLOB.digest.hex, "partial download")]
    assert sorted(os.listdir(store.layout.partial)) == sorted([other.digest.hex, young.digest.hex])
    store.collect(Job(), all_unused=True)
    assert os.listdir(store.layout.partial) == [other.digest.hex]
    held.close()
