"""Cache records are found as long as their layer is there."""

from __future__ import annotations

import time

import attrs

from orlop.store.cache import CacheRecord
from orlop.store.store import Store


def _record(key: str, layer: str | None, **changes: object) -> CacheRecord:
    return attrs.evolve(
        CacheRecord(key, layer, f"RUN {key}", 1.0, 1.0, 3, {"env": ["A=1"], "n": {"x": None}}), **changes
    )


def test_a_record_comes_back_and_counts_as_used(store: Store, make) -> None:
    record = _record("k", make.layer("a").id)
    store.cache.put(record)
    before = time.time()
    found = store.cache.get("k")
    assert found is not None
    assert attrs.evolve(found, last_used=1.0) == record
    assert found.last_used >= before
    assert store.cache.list() == (found,)


def test_a_record_without_a_layer_is_a_record(store: Store) -> None:
    store.cache.put(_record("k", None))
    assert store.cache.get("k") is not None


def test_an_unknown_key_is_none(store: Store) -> None:
    assert store.cache.get("k") is None


def test_a_record_whose_layer_is_lost_is_none(store: Store, make) -> None:
    gone, never = make.layer("a"), "x" * 26
    store.cache.put(_record("gone", gone.id))
    store.cache.put(_record("never", never))
    store.trash.take(store.layout.layers / gone.id)
    assert store.cache.get("gone") is None
    assert store.cache.get("never") is None


def test_a_second_record_of_a_key_replaces_the_first(store: Store, make) -> None:
    store.cache.put(_record("k", make.layer("a").id))
    second = _record("k", make.layer("b").id, description="other")
    store.cache.put(second)
    assert store.cache.list() == (second,)


def test_a_record_that_is_replaced_during_a_look_is_the_new_one(store: Store, make, monkeypatch) -> None:
    old, new = _record("k", make.layer("a").id), _record("k", make.layer("b").id)
    store.cache.put(old)
    database = store.cache._database
    write = database.write

    def another_build_comes_first(**options: bool):
        monkeypatch.setattr(database, "write", write)
        store.cache.put(new)
        return write(**options)

    monkeypatch.setattr(database, "write", another_build_comes_first)
    found = store.cache.get("k")
    assert found is not None
    assert found.layer_id == new.layer_id


def test_removed_records_are_gone_and_may_be_removed_again(store: Store) -> None:
    for key in ("a", "b"):
        store.cache.put(_record(key, None))
    for _ in range(2):
        store.cache.remove(["a"])
    assert [record.key for record in store.cache.list()] == ["b"]


def test_the_list_has_the_last_used_first(store: Store) -> None:
    for number, key in enumerate(("a", "b", "c")):
        store.cache.put(_record(key, None, last_used=float(number)))
    store.cache.get("a")
    assert [record.key for record in store.cache.list()] == ["a", "c", "b"]
