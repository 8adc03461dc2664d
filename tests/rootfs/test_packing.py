"""Layers leave for registries compressed, always as the same bytes; what a registry gave leaves as it came."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random

import pytest
from shop import Shop, Tree, archive, file, folder

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.imageconfig import ImageConfig
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.rootfs import layers
from orlop.rootfs.content import StoreContent
from orlop.rootfs.packing import Packing
from orlop.store import recovery
from orlop.store.images import Image
from orlop.store.layers import Layer
from orlop.store.store import Store

# Enough that does not compress, so that the packed bytes come in several pieces.
NOISE = random.Random(1).randbytes(1_500_000).hex()
TREE: Tree = {"data": folder(), "data/a": file(NOISE), "data/b": file("b", uid=33, gid=33)}
NAME = references.parse("reg.test/joe/app:1")


def image(shop: Shop, stated: list[Descriptor], layer_list: list[Layer], **more: object) -> Image:
    diff_ids = tuple(layer.diff_id for layer in layer_list if layer.diff_id)
    raw = imageconfig.encode(ImageConfig(platform=Platform("linux", "amd64"), diff_ids=diff_ids))
    docker = any("docker" in one.media_type for one in stated)
    config = Descriptor(MediaType.DOCKER_CONFIG if docker else MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw))
    kind = MediaType.DOCKER_MANIFEST if docker else MediaType.OCI_MANIFEST
    manifest = descriptors.make_manifest(config, tuple(stated), kind, {"kept": "yes"})
    ids = tuple(layer.id for layer in layer_list)
    return shop.store.images.add(manifest, raw, ids, references=(NAME,), **more)  # type: ignore[arg-type]


def built(shop: Shop, tree: Tree = TREE, kind: str = MediaType.OCI_LAYER) -> Image:
    """An image as a build leaves it: trees, and a manifest with uncompressed layers."""
    with shop.store.layers.new() as pending:
        shop.workshop.call("apply", {"root": str(pending.diff)}, shop.job, fds=(_memory(archive(tree)),))
        layer = pending.commit(size=3_000_001)
    layer = layers.seal(shop.store, shop.workshop, layer, shop.job)
    assert layer.diff_id
    assert layer.tar_size
    return image(shop, [Descriptor(kind, layer.diff_id, layer.tar_size)], [layer])


def packing(shop: Shop, made: Image) -> Packing:
    return Packing(shop.store, shop.workshop, shop.store.images.get(made.id))


def pack(shop: Shop, made: Image) -> tuple[Descriptor, bytes]:
    packer = packing(shop, made)
    packed = packer.pack(packer.parts[0], shop.job)
    raw = b"".join(packed)
    assert packed.descriptor is not None
    return packed.descriptor, raw


def test_a_built_layer_is_compressed_and_means_the_same(shop: Shop) -> None:
    made = built(shop)
    form, raw = pack(shop, made)
    assert form == Descriptor(MediaType.OCI_LAYER_GZIP, digests.of_bytes(raw), len(raw))
    assert digests.of_bytes(gzip.decompress(raw)) == made.layers[0].diff_id
    assert len(raw) < 2_000_000


def test_the_bytes_are_the_same_every_time_and_carry_no_time(shop: Shop) -> None:
    made = built(shop)
    first, second = pack(shop, made)[1], pack(shop, made)[1]
    assert first == second
    assert first[4:8] == b"\0\0\0\0"


def test_reading_a_packed_layer_again_begins_anew(shop: Shop) -> None:
    packer = packing(shop, built(shop))
    done: list[int] = []
    packed = packer.pack(packer.parts[0], shop.job, done.append)
    half = iter(packed)
    next(half)
    half.close()  # type: ignore[attr-defined]
    assert packed.descriptor is None
    raw = b"".join(packed)
    assert packed.descriptor is not None
    assert packed.descriptor.digest == digests.of_bytes(raw)
    assert done[-1] == packer.parts[0].layer.tar_size


def test_a_remembered_form_is_offered_before_anything_is_compressed(shop: Shop) -> None:
    made = built(shop)
    assert packing(shop, made).parts[0].forms == ()
    form, _ = pack(shop, made)
    packer = packing(shop, made)
    packer.remember(packer.parts[0], form)
    assert packing(shop, made).parts[0].forms == (form,)
    assert not packer.keeps(form)


def test_the_manifest_tells_the_packed_layers_and_keeps_all_else(shop: Shop) -> None:
    made = built(shop)
    packer = packing(shop, made)
    form, _ = pack(shop, made)
    document = packer.document({packer.parts[0].stated.digest: form})
    assert document.layers == (form,)
    assert document.config == packer.manifest.config
    assert document.media_type == MediaType.OCI_MANIFEST
    assert document.annotations == {"kept": "yes"}
    assert document.raw == packer.document({packer.parts[0].stated.digest: form}).raw


def test_an_image_in_dockers_form_stays_in_it(shop: Shop) -> None:
    made = built(shop, kind=MediaType.DOCKER_LAYER)
    packer = packing(shop, made)
    form, _ = pack(shop, made)
    document = packer.document({packer.parts[0].stated.digest: form})
    assert document.media_type == MediaType.DOCKER_MANIFEST
    assert document.layers[0].media_type == MediaType.DOCKER_LAYER_GZIP
    assert json.loads(document.raw)["mediaType"] == MediaType.DOCKER_MANIFEST


def test_a_compressed_layer_leaves_as_it_came(shop: Shop) -> None:
    raw = gzip.compress(archive(TREE), 9)
    came = Descriptor(MediaType.OCI_LAYER_GZIP, digests.of_bytes(raw), len(raw))
    layer = layers.receive(shop.store, shop.workshop, io.BytesIO(raw), came, shop.job)
    packer = packing(shop, image(shop, [came], [layer]))
    assert packer.parts[0].forms[0] == came
    with packer.blob(came) as kept:
        assert kept.read() == raw
    assert packer.document({came.digest: came}) is packer.manifest


def test_what_a_registry_has_uncompressed_stays_so(shop: Shop) -> None:
    made = built(shop)
    document = packing(shop, made).manifest
    shop.store.images.tag(NAME.with_digest(document.descriptor.digest), made.id)
    packer = packing(shop, made)
    assert packer.parts[0].forms == (packer.parts[0].stated,)
    with packer.tar(packer.parts[0], shop.job) as tar:
        assert digests.of_bytes(tar.read()) == packer.parts[0].stated.digest


def test_a_layer_that_must_not_be_distributed_has_no_form(shop: Shop) -> None:
    raw = gzip.compress(archive(TREE))
    came = Descriptor(MediaType.DOCKER_FOREIGN_GZIP, digests.of_bytes(raw), len(raw), urls=("https://example.com/l",))
    layer = layers.receive(shop.store, shop.workshop, io.BytesIO(raw), came, shop.job)
    packer = packing(shop, image(shop, [came], [layer]))
    assert packer.parts[0].foreign
    assert packer.parts[0].forms == ()
    assert packer.document({}) is packer.manifest


def test_a_changed_tree_is_noticed_before_the_end(shop: Shop) -> None:
    made = built(shop)
    packer = packing(shop, made)
    shop.workshop.call("remove", {"path": str(shop.store.layers.path(made.layers[0].id) / "data" / "b")}, shop.job)
    with pytest.raises(errors.Corrupt, match="layer sha256:"):
        b"".join(packer.pack(packer.parts[0], shop.job))


def test_an_image_that_lost_a_layer_says_so(shop: Shop) -> None:
    made = built(shop)
    shop.workshop.call("remove", {"path": str(shop.store.layers.path(made.layers[0].id))}, shop.job)
    shop.store.repair(shop.store.verify(shop.job), shop.job)
    with pytest.raises(errors.NotFound, match="is lost"):
        packing(shop, made)


def test_a_packed_blob_that_was_not_kept_can_be_read_again(shop: Shop) -> None:
    made = built(shop)
    form, raw = pack(shop, made)
    packer = packing(shop, made)
    packer.remember(packer.parts[0], form)
    with StoreContent(shop.store, shop.workshop).open(form, shop.job) as again:
        assert hashlib.sha256(again.read()).hexdigest() == form.digest.hex == hashlib.sha256(raw).hexdigest()


def test_the_pushed_manifest_is_kept_beside_the_images_own(shop: Shop) -> None:
    made = built(shop)
    form, _ = pack(shop, made)
    packer = packing(shop, made)
    document = packer.document({packer.parts[0].stated.digest: form})
    shop.store.images.know(NAME, made.id, document)
    known = shop.store.images.get(made.id)
    assert known.manifest == made.manifest
    assert known.repo_digests == (NAME.with_digest(document.descriptor.digest),)
    assert shop.store.images.find(str(document.descriptor.digest)).id == made.id
    shop.store.collect(shop.job, grace=0)
    assert shop.store.blobs.read(document.descriptor.digest) == document.raw


def test_a_manifest_of_another_image_is_not_taken(shop: Shop) -> None:
    made = built(shop)
    document = packing(shop, made).manifest
    wrong = descriptors.make_manifest(Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(b"{}"), 2), document.layers)
    assert isinstance(wrong, Manifest)
    with pytest.raises(errors.Invalid, match="not that of image"):
        shop.store.images.know(NAME, made.id, wrong)


def _memory(data: bytes) -> int:
    fd = os.memfd_create("tar", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def test_a_rebuilt_database_knows_the_manifest_of_what_lies_here(shop: Shop) -> None:
    made = built(shop)
    packer = packing(shop, made)
    form, _ = pack(shop, made)
    document = packer.document({packer.parts[0].stated.digest: form})
    shop.store.images.know(NAME, made.id, document)
    # So that the other one is the newer.
    os.utime(shop.store.blobs.path(made.manifest.digest), (1, 1))
    shop.store.settle(shop.job)
    shop.store.close()
    recovery.rebuild(shop.store.root, shop.job)
    shop.store = Store(shop.store.root, remove_tree=shop.workshop.remove_tree)
    again = shop.store.images.get(made.id)
    assert again.manifest == made.manifest
    assert shop.store.images.find(str(document.descriptor.digest)).id == made.id
