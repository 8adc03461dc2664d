"""A full disk is told as such, leaves nothing half-made, and the store works again once there is room."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job
from orlop.store.store import Store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs, which only root may")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def _filled(place: Path) -> Iterator[None]:
    """Take all the room there is."""
    with (place / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        (place / "filler").unlink()


def test_a_blob_that_does_not_fit_is_disk_full_and_leaves_nothing(small: Path) -> None:
    store = Store(small / "store")
    data = os.urandom(2 << 20)
    with pytest.raises(errors.DiskFull) as caught:
        store.blobs.put(Descriptor("x", digests.of_bytes(data), len(data)), io.BytesIO(data), Job())
    assert caught.value.hint
    assert list(store.blobs.all()) == []
    assert os.listdir(store.layout.ingest) == []
    assert store.blobs.read(store.blobs.put_bytes(b"small")) == b"small"
    store.close()


def test_images_survive_a_full_disk_and_can_be_removed_on_it(small: Path, maker) -> None:
    store = Store(small / "store")
    make = maker(store)
    job = Job()
    kept = make.image("a", name="kept")
    gone = make.image("b", name="gone")
    store.settle(job)
    manifest, raw = make.documents("c")
    layer = make.layer("c")
    with _filled(small):
        with pytest.raises(errors.DiskFull):  # noqa: PT012 - the block is the test
            for number in range(1000):
                store.images.add(manifest, raw, (layer.id,), references=(_name(number),))
        assert kept == store.images.find("kept")
    assert store.verify(job) == ()
    store.images.remove(gone.id)
    store.collect(job)
    make.image("d", name="new")
    assert {image.references[0].familiar for image in store.images.list() if image.references} >= {
        "kept:latest", "new:latest"
    }  # fmt: skip
    assert store.verify(job) == ()
    store.close()


def test_opening_on_a_full_disk_is_an_error_with_a_hint(small: Path) -> None:
    with _filled(small), pytest.raises(errors.OrlopError) as caught:
        Store(small / "store")
    assert caught.value.hint
    Store(small / "store").close()


def _name(number: int):
    from orlop.core import reference

    return reference.parse(f"name{number}:{'x' * 100}")
