"""Damage is found, told, and made to count as absent."""

from __future__ import annotations

import os

import pytest

from orlop.core import errors
from orlop.core.job import Job
from orlop.store.store import Store


def _overwrite(path, data: bytes) -> None:
    os.chmod(path, 0o600)
    path.write_bytes(data)


def test_a_whole_store_has_no_damage(store: Store, make, job: Job) -> None:
    make.image("a", "b", name="app")
    assert store.verify(job) == ()


def test_a_changed_blob_is_found_with_the_images_it_hurts_and_put_aside(store: Store, make, job: Job) -> None:
    image = make.image("a", name="app")
    _overwrite(store.blobs.path(image.manifest.digest), b"{}")
    (damage,) = store.verify(job)
    assert (damage.kind, damage.name, damage.images) == ("blob", str(image.manifest.digest), (str(image.id),))
    store.repair((damage,), job)
    assert not store.blobs.has(image.manifest.digest)
    assert [item.kind for item in store.verify(job)] == ["image"]
    make.image("a")
    assert store.verify(job) == ()
    assert store.images.find("app").id == image.id


def test_a_lost_layer_is_found_and_fetched_again(store: Store, make, job: Job) -> None:
    image = make.image("a", "b", name="app")
    lost = image.layers[1]
    store.trash.take(store.layout.layers / lost.id)
    (damage,) = store.verify(job)
    assert (damage.kind, damage.name, damage.images) == ("layer", lost.id, (str(image.id),))
    store.repair((damage,), job)
    assert store.images.find("app").missing == (lost.diff_id,)
    assert [item.problem for item in store.verify(job)] == ["1 of its layers are gone"]
    make.image("a", "b")
    assert store.verify(job) == ()


def test_a_layer_that_was_never_synced_is_damage_after_a_loss_of_power(store: Store, make, job: Job) -> None:
    image = make.image("a")
    with store._database.write() as connection:
        connection.execute("UPDATE layers SET boot = 'an earlier one'")
    damage = store.verify(job)
    assert [(item.kind, item.name) for item in damage] == [("layer", image.layers[0].id)]
    store.repair(damage, job)
    assert os.listdir(store.layout.layers) == []


def test_a_lost_configuration_is_damage(store: Store, make, job: Job) -> None:
    image = make.image("a")
    store.blobs.delete(image.id)
    (damage,) = store.verify(job)
    assert (damage.kind, damage.name) == ("image", str(image.id))


def test_verifying_can_be_cancelled(store: Store, make) -> None:
    make.image("a")
    job = Job()
    job.token.cancel()
    with pytest.raises(errors.Cancelled):
        store.verify(job)
