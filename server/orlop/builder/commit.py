"""Makes the image of a finished build: its configuration, its manifest, its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from orlop.builder import assemble
from orlop.builder.cachekey import of_parts
from orlop.builder.executor import Executed
from orlop.builder.plan import ImageBase, Plan
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.reference import Reference
from orlop.store.cache import CacheRecord
from orlop.store.images import Image
from orlop.store.layers import Layer
from orlop.store.store import Store

_AS_OCI = {
    MediaType.DOCKER_LAYER: MediaType.OCI_LAYER,
    MediaType.DOCKER_LAYER_GZIP: MediaType.OCI_LAYER_GZIP,
    MediaType.DOCKER_LAYER_ZSTD: MediaType.OCI_LAYER_ZSTD,
}


def commit(
    plan: Plan,
    executed: Executed,
    images: Mapping[Reference, Image],
    tags: tuple[Reference, ...],
    store: Store,
    now: Callable[[], float],
    job: Job,
) -> Image:
    """Write the image and move the tags to it, in one transaction of the store."""
    job.checkpoint()
    base = plan.chain(plan.target)[0].base
    base_image = images[base.reference] if isinstance(base, ImageBase) else None
    made = tuple(item.layer for item in executed.made)
    base_ids = base_image.config.diff_ids if base_image else ()
    config = assemble.configuration(
        plan, (*base_ids, *(_diff_id(layer) for layer in made)), [item.created for item in executed.made]
    )
    if config.created is None:
        config = _dated(config, store, now)
    raw = imageconfig.encode(config)
    config_descriptor = Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw))
    below = base_layers(base_image, store) if base_image else ()
    manifest = descriptors.make_manifest(config_descriptor, (*below, *map(layer_descriptor, made)))
    present = _present(manifest, tags, store)
    if present is not None:
        return present
    return store.images.add(
        manifest,
        raw,
        tuple(layer.id for layer in (*executed.base, *made)),
        references=tags,
        parent=base_image.id if base_image else None,
    )


def _present(manifest: Manifest, tags: tuple[Reference, ...], store: Store) -> Image | None:
    """The very image, if it is whole and has all its names already: then there is nothing to write."""
    image = store.images.by_manifest(manifest.descriptor.digest)
    if image is None or image.missing or not set(tags) <= set(image.references):
        return None
    return image


def _diff_id(layer: Layer) -> digests.Digest:
    assert layer.diff_id is not None
    return layer.diff_id


def layer_descriptor(layer: Layer) -> Descriptor:
    """A layer as its plain tar, derived from its tree whenever somebody wants the bytes."""
    assert layer.tar_size is not None
    return Descriptor(MediaType.OCI_LAYER, _diff_id(layer), layer.tar_size)


def base_layers(image: Image, store: Store) -> tuple[Descriptor, ...]:
    """The layers as the base image's manifest names them, so that a push finds them at the registry already."""
    document = descriptors.parse_document(store.blobs.read(image.manifest.digest))
    if not isinstance(document, Manifest) or len(document.layers) != len(image.layers):
        raise errors.Corrupt(f"manifest {image.manifest.digest} does not fit its image", hint="Load the image again.")
    return tuple(
        attrs.evolve(layer, media_type=_AS_OCI.get(MediaType(layer.media_type), layer.media_type))
        if layer.media_type in _AS_OCI
        else layer
        for layer in document.layers
    )


def _dated(config: ImageConfig, store: Store, now: Callable[[], float]) -> ImageConfig:
    """Give an image that has no layer to tell the time one, the same at each later build of the same content."""
    key = of_parts("image-time", (imageconfig.encode(config),))
    record = store.cache.get(key)
    created = record.created if record is not None else now()
    if record is None:
        store.cache.put(
            CacheRecord(
                key=key,
                layer_id=None,
                description="time of an image without layers",
                created=created,
                last_used=created,
                size=0,
                data={},
            )
        )
    when = assemble.timestamp(created)
    history = tuple(attrs.evolve(item, created=item.created or when) for item in config.history)
    return attrs.evolve(config, created=when, history=history)
