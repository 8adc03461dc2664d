"""Collection takes exactly what nothing uses, says so beforehand, and never more."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.core import errors, reference
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.store import locks, users
from orlop.store.cache import CacheRecord
from orlop.store.gc import Collected
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.store.trash import remove_plainly


def _kinds(collected: Collected) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in collected.items:
        found.setdefault(item.kind, set()).add(item.name)
    return found


def _layers(store: Store) -> set[str]:
    return set(os.listdir(store.layout.layers))


def _ids(*images: Image) -> set[str]:
    return {layer.id for image in images for layer in image.layers}


def _record(store: Store, make, key: str, content: str, used: float = 0.0) -> str:
    layer = make.layer(content)
    store.cache.put(CacheRecord(key, layer.id, f"RUN {key}", used, used, layer.size, {}))
    return layer.id


def _age(store: Store, seconds: float = 7200) -> None:
    """Make everything that is there that much older."""
    with store._database.write() as connection:
        for table, column in (("layers", "created"), ("images", "added"), ("leases", "created"), ("released", "time")):
            connection.execute(f"UPDATE {table} SET {column} = {column} - ?", (seconds,))
    then = time.time() - seconds
    for blob in store.blobs.all():
        os.utime(store.blobs.path(blob.digest), (then, then))


def test_an_empty_store_has_no_garbage(store: Store, job: Job) -> None:
    assert store.collect(job) == Collected(())


def test_what_images_use_stays_whether_named_or_not(store: Store, make, job: Job) -> None:
    make.image("a", name="app")
    make.image("b")
    _age(store)
    assert store.collect(job, grace=0).items == ()
    assert store.verify(job) == ()


def test_what_only_a_removed_image_used_goes_at_once(store: Store, make, job: Job) -> None:
    kept = make.image("a", "b", name="kept")
    gone = make.image("a", "c", name="gone")
    documents = {str(gone.id), str(gone.manifest.digest)}
    size = 1 + sum(store.blobs.size(digest) for digest in (gone.id, gone.manifest.digest))
    store.images.remove(gone.id)
    collected = store.collect(job)
    assert _kinds(collected) == {"layer": {gone.layers[1].id}, "blob": documents}
    assert collected.reclaimed == size
    assert _layers(store) == _ids(kept)
    assert {blob.digest for blob in store.blobs.all()} == {kept.id, kept.manifest.digest}
    assert store.collect(job).items == ()
    store.settle(job)
    assert store.trash.is_empty()


def test_a_dry_run_says_exactly_what_goes_and_changes_nothing(store: Store, make, job: Job) -> None:
    make.image("a", name="app")
    make.image("b")
    _record(store, make, "k", "c")
    store.images.remove(make.image("d").id)
    before = sorted(str(path) for path in store.root.rglob("*"))
    revision = store.journal.revision()
    planned = store.collect(job, dry_run=True, dangling=True, cache=True)
    assert sorted(str(path) for path in store.root.rglob("*")) == before
    assert store.journal.revision() == revision
    assert store.collect(job, dangling=True, cache=True) == planned
    assert _kinds(planned).keys() == {"image", "layer", "blob", "cache"}
    assert len(planned.lines()) == len(planned.items)


@pytest.mark.parametrize("flags", [{}, {"dangling": True}, {"all_unused": True}])
def test_images_go_only_as_the_flags_say(store: Store, make, job: Job, flags: dict[str, bool]) -> None:
    named, nameless = make.image("a", name="app"), make.image("b")
    store.images.tag(reference.parse("host.io/x").with_digest(nameless.manifest.digest), nameless.id)
    collected = store.collect(job, **flags)
    expected = {} if not flags else {nameless.id} if "dangling" in flags else {named.id, nameless.id}
    assert _kinds(collected).get("image", set()) == {str(item) for item in expected}
    assert {image.id for image in store.images.list()} == {named.id, nameless.id} - set(expected)
    if "all_unused" in flags:
        assert _kinds(collected)["tag"] == {"docker.io/library/app:latest"}
        assert list(store.blobs.all()) == []
        assert _layers(store) == set()


def test_what_a_container_uses_stays(store: Store, make, job: Job) -> None:
    used, unused, half = make.image("a", "b"), make.image("c"), make.image("a", "d")
    bundle = store.layout.containers / "c1"
    bundle.mkdir()
    users.write(bundle, [*_ids(used), half.layers[1].id], used.id)
    collected = store.collect(job, all_unused=True)
    assert _kinds(collected)["image"] == {str(unused.id), str(half.id)}
    assert _layers(store) == _ids(used, half)
    bundle.joinpath("layers").unlink()
    bundle.rmdir()
    store.collect(job, all_unused=True)
    assert _layers(store) == set()


def test_what_was_never_claimed_has_a_grace(store: Store, make, job: Job) -> None:
    layer, digest = make.layer("a"), store.blobs.put_bytes(b"x")
    assert store.collect(job).items == ()
    _age(store)
    assert _kinds(store.collect(job)) == {"layer": {layer.id}, "blob": {str(digest)}}


def test_a_blob_that_is_put_again_after_its_image_went_stays_for_a_while(store: Store, make, job: Job) -> None:
    image = make.image("a")
    raw = store.blobs.read(image.id)
    store.images.remove(image.id)
    time.sleep(0.02)
    store.blobs.put_bytes(raw)
    assert str(image.id) not in _kinds(store.collect(job)).get("blob", set())
    assert store.blobs.has(image.id)


def test_the_cache_keeps_its_layers_until_it_is_pruned(store: Store, make, job: Job) -> None:
    layer = _record(store, make, "k", "a")
    _age(store)
    assert store.collect(job).items == ()
    assert _kinds(store.collect(job, cache=True)) == {"cache": {"k"}, "layer": {layer}}
    assert store.cache.list() == ()
    assert _layers(store) == set()


def test_a_pruned_record_of_a_layer_that_an_image_uses_leaves_the_layer(store: Store, make, job: Job) -> None:
    image = make.image("a", name="app")
    _record(store, make, "k", "a")
    assert _kinds(store.collect(job, cache=True)) == {"cache": {"k"}}
    assert _layers(store) == _ids(image)


def test_the_cache_is_pruned_by_age(store: Store, make, job: Job) -> None:
    now = time.time()
    for key, age in (("old", 1000), ("young", 10)):
        _record(store, make, key, key, now - age)
    assert _kinds(store.collect(job, cache=True, cache_younger_than=100))["cache"] == {"old"}


def test_the_cache_is_pruned_to_a_size_least_recently_used_first(store: Store, make, job: Job) -> None:
    for number, key in enumerate(("first", "second", "third")):
        _record(store, make, key, key * 10, float(number))
    collected = store.collect(job, cache=True, cache_keep=len("third" * 10) + len("second" * 10))
    assert _kinds(collected)["cache"] == {"first"}


def test_records_without_their_layer_go_with_any_collection(store: Store, make, job: Job) -> None:
    layer = _record(store, make, "k", "a")
    store.trash.take(store.layout.layers / layer)
    assert _kinds(store.collect(job)) == {"cache": {"k"}}


@pytest.mark.parametrize("what", ["layer id", "diff id", "image", "manifest"])
def test_a_lease_keeps_what_it_names(store: Store, make, job: Job, what: str) -> None:
    image = make.image("a")
    _age(store)
    name = {
        "layer id": image.layers[0].id,
        "diff id": image.config.diff_ids[0],
        "image": image.id,
        "manifest": image.manifest.digest,
    }[what]
    with store.leases.hold("test", [name]):
        _age(store)
        store.collect(job, all_unused=True, grace=0)
        assert _layers(store) == _ids(image)
        assert [item.id for item in store.images.list()] == ([image.id] if what in ("image", "manifest") else [])
    store.collect(job, all_unused=True, grace=0)
    assert _layers(store) == set()


def test_a_lease_keeps_what_came_or_was_used_since_it_began(store: Store, make, job: Job) -> None:
    old = _record(store, make, "old", "a")
    used = _record(store, make, "used", "b")
    _age(store)
    with store.leases.hold("build"):
        store.cache.get("used")
        layer, digest = make.layer("c"), store.blobs.put_bytes(b"x")
        image = make.image("d")
        collected = store.collect(job, all_unused=True, cache=True, grace=0)
        assert _kinds(collected) == {"cache": {"old"}, "layer": {old}}
        assert _layers(store) == {used, layer.id, *_ids(image)}
        assert store.blobs.has(digest)


def test_a_blob_is_never_older_than_the_lease_under_which_it_came(store: Store, job: Job) -> None:
    received = b"received"
    descriptor = Descriptor(MediaType.OCI_LAYER, digests.of_bytes(received), len(received))
    for number in range(20):
        began = time.time()
        put = [store.blobs.put_bytes(b"%d" % number), store.blobs.put_bytes(b"old")]
        partial = store.partials.open(descriptor, job)
        partial.append(received)
        partial.commit(descriptor.digest)
        partial.close()
        ages = {blob.digest: blob.changed for blob in store.blobs.all()}
        assert [digest for digest in (*put, descriptor.digest) if ages[digest] < began] == []
        store.blobs.delete(descriptor.digest)


def test_a_running_build_may_replace_its_own_record(store: Store, make, job: Job) -> None:
    with store.leases.hold("build"):
        mine = _record(store, make, "k", "a")
        other = _record(store, make, "k", "b")
        store.collect(job, grace=0)
        assert _layers(store) == {mine, other}


def test_work_under_way_is_left_alone(store: Store, job: Job) -> None:
    with store.layers.new() as pending, store.blobs.writer() as writer:
        writer.write(b"abc")
        assert store.collect(job, grace=0).items == ()
        pending.commit(size=0)
        writer.commit()


def test_what_a_killed_process_left_half_made_goes(store: Store, job: Job) -> None:
    folder = store.layout.layers / ".new-abc"
    (folder / "diff").mkdir(parents=True)
    (folder / "lock").touch()
    (store.layout.layers / ("a" * 26) / "diff").mkdir(parents=True)
    (store.layout.ingest / "abc").write_bytes(b"12345")
    collected = store.collect(job)
    assert _kinds(collected) == {"leftover": {".new-abc", "a" * 26, "abc"}}
    assert collected.reclaimed == 5
    assert _layers(store) == set()
    assert os.listdir(store.layout.ingest) == []


def test_a_torn_layer_goes_even_from_an_image(store: Store, make, job: Job) -> None:
    image = make.image("a", name="app")
    with store._database.write() as connection:
        connection.execute("UPDATE layers SET boot = 'an earlier one'")
    assert _kinds(store.collect(job)) == {"layer": _ids(image)}
    assert store.images.find("app").missing == image.config.diff_ids


def test_collections_wait_for_each_other_and_wake_at_cancel(store: Store) -> None:
    job = Job()
    with locks.exclusive(store.layout.lock("gc"), Job()):
        job.token.cancel()
        with pytest.raises(errors.Cancelled):
            store.collect(job)
    assert store.collect(Job()).items == ()


def test_what_cannot_be_deleted_now_is_deleted_later(root: Path, maker, job: Job) -> None:
    refusing = True

    def remove(path: Path) -> None:
        if refusing:
            raise errors.Unavailable("cannot delete that now")
        remove_plainly(path)

    store = Store(root, remove_tree=remove)
    store.images.remove(maker(store).image("a").id)
    store.collect(job)
    store.settle(job)
    assert not store.trash.is_empty()
    refusing = False
    store.settle(job)
    assert store.trash.is_empty()
    store.close()


def test_lines_are_for_people(store: Store, make, job: Job) -> None:
    image = make.image("a" * 1500, name="app")
    layer = image.layers[0].id
    lines = store.collect(job, all_unused=True, dry_run=True).lines()
    assert lines[:3] == (
        "tag docker.io/library/app:latest",
        f"image {image.id.short}",
        f"layer {layer} (1.5kB)",
    )  # fmt: skip
