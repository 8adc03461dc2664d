"""Commit: a container's changes as a new layer upon its image, with the configuration it ran with."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from orlop.builder import assemble
from orlop.builder.commit import base_layers, layer_descriptor
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor
from orlop.core.imageconfig import History, ImageConfig, RunConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.reference import Reference
from orlop.engine import changes
from orlop.engine.containers import CommitOptions
from orlop.rootfs import uppers
from orlop.rootfs.workshop import Workshop
from orlop.runtime.container import Container
from orlop.runtime.manager import Manager
from orlop.store.images import Image
from orlop.store.layers import Layer
from orlop.store.store import Store


def commit(
    store: Store,
    workshop: Workshop,
    manager: Manager,
    name: str,
    reference: str | None,
    options: CommitOptions,
    job: Job,
    now: Callable[[], float] = time.time,
) -> Image:
    """Make the image, and give it the name `reference` if there is one.

    The container may run: it is kept still while its files are read unless `options.pause` is false. A container that
    has changed nothing gives an image without a further layer (moby, image/image.go, `NewChildImage`).
    """
    target = _target(reference)
    found = manager.inspect(name)
    # Before anything is read: a change that is refused costs nothing.
    config = changes.apply(options.changes, imageconfig.read_run_config(found.config))
    base = _base(store, found)
    with store.leases.hold("commit", [base.id, *(layer.id for layer in base.layers)]):
        with manager.locked(found.id, job, pause=options.pause) as held:
            layer = uppers.freeze(store, workshop, held.bundle / "diff", manager.stubs(held), job)
        job.checkpoint()
        return _write(store, base, layer, _document(base, layer, found, config, options, now()), target)


def _target(text: str | None) -> Reference | None:
    if not text:
        return None
    reference = references.parse(text).or_latest()
    if reference.digest is not None:
        raise errors.InvalidReference(
            f"cannot name an image by a digest: {text!r}", hint="Write name[:tag] for the new image."
        )
    return reference


def _base(store: Store, found: Container) -> Image:
    try:
        return store.images.get(digests.parse(found.image.id))
    except errors.ImageNotFound as error:
        raise errors.ImageNotFound(
            f"cannot commit {found.name}: its image {found.image.name} was removed",
            hint="Load or build that image again, or take the files out with `orlop export`.",
        ) from error


def _document(
    base: Image, layer: Layer | None, found: Container, config: RunConfig, options: CommitOptions, seconds: float
) -> ImageConfig:
    """The configuration of the image; its last line of history tells the container's command, as Docker's does."""
    when = assemble.timestamp(seconds)
    step = History(
        created=when,
        created_by=" ".join(map(str, found.config.get("Cmd") or ())),
        comment=options.message,
        author=options.author,
        empty_layer=layer is None,
    )
    own = () if layer is None or layer.diff_id is None else (layer.diff_id,)
    inherited = base.config
    return attrs.evolve(
        inherited,
        config=config,
        diff_ids=(*inherited.diff_ids, *own),
        history=(*assemble.complete(inherited), step),
        created=when,
        author=options.author,
        extra=assemble.kept(inherited.extra),
    )


def _write(store: Store, base: Image, layer: Layer | None, config: ImageConfig, target: Reference | None) -> Image:
    raw = imageconfig.encode(config)
    own = () if layer is None else (layer,)
    manifest = descriptors.make_manifest(
        Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw)),
        (*base_layers(base, store), *map(layer_descriptor, own)),
    )
    return store.images.add(
        manifest,
        raw,
        tuple(each.id for each in (*base.layers, *own)),
        references=(target,) if target is not None else (),
        parent=base.id,
    )
