"""Images are added, named, found, listed and removed, each in one step that is whole or not at all."""

from __future__ import annotations

import os

import attrs
import pytest

from orlop.core import digest as digests
from orlop.core import errors, reference
from orlop.core.job import Job
from orlop.store.images import Image
from orlop.store.store import Store


def _names(image: Image) -> list[str]:
    return [item.familiar for item in image.references]


def test_an_added_image_comes_back_as_it_went_in(store: Store, make) -> None:
    manifest, raw = make.documents("a", "bcd")
    layers = tuple(make.layer(content) for content in ("a", "bcd"))
    names = (reference.parse("app:1"), reference.parse("app:2"))
    image = store.images.add(manifest, raw, tuple(layer.id for layer in layers), references=names)
    assert image.id == digests.of_bytes(raw)
    assert image.manifest == manifest.descriptor
    assert image.layers == layers
    assert image.size == 4
    assert _names(image) == ["app:1", "app:2"]
    assert image.missing == ()
    assert image == store.images.get(image.id) == store.images.find("app:1") == store.images.list()[0]
    assert store.images.by_manifest(manifest.descriptor.digest) == image
    assert store.blobs.read(image.id) == raw
    assert store.blobs.read(image.manifest.digest) == manifest.raw


def test_an_image_without_layers_is_an_image(make) -> None:
    assert make.image(name="empty").layers == ()


def test_the_same_layer_may_stand_twice_in_an_image(make) -> None:
    image = make.image("a", "b", "a")
    assert [layer.id for layer in image.layers] == [image.layers[0].id, image.layers[1].id, image.layers[0].id]


def test_adding_again_adds_names_and_keeps_the_time(store: Store, make) -> None:
    first = make.image("a", name="one")
    second = make.image("a", name="two")
    assert second.added == first.added
    assert _names(second) == ["one:latest", "two:latest"]
    assert len(store.images.list()) == 1


def test_a_second_manifest_of_one_configuration_is_the_same_image(store: Store, make) -> None:
    image = make.image("a", name="one")
    manifest, raw = make.documents("a")
    other = attrs.evolve(manifest, raw=manifest.raw.replace(b"{", b"{ ", 1))
    again = store.images.add(other, raw, (image.layers[0].id,))
    assert again.id == image.id
    assert again.manifest == other.descriptor
    for document in (manifest, other):
        assert store.images.by_manifest(document.descriptor.digest) == again


def test_a_name_moves_and_the_older_image_stays_without_it(store: Store, make) -> None:
    old = make.image("a", name="app")
    new = make.image("b", name="app")
    assert store.images.find("app").id == new.id
    assert _names(store.images.get(old.id)) == []


@pytest.mark.parametrize(
    ("layers", "kind"),
    [((), errors.Invalid), (("a", "b", "c"), errors.Invalid), (("b", "a"), errors.Invalid), (("a", None), errors.NotFound)],
)  # fmt: skip
def test_layers_that_do_not_fit_are_refused_and_nothing_is_added(store: Store, make, layers, kind) -> None:
    manifest, raw = make.documents("a", "b")
    ids = tuple("x" * 26 if content is None else make.layer(content).id for content in layers)
    with pytest.raises(kind):
        store.images.add(manifest, raw, ids, references=(reference.parse("app:1"),))
    assert store.images.list() == ()
    with pytest.raises(errors.ImageNotFound):
        store.images.find("app:1")


def test_a_layer_without_diff_id_is_refused(store: Store, make) -> None:
    manifest, raw = make.documents("a")
    with pytest.raises(errors.Invalid):
        store.images.add(manifest, raw, (make.layer("a", sealed=False).id,))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b'{"rootfs":{"diff_ids":["x"]}}'])
def test_a_configuration_that_is_none_is_refused(store: Store, make, raw: bytes) -> None:
    manifest, _ = make.documents("a")
    with pytest.raises(errors.Invalid):
        store.images.add(manifest, raw, (make.layer("a").id,))


def test_a_configuration_with_another_digest_is_refused(store: Store, make) -> None:
    manifest, raw = make.documents("a")
    with pytest.raises(errors.Corrupt):
        store.images.add(manifest, raw.replace(b"linux", b"linus"), (make.layer("a").id,))
    assert list(store.blobs.all()) == []


def test_tag_takes_the_default_tag_and_moves(store: Store, make) -> None:
    one, two = make.image("a"), make.image("b")
    store.images.tag(reference.parse("app"), one.id)
    store.images.tag(reference.parse("app:latest"), two.id)
    assert store.images.find("app").id == two.id
    with pytest.raises(errors.ImageNotFound):
        store.images.tag(reference.parse("app"), digests.of_bytes(b"none"))
    assert store.images.find("app").id == two.id


def test_untag_tells_whose_name_it_was_and_keeps_the_image(store: Store, make) -> None:
    image = make.image("a", name="app")
    assert store.images.untag(reference.parse("app")) == image.id
    assert store.images.untag(reference.parse("app")) is None
    assert _names(store.images.get(image.id)) == []


def test_a_reference_with_tag_and_digest_gives_both(store: Store, make) -> None:
    image = make.image("a")
    index = digests.of_bytes(b"index")
    store.images.tag(attrs.evolve(reference.parse("host.io/app:1"), digest=index), image.id)
    image = store.images.get(image.id)
    assert _names(image) == ["host.io/app:1"]
    assert [str(item) for item in image.repo_digests] == [f"host.io/app@{index}"]
    for text in (f"host.io/app@{index}", f"host.io/app:other@{index}", str(index)):
        assert store.images.find(text).id == image.id
    assert store.images.untag(reference.parse(f"host.io/app@{index}")) == image.id
    assert store.images.get(image.id).repo_digests == ()


@pytest.mark.parametrize(
    "spelling",
    ["app", "app:latest", "docker.io/library/app", "library/app", " app "],
)
def test_every_spelling_of_a_name_finds_it(store: Store, make, spelling: str) -> None:
    assert make.image("a", name="app") == store.images.find(spelling)


@pytest.mark.parametrize("length", [1, 2, 12, 63, 64])
@pytest.mark.parametrize("algorithm", ["", "sha256:"])
def test_every_prefix_of_the_only_id_finds_it(store: Store, make, length: int, algorithm: str) -> None:
    image = make.image("a")
    assert image == store.images.find(algorithm + image.id.hex[:length])


def test_the_digest_of_the_manifest_finds_it(store: Store, make) -> None:
    image = make.image("a")
    assert image == store.images.find(str(image.manifest.digest))


def test_a_name_wins_over_an_id_prefix(store: Store, make) -> None:
    image = make.image("a")
    other = make.image("b", name=image.id.hex[:4])
    assert store.images.find(image.id.hex[:4]) == other
    assert store.images.find(image.id.hex[:5]) == image


def test_an_ambiguous_prefix_is_a_conflict_that_shows_the_ids(store: Store, make) -> None:
    images = [make.image(str(number)) for number in range(17)]
    by_first: dict[str, list[Image]] = {}
    for image in images:
        by_first.setdefault(image.id.hex[0], []).append(image)
    prefix, twins = next((key, value) for key, value in by_first.items() if len(value) > 1)
    with pytest.raises(errors.Conflict) as caught:
        store.images.find(prefix)
    assert sum(image.id.short in caught.value.message for image in twins) >= 2


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ap", "app:latest"),
        ("app:3", "app:1"),
        ("web:1", "orlop images"),
        ("registry.local:5000/team/srv", "registry.local:5000/team/serv:latest"),
        ("f" * 64, "orlop images"),
        ("sha256:" + "f" * 12, "orlop images"),
    ],
)
def test_what_is_not_there_is_told_with_similar_names(store: Store, make, text: str, hint: str) -> None:
    make.image("a", name="app")
    store.images.tag(reference.parse("app:1"), make.image("a").id)
    make.image("b", name="registry.local:5000/team/serv")
    with pytest.raises(errors.ImageNotFound) as caught:
        store.images.find(text)
    assert f"no such image: {text}" == caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "App", "a b", "../x", "app:" + "x" * 200, "app@sha256:1"])
def test_what_is_no_name_is_an_invalid_reference(store: Store, text: str) -> None:
    with pytest.raises(errors.InvalidReference):
        store.images.find(text)


def test_the_list_has_the_newest_first_by_creation_then_by_arrival(store: Store, make) -> None:
    dates = ["2024-01-01T00:00:00Z", "2025-06-01T12:00:00.123456789+02:00", None, "nonsense"]
    for number, date in enumerate(dates):
        make.image(str(number), created=date, name=f"n{number}")
    assert [_names(image)[0] for image in store.images.list()] == ["n1:latest", "n0:latest", "n3:latest", "n2:latest"]


def test_the_list_follows_every_change_of_any_opening(store: Store, make, maker, root) -> None:
    other = Store(root)
    assert store.images.list() == ()
    image = maker(other).image("a", name="app")
    assert store.images.list() == (image,)
    assert store.images.list() is store.images.list()
    other.images.untag(reference.parse("app"))
    assert _names(store.images.list()[0]) == []
    other.images.remove(image.id)
    assert store.images.list() == ()
    other.close()


def test_remove_tells_what_went(store: Store, make) -> None:
    base = make.image("a", name="base")
    app = make.image("a", "b", "c", name="app")
    store.images.tag(reference.parse("app:2"), app.id)
    store.images.tag(reference.parse("host.io/app").with_digest(app.manifest.digest), app.id)
    planned = store.images.removal(app.id)
    removal = store.images.remove(app.id)
    assert removal == planned
    assert [item.familiar for item in removal.untagged] == [
        "app:2", "app:latest", f"host.io/app@{app.manifest.digest}"
    ]  # fmt: skip
    chain_1 = app.config.diff_ids[0]
    chain_2 = digests.of_bytes(f"{chain_1} {app.config.diff_ids[1]}".encode())
    chain_3 = digests.of_bytes(f"{chain_2} {app.config.diff_ids[2]}".encode())
    assert removal.deleted == (app.id, chain_3, chain_2)
    documents = store.blobs.size(app.id) + store.blobs.size(app.manifest.digest)
    assert removal.reclaimed == 2 + documents
    assert store.images.list() == (base,)
    with pytest.raises(errors.ImageNotFound):
        store.images.remove(app.id)


def test_parents_are_kept(store: Store, make) -> None:
    base = make.image("a")
    manifest, raw = make.documents("a", "b")
    layers = (base.layers[0].id, make.layer("b").id)
    assert store.images.add(manifest, raw, layers, parent=base.id).parent == base.id
    assert store.images.add(manifest, raw, layers).parent == base.id


def test_an_image_whose_layer_is_lost_says_so_and_is_whole_after_adding_it_again(store: Store, make) -> None:
    image = make.image("a", "b", name="app")
    store.trash.take(store.layout.layers / image.layers[1].id)
    store.repair(store.verify(Job()), Job())
    broken = store.images.find("app")
    assert broken.layers == image.layers[:1]
    assert broken.missing == image.config.diff_ids[1:]
    assert make.image("a", "b").missing == ()


def test_an_image_whose_configuration_is_lost_does_not_hide_the_others(store: Store, make) -> None:
    lost, kept = make.image("a", name="lost"), make.image("b", name="kept")
    store.blobs.delete(lost.id)
    store.images.tag(reference.parse("again"), kept.id)
    again = Store(store.root)
    assert [image.id for image in again.images.list()] == [kept.id]
    with pytest.raises(errors.NotFound):
        again.images.find("lost")
    again.images.remove(lost.id)
    again.close()


def test_adding_writes_the_layers_description_once(store: Store, make) -> None:
    image = make.image("a")
    path = store.layout.layers / image.layers[0].id / "layer.json"
    before = os.stat(path).st_mtime_ns
    make.image("a", "b")
    assert os.stat(path).st_mtime_ns == before
