"""Layers are made aside, appear whole, and are found by id and by diff ID."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job
from orlop.store.layout import is_id
from orlop.store.store import Store

DIFF_ID = digests.of_bytes(b"layer")


def test_a_committed_layer_has_its_tree_and_its_numbers(store: Store) -> None:
    with store.layers.new() as pending:
        assert pending.work.is_dir()
        (pending.diff / "a").write_text("b")
        layer = pending.commit(size=1)
    assert is_id(layer.id)
    assert layer == store.layers.get(layer.id)
    assert (layer.size, layer.diff_id, layer.tar_size) == (1, None, None)
    assert (store.layers.path(layer.id) / "a").read_text() == "b"
    assert os.listdir(store.layout.layers / layer.id) == ["diff"]


def test_the_tree_is_open_to_all_whatever_the_umask(store: Store) -> None:
    before = os.umask(0o077)
    try:
        with store.layers.new() as pending:
            layer = pending.commit(size=0)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(store.layers.path(layer.id)).st_mode) == 0o755


def test_a_layer_in_the_making_is_seen_by_nobody(store: Store) -> None:
    with store.layers.new() as pending:
        with pytest.raises(errors.NotFound):
            store.layers.get(pending.id)
        assert pending.diff.is_dir()


def test_leaving_without_commit_leaves_nothing(store: Store, job: Job) -> None:
    with pytest.raises(ZeroDivisionError), store.layers.new() as pending:  # noqa: PT012 - the block is the test
        (pending.diff / "a").write_text("b")
        _ = 1 // 0
    assert os.listdir(store.layout.layers) == []
    store.settle(job)
    assert os.listdir(store.layout.trash) == []


@pytest.mark.parametrize("leftover", ["work", "work/incompat/volatile", "work/#1", "index/a"])
def test_what_overlay_leaves_in_its_work_directory_does_not_stay(store: Store, leftover: str) -> None:
    with store.layers.new() as pending:
        os.makedirs(pending.work / leftover)
        os.chmod(pending.work / leftover.split("/", maxsplit=1)[0], 0)
        layer = pending.commit(size=0)
    assert os.listdir(store.layout.layers / layer.id) == ["diff"]
    assert store.trash.is_empty() == (leftover in ("work", "work/incompat/volatile"))


def test_a_layer_is_found_by_its_diff_id(store: Store) -> None:
    assert store.layers.by_diff_id(DIFF_ID) is None
    with store.layers.new() as pending:
        layer = pending.commit(size=1, diff_id=DIFF_ID, tar_size=1024)
    assert layer == store.layers.by_diff_id(DIFF_ID)
    assert (layer.diff_id, layer.tar_size) == (DIFF_ID, 1024)


def test_a_diff_id_is_set_once(store: Store) -> None:
    with store.layers.new() as pending:
        layer = pending.commit(size=1)
    sealed = store.layers.set_diff_id(layer.id, DIFF_ID, 2048)
    assert sealed == store.layers.get(layer.id) == store.layers.set_diff_id(layer.id, DIFF_ID, 2048)
    with pytest.raises(errors.Conflict):
        store.layers.set_diff_id(layer.id, digests.of_bytes(b"other"), 2048)
    with pytest.raises(errors.NotFound):
        store.layers.set_diff_id("a" * 26, DIFF_ID, 2048)


def test_a_row_without_a_directory_is_an_absent_layer(store: Store) -> None:
    with store.layers.new() as pending:
        layer = pending.commit(size=1, diff_id=DIFF_ID, tar_size=1024)
    store.trash.take(store.layout.layers / layer.id)
    with pytest.raises(errors.NotFound):
        store.layers.get(layer.id)
    assert store.layers.by_diff_id(DIFF_ID) is None


def test_a_second_layer_of_the_same_diff_id_serves_when_the_first_is_lost(store: Store) -> None:
    ids = []
    for _ in range(2):
        with store.layers.new() as pending:
            ids.append(pending.commit(size=1, diff_id=DIFF_ID, tar_size=1024).id)
    store.trash.take(store.layout.layers / ids[0])
    found = store.layers.by_diff_id(DIFF_ID)
    assert found is not None
    assert ids[1] == found.id


def test_compressed_forms_are_remembered_smallest_first_and_looked_up_backwards(store: Store) -> None:
    big = Descriptor("application/gzip", digests.of_bytes(b"big"), 20)
    small = Descriptor("application/zstd", digests.of_bytes(b"small"), 10)
    for descriptor in (big, small, big):
        store.layers.set_compressed(DIFF_ID, descriptor)
    assert (small, big) == store.layers.compressed(DIFF_ID)
    assert store.layers.uncompressed(big.digest) == DIFF_ID
    assert store.layers.uncompressed(DIFF_ID) is None


def _pretend_reboot(store: Store) -> None:
    with store._database.write() as connection:
        connection.execute("UPDATE layers SET boot = 'an earlier one' WHERE boot IS NOT NULL")


def test_a_layer_that_was_not_synced_before_the_machine_went_down_is_absent(store: Store) -> None:
    with store.layers.new() as pending:
        layer = pending.commit(size=1, diff_id=DIFF_ID, tar_size=1024)
    _pretend_reboot(store)
    with pytest.raises(errors.NotFound):
        store.layers.get(layer.id)
    assert store.layers.by_diff_id(DIFF_ID) is None


def test_a_settled_layer_survives_the_machine_going_down(store: Store, job: Job) -> None:
    with store.layers.new() as pending:
        layer = pending.commit(size=1)
    store.settle(job)
    _pretend_reboot(store)
    assert layer == store.layers.get(layer.id)


def test_another_opening_sees_the_layer(store: Store, root: Path) -> None:
    with store.layers.new() as pending:
        layer = pending.commit(size=1)
    other = Store(root)
    assert layer == other.layers.get(layer.id)
    other.close()
