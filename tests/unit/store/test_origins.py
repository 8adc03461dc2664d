from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.store.store import Store

BLOB = digests.of_bytes(b"blob")
OTHER = digests.of_bytes(b"other")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.close()


def test_a_blob_is_known_by_every_repository_of_its_registry_latest_first(store: Store) -> None:
    store.origins.note("docker.io", "joe/a", [BLOB, OTHER])
    store.origins.note("docker.io", "joe/b", [BLOB])
    store.origins.note("quay.io", "joe/c", [BLOB])
    assert store.origins.of("docker.io", BLOB) == ("joe/b", "joe/a")
    assert store.origins.of("docker.io", OTHER) == ("joe/a",)
    assert store.origins.of("ghcr.io", BLOB) == ()


def test_a_repository_that_is_used_again_comes_first(store: Store) -> None:
    store.origins.note("docker.io", "joe/a", [BLOB])
    store.origins.note("docker.io", "joe/b", [BLOB])
    store.origins.note("docker.io", "joe/a", [BLOB])
    assert store.origins.of("docker.io", BLOB) == ("joe/a", "joe/b")


def test_what_turned_out_wrong_is_forgotten(store: Store) -> None:
    store.origins.note("docker.io", "joe/a", [BLOB, OTHER])
    store.origins.forget("docker.io", "joe/a", BLOB)
    assert store.origins.of("docker.io", BLOB) == ()
    assert store.origins.of("docker.io", OTHER) == ("joe/a",)


def test_few_are_told_however_many_there_are(store: Store) -> None:
    for number in range(10):
        store.origins.note("docker.io", f"joe/{number}", [BLOB])
    assert store.origins.of("docker.io", BLOB) == ("joe/9", "joe/8", "joe/7")
