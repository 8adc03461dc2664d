"""A lost database is made again from what lies beside it."""

from __future__ import annotations

import pytest

from orlop.core import errors
from orlop.core.job import Job
from orlop.store import recovery
from orlop.store.store import Store


def _lose(store: Store, how: str) -> None:
    store.settle(Job())
    store.close()
    if how == "garbage":
        store.layout.database.write_bytes(b"garbage " * 4096)
        with pytest.raises(errors.Corrupt):
            Store(store.root).images.list()
    elif how == "gone":
        store.layout.database.unlink()


@pytest.mark.parametrize("how", ["garbage", "gone", "whole"])
def test_images_names_and_layers_come_back(store: Store, make, job: Job, how: str) -> None:
    app = make.image("a", "b", name="host.io/app:1")
    nameless = make.image("a")
    _lose(store, how)
    rebuilt = recovery.rebuild(store.root, job)
    assert (rebuilt.images, rebuilt.names, rebuilt.layers) == (2, 1, 2)
    assert (rebuilt.kept is None) == (how == "gone")
    again = Store(store.root)
    found = again.images.find("host.io/app:1")
    assert (found.id, found.layers, found.references) == (app.id, app.layers, app.references)
    assert again.images.get(nameless.id).layers == nameless.layers
    assert again.verify(job) == ()
    assert again.collect(job).items == ()
    again.close()


def test_an_image_with_a_lost_layer_comes_back_as_such(store: Store, make, job: Job) -> None:
    image = make.image("a", "b", name="app")
    store.trash.take(store.layout.layers / image.layers[0].id)
    _lose(store, "gone")
    recovery.rebuild(store.root, job)
    again = Store(store.root)
    assert again.images.find("app").missing == image.config.diff_ids[:1]
    again.close()


def test_what_is_no_image_is_passed_over(store: Store, make, job: Job) -> None:
    make.image("a", name="app")
    for data in (b"", b"{", b"{}", b'{"config":{},"layers":[]}', b"x" * 100):
        store.blobs.put_bytes(data)
    (store.layout.layers / ("b" * 26) / "diff").mkdir(parents=True)
    (store.layout.layers / ("b" * 26) / "layer.json").write_text("{")
    _lose(store, "gone")
    store.layout.index.write_text("nonsense")
    rebuilt = recovery.rebuild(store.root, job)
    assert (rebuilt.images, rebuilt.names, rebuilt.layers) == (1, 0, 1)


def test_an_open_store_is_not_rebuilt(store: Store, job: Job) -> None:
    with pytest.raises(errors.Conflict):
        recovery.rebuild(store.root, job)


def test_an_interrupted_rebuild_is_begun_anew(store: Store, make, job: Job) -> None:
    make.image("a", name="app")
    _lose(store, "whole")
    (store.root / "db.rebuilding").write_bytes(b"half")
    assert recovery.rebuild(store.root, job).images == 1
    again = Store(store.root)
    assert again.images.find("app").missing == ()
    again.close()
