"""What follows a change: files on disk, the OCI index, an empty trash."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest

from orlop.core import reference
from orlop.core.job import Job
from orlop.store.store import Store


def _entries(store: Store) -> list[tuple[str, str | None]]:
    index = json.loads(store.layout.index.read_text())
    return [
        (entry["digest"], entry.get("annotations", {}).get("org.opencontainers.image.ref.name"))
        for entry in index["manifests"]
    ]


def test_the_index_lists_every_image_under_each_of_its_names(store: Store, make, job: Job) -> None:
    one = make.image("a", name="app:1")
    store.images.tag(reference.parse("host.io/app:2"), one.id)
    two = make.image("b")
    store.settle(job)
    assert _entries(store) == [
        (str(one.manifest.digest), "docker.io/library/app:1"),
        (str(one.manifest.digest), "host.io/app:2"),
        (str(two.manifest.digest), None),
    ]
    store.images.remove(one.id)
    store.settle(job)
    assert _entries(store) == [(str(two.manifest.digest), None)]


def test_it_happens_by_itself(store: Store, make) -> None:
    image = make.image("a", name="app")
    deadline = time.monotonic() + 10
    while not _entries(store) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _entries(store) == [(str(image.manifest.digest), "docker.io/library/app:latest")]


def test_closing_lets_it_end(store: Store, make) -> None:
    make.image("a", name="app")
    store.close()
    assert len(_entries(store)) == 1
    again = Store(store.root)
    with again._database.read() as connection:
        assert connection.execute("SELECT count(*) FROM layers WHERE boot IS NOT NULL").fetchone() == (0,)
    again.close()


def test_what_a_killed_process_left_undone_is_done_by_the_next(store: Store, make, job: Job) -> None:
    make.image("a", name="app")
    store.settle(job)
    store.layout.index.write_text('{"schemaVersion":2,"manifests":[]}')
    with store._database.write() as connection:
        connection.execute("UPDATE settings SET value = 0")
    other = Store(store.root)
    other.settle(job)
    assert len(_entries(other)) == 1
    other.close()


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_reads_the_store_as_an_oci_layout(store: Store, make, job: Job) -> None:
    image = make.image(name="app:1")
    store.settle(job)
    result = subprocess.run(
        ["skopeo", "inspect", "--raw", f"oci:{store.root}:docker.io/library/app:1"], capture_output=True, check=True
    )
    assert result.stdout == store.blobs.read(image.manifest.digest)
