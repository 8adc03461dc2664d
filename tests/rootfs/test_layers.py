"""Layers come in, get their names and give their bytes back, whoever made them."""

from __future__ import annotations

import gzip
import io
import os
import zlib

import pytest
from shop import Shop, Tree, archive, file, folder, hard, link

from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, make_manifest
from orlop.core.imageconfig import ImageConfig
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.rootfs import layers
from orlop.rootfs.content import StoreContent
from orlop.store.layers import Layer

TREE: Tree = {
    "bin": folder(),
    "bin/sh": file("#!", 0o4755),
    "bin/ash": hard("bin/sh", 0o4755),
    "home": folder(0o750, 1000, 1000),
    "home/notes": file("notes", uid=1000, gid=1000, xattrs={"user.a": "1"}),
    "lib": link("usr/lib"),
    "var": folder(),
    "var/www": file("www", uid=33, gid=33),
}


def described(raw: bytes, kind: str = MediaType.OCI_LAYER) -> Descriptor:
    return Descriptor(kind, digests.of_bytes(raw), len(raw))


def receive(shop: Shop, raw: bytes, descriptor: Descriptor | None = None) -> Layer:
    return layers.receive(shop.store, shop.workshop, io.BytesIO(raw), descriptor or described(raw), shop.job)


def read(shop: Shop, layer: Layer) -> bytes:
    with layers.open_tar(shop.store, shop.workshop, layer, shop.job) as opened:
        return opened.read()


def unfinished(shop: Shop) -> list[str]:
    store = shop.root / "store"
    return [*(store / "ingest").iterdir(), *(name for name in (store / "layers").iterdir() if name.name[0] == ".")]  # type: ignore[list-item]


def test_a_received_layer_gives_back_its_very_bytes(shop: Shop) -> None:
    raw = archive(TREE)
    layer = receive(shop, raw)
    assert layer.diff_id == digests.of_bytes(raw)
    assert layer.size == len("#!") + len("notes") + len("www")
    assert read(shop, layer) == raw


@pytest.mark.parametrize("level", [1, 9])
def test_a_compressed_layer_is_known_by_both_digests(shop: Shop, level: int) -> None:
    raw = archive(TREE)
    packed = gzip.compress(raw, level, mtime=0)
    layer = receive(shop, packed, described(packed, MediaType.OCI_LAYER_GZIP))
    assert layer.diff_id == digests.of_bytes(raw)
    assert layer.tar_size == len(raw)
    assert shop.store.blobs.has(digests.of_bytes(packed))
    assert read(shop, layer) == raw
    assert receive(shop, packed, described(packed, MediaType.OCI_LAYER_GZIP)) == layer


@pytest.mark.several_ids
def test_owners_are_really_those_of_the_image(shop: Shop) -> None:
    layer = receive(shop, archive(TREE))
    listed = shop.workshop.call("list", {"lowers": [str(shop.store.layers.path(layer.id))], "path": "/"}, shop.job)
    owners = {child["name"]: child["uid"] for child in listed["found"]["children"]}
    assert owners == {"bin": 0, "home": 1000, "lib": 0, "var": 0}
    outside = {0: 0, 1000: 1000} if os.geteuid() == 0 else {0: os.geteuid(), 1000: 100_999}
    assert os.lstat(shop.store.layers.path(layer.id) / "home").st_uid == outside[1000]
    assert os.lstat(shop.store.layers.path(layer.id) / "bin").st_uid == outside[0]


def test_sealing_the_same_tree_again_gives_the_same_digest(shop: Shop) -> None:
    made = [shop.copy((), "/x/", inline=[["a", "a"], ["b", "b"]]) for _ in range(2)]
    for layer in made:
        shop.workshop.call("seal", {"root": str(shop.store.layers.path(layer.id))}, shop.job)
    tars = [shop.workshop.call("seal", {"root": str(shop.store.layers.path(made[0].id))}, shop.job) for _ in range(2)]
    assert tars[0] == tars[1]
    sealed = layers.seal(shop.store, shop.workshop, made[0], shop.job)
    assert str(sealed.diff_id) == f"sha256:{tars[0]['digest']}"
    assert digests.of_bytes(read(shop, sealed)) == sealed.diff_id


@pytest.mark.parametrize("text", ["small", "large" * 100_000])
def test_a_layer_of_our_own_needs_no_blob_beside_its_tree(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    base = receive(shop, archive(TREE | {"text": file(text)}))
    made = layers.seal(shop.store, shop.workshop, shop.copy_from((), [base], ["home", "bin", "text"], "/x/"), shop.job)
    raw = read(shop, made)
    other = Shop(tmp_path_factory.mktemp("other"), shop.workshop)
    try:
        again = receive(other, raw)
        layers.drop_derivable(other.store, other.workshop, again, other.job)
        assert again.diff_id == made.diff_id
        assert not other.store.blobs.has(digests.of_bytes(raw))
        assert read(other, again) == raw
        foreign = archive(TREE | {"text": file(text)})
        kept = receive(other, foreign)
        assert layers.drop_derivable(other.store, other.workshop, kept, other.job) == 0
        assert read(other, kept) == foreign
    finally:
        other.close()


@pytest.mark.parametrize("wrong", ["digest", "short", "long", "not a tar", "cut", "damaged"])
def test_what_does_not_fit_its_digest_leaves_nothing(shop: Shop, wrong: str) -> None:
    raw = gzip.compress(archive(TREE), mtime=0)
    good = described(raw, MediaType.OCI_LAYER_GZIP)
    expected: type[errors.OrlopError] = errors.Corrupt
    match wrong:
        case "digest":
            good = Descriptor(good.media_type, digests.of_bytes(b"other"), good.size)
        case "short":
            good = Descriptor(good.media_type, good.digest, good.size + 1)
        case "long":
            good = Descriptor(good.media_type, good.digest, good.size - 1)
        case "not a tar":
            raw = b"no tar at all" * 100
            good, expected = described(raw), errors.InvalidArchive
        case "cut":
            raw = raw[:-30]
            good, expected = described(raw), errors.InvalidArchive
        case _:
            raw = zlib.compress(raw)[:10] + raw
            good, expected = described(raw), errors.InvalidArchive
    with pytest.raises(expected):
        receive(shop, raw, good)
    assert unfinished(shop) == []
    assert list(shop.store.blobs.all()) == []
    assert shop.store.layers.by_diff_id(digests.of_bytes(archive(TREE))) is None


def test_a_source_that_breaks_is_what_the_caller_hears_of(shop: Shop) -> None:
    raw = archive(TREE)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 1024:
                raise errors.Unreachable("connection lost")
            return super().read(min(size or 512, 512))

    with pytest.raises(errors.Unreachable, match="connection lost"):
        layers.receive(shop.store, shop.workshop, Broken(raw), described(raw), shop.job)
    assert unfinished(shop) == []


def test_an_imported_archive_is_known_by_the_tar_of_its_tree(shop: Shop) -> None:
    layer = layers.receive_tar(shop.store, shop.workshop, io.BytesIO(gzip.compress(archive(TREE))), shop.job)
    assert digests.of_bytes(read(shop, layer)) == layer.diff_id


def test_closing_a_derived_tar_early_ends_the_work_behind_it(shop: Shop) -> None:
    layer = layers.seal(shop.store, shop.workshop, shop.copy((), "/x/", inline=[["a", "a" * (8 << 20)]]), shop.job)
    opened = layers.open_tar(shop.store, shop.workshop, layer, shop.job)
    assert len(opened.read(1000)) == 1000
    opened.close()
    assert shop.workshop.call("ping", {}, shop.job)["pid"]


def test_an_image_copied_into_a_store_is_there_with_its_name(shop: Shop) -> None:
    raw = gzip.compress(archive(TREE), mtime=0)
    blob = described(raw, MediaType.OCI_LAYER_GZIP)
    config = imageconfig.encode(
        ImageConfig(platform=Platform("linux", "amd64"), diff_ids=(digests.of_bytes(archive(TREE)),))
    )
    manifest = make_manifest(described(config, MediaType.OCI_CONFIG), (blob,))
    content = StoreContent(shop.store, shop.workshop)
    content.put(blob, io.BytesIO(raw), shop.job)
    content.put(manifest.config, io.BytesIO(config), shop.job)
    assert content.has(manifest.config)
    content.put_document(manifest, shop.job)
    content.tag(references.parse("app:1"), manifest.descriptor)
    image = shop.store.images.find("app:1")
    assert (image.id, image.manifest) == (manifest.config.digest, manifest.descriptor)
    assert content.document(content.resolve(references.parse("app:1"))) == manifest
    with content.open(blob, shop.job) as opened:
        assert opened.read() == raw
