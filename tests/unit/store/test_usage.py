"""Usage counts shared things once."""

from __future__ import annotations

import os

from orlop.store import users
from orlop.store.cache import CacheRecord
from orlop.store.store import Store
from orlop.store.usage import ImageUsage, Row


def _documents(store: Store, image) -> int:
    return store.blobs.size(image.id) + store.blobs.size(image.manifest.digest)


def test_an_empty_store_uses_nothing(store: Store) -> None:
    usage = store.usage()
    assert usage.images == usage.containers == usage.cache == Row(0, 0, 0, 0)


def test_images_share_their_common_layers(store: Store, make) -> None:
    one, two = make.image("common", "1"), make.image("common", "22")
    usage = store.usage()
    expected = {
        one.id: ImageUsage(one.id, 6, 1 + _documents(store, one)),
        two.id: ImageUsage(two.id, 6, 2 + _documents(store, two)),
    }
    assert {item.id: item for item in usage.each} == expected
    total = 6 + 1 + 2 + _documents(store, one) + _documents(store, two)
    assert usage.images == Row(2, 0, total, total)
    assert (usage.layer_bytes, usage.blob_bytes) == (9, total - 9)


def test_what_a_container_uses_is_not_reclaimable(store: Store, make) -> None:
    used, unused = make.image("common", "1"), make.image("common", "22")
    for name in ("c1", "c2"):
        (store.layout.containers / name / "diff").mkdir(parents=True)
        users.write(store.layout.containers / name, [layer.id for layer in used.layers], used.id)
        (store.layout.containers / name / "diff" / "file").write_bytes(b"x" * 1000)
        os.link(store.layout.containers / name / "diff" / "file", store.layout.containers / name / "diff" / "again")
    usage = store.usage(running=["c1"])
    assert usage.images.active == 1
    assert usage.images.reclaimable == 2 + _documents(store, unused)
    bundle = 1000 + os.stat(store.layout.containers / "c1" / "layers").st_size
    assert usage.containers == Row(2, 1, 2 * bundle, bundle)


def test_the_cache_counts_what_no_image_has(store: Store, make) -> None:
    make.image("shared")
    for key, content in (("a", "shared"), ("b", "own"), ("c", "own")):
        store.cache.put(CacheRecord(key, make.layer(content).id, "RUN", 0, 0, 1, {}))
    store.cache.put(CacheRecord("d", None, "RUN", 0, 0, 0, {}))
    assert store.usage().cache == Row(4, 1, 3, 3)
