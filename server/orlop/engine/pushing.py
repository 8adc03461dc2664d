"""Pushing: an image of the store to a registry, which gets only what it does not have."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from functools import partial
from typing import IO

import attrs

from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import Digest
from orlop.core.job import Job, TransferProgress
from orlop.core.reference import Reference
from orlop.registry.registries import Registries
from orlop.registry.writer import RemoteWriter
from orlop.rootfs.packing import Packed, Packing, Part
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.transfer import meter
from orlop.transfer.together import together

PARALLEL = 3
# What proxies and odd registries answer to a body whose size is not told.
_NO_STREAMS = (400, 405, 411, 413, 415, 501)


@attrs.frozen
class Pushed:
    """What a registry has now: the name, and its manifest's digest and size in bytes."""

    reference: Reference
    digest: Digest
    size: int


@attrs.frozen
class PlannedLayer:
    """One layer of a push: `exists` tells that the registry has it; `exact` is False while `size` is a guess."""

    digest: Digest
    size: int
    exists: bool
    exact: bool


@attrs.frozen
class Plan:
    """What a push would do; `account` is empty for none, `upload` are the bytes that would travel."""

    reference: Reference
    registry: str
    account: str
    size: int
    upload: int
    exact: bool
    layers: tuple[PlannedLayer, ...]


def push(
    store: Store, workshop: Workshop, registries: Registries, reference: Reference, job: Job,
    *, image: Image | None = None,
) -> Pushed:  # fmt: skip
    """Push the image of that name, or `image` under it.

    Where the account may not, the registry says so before anything is compressed: `Denied`, `Unauthorized`. What the
    registry has, in this repository or in another one that is known to have it, does not travel. The image ID stays;
    the manifest that was sent is kept, so that the image is known by its digest from now on.
    """
    name = _checked(reference)
    image = image or store.images.find(str(name))
    with store.leases.hold("push", (image.id, image.manifest.digest, *(layer.id for layer in image.layers))):
        packing = Packing(store, workshop, image)
        writer = _writer(store, registries, name, job)
        try:
            return _Push(store, packing, writer, image, name).run(job)
        finally:
            writer.close()


def plan(
    store: Store, workshop: Workshop, registries: Registries, reference: Reference, job: Job,
    *, image: Image | None = None,
) -> Plan:  # fmt: skip
    """What `push` would do; sends nothing. Raises as `push` does when the account may not push there."""
    name = _checked(reference)
    image = image or store.images.find(str(name))
    packing = Packing(store, workshop, image)
    writer = _writer(store, registries, name, job)
    try:
        writer.check_push(job)
        parts = [part for part in _distinct(packing) if not part.foreign]
        layers = tuple(together([partial(_planned, store, name.domain, writer, part) for part in parts], job, PARALLEL))
    finally:
        writer.close()
    missing = [layer for layer in layers if not layer.exists]
    return Plan(
        reference=name,
        registry=name.domain,
        account=registries.account(name.domain),
        size=sum(layer.size for layer in layers),
        upload=sum(layer.size for layer in missing),
        exact=all(layer.exact for layer in missing),
        layers=layers,
    )


class _Push:
    """One image on its way to one repository."""

    def __init__(self, store: Store, packing: Packing, writer: RemoteWriter, image: Image, name: Reference) -> None:
        self._store = store
        self._packing = packing
        self._writer = writer
        self._image = image
        self._name = name

    def run(self, job: Job) -> Pushed:
        """Layers and configuration at once, then the manifest, the name last."""
        config = self._packing.manifest.config
        parts = [part for part in _distinct(self._packing) if not part.foreign]
        for part in parts:
            _tell(job, part, "waiting", 0)
        # The large ones first: they decide how long it takes.
        parts.sort(key=lambda part: part.layer.size, reverse=True)
        acts: list[Callable[[Job], Descriptor]] = [partial(self._push_layer, part) for part in parts]
        *forms, _ = together([*acts, self._push_config], job, PARALLEL)
        document = self._packing.document({part.stated.digest: form for part, form in zip(parts, forms, strict=True)})
        job.checkpoint()
        self._writer.put_document(document, job)
        self._writer.tag(self._name, document.descriptor)
        self._store.origins.note(self._name.domain, self._name.path, [config.digest, *(form.digest for form in forms)])
        digest = document.descriptor.digest
        self._store.images.know(self._name, self._image.id, document)
        return Pushed(self._name, digest, len(document.raw))

    def _push_config(self, job: Job) -> Descriptor:
        config = self._packing.manifest.config
        if not self._writer.has(config) and not self._writer.mount(config, job):
            self._writer.put_from(config, lambda: io.BytesIO(self._packing.config()), job)
        return config

    def _push_layer(self, part: Part, job: Job) -> Descriptor:
        """Have the registry own the layer in any of its forms; the dearest way, compressing it, comes last."""
        job.checkpoint()
        for there in (self._writer.has, lambda form: self._writer.mount(form, job) is not None):
            for form in part.forms:
                if there(form):
                    _tell(job, part, meter.EXISTS, form.size, form.size)
                    return form
        for form in part.forms:
            opened = partial(self._packing.blob, form)
            if form.digest == part.layer.diff_id and not self._packing.keeps(form):
                opened = partial(self._packing.tar, part, job)
            elif not self._packing.keeps(form):
                continue
            self._writer.put_from(form, opened, job, _Progress(job, part, form.size))
            _tell(job, part, meter.DONE, form.size, form.size)
            return form
        form = self._push_packed(part, job)
        self._packing.remember(part, form)
        _tell(job, part, meter.DONE, form.size, form.size)
        return form

    def _push_packed(self, part: Part, job: Job) -> Descriptor:
        """Compress the layer into the upload; where that is refused, into a file first."""
        packed = self._packing.pack(part, job, _Progress(job, part, part.layer.tar_size or 0))
        try:
            return self._writer.put_stream(packed, job)
        except errors.RegistryError as error:
            if error.status not in _NO_STREAMS:
                raise
        with tempfile.TemporaryFile(dir=self._store.layout.ingest) as file:
            form = _spool(packed, file)
            if not self._writer.has(form):
                self._writer.put_from(form, lambda: _again(file), job)
            return form


class _Progress:
    """Tells at most a hundred times how far one layer is."""

    def __init__(self, job: Job, part: Part, total: int) -> None:
        self._job = job
        self._part = part
        self._total = total
        self._step = max(256 << 10, total // 100)
        self._told = 0
        _tell(job, part, meter.COPYING, 0, total)

    def __call__(self, done: int) -> None:
        self._job.checkpoint()
        if not 0 <= done - self._told < self._step:
            self._told = done
            _tell(self._job, self._part, meter.COPYING, done, self._total)


def _spool(packed: Packed, file: IO[bytes]) -> Descriptor:
    try:
        for piece in packed:
            file.write(piece)
        file.flush()
    except OSError as error:
        raise errors.from_os(error, "compress a layer") from error
    assert packed.descriptor is not None
    return packed.descriptor


def _again(file: IO[bytes]) -> IO[bytes]:
    """The file from its start; closing that leaves the file open."""
    twin = open(os.dup(file.fileno()), "rb")  # noqa: SIM115 - the writer closes it
    twin.seek(0)
    return twin


def _writer(store: Store, registries: Registries, name: Reference, job: Job) -> RemoteWriter:
    return registries.writer(
        name,
        job=job,
        mount_from=lambda digest: store.origins.of(name.domain, digest),
        not_there=lambda digest, path: store.origins.forget(name.domain, path, digest),
    )


def _checked(reference: Reference) -> Reference:
    if reference.digest is not None:
        raise errors.InvalidReference(
            f"cannot push {reference.familiar}: a push gives a name, not a digest", hint="Write name[:tag]."
        )
    return reference.or_latest()


def _distinct(packing: Packing) -> tuple[Part, ...]:
    """Each layer once, however often the image has it."""
    return tuple({part.stated.digest: part for part in packing.parts}.values())


def _planned(store: Store, domain: str, writer: RemoteWriter, part: Part, job: Job) -> PlannedLayer:
    job.checkpoint()
    for form in part.forms:
        if writer.has(form) or store.origins.of(domain, form.digest):
            return PlannedLayer(part.stated.digest, form.size, exists=True, exact=True)
    if part.forms:
        return PlannedLayer(part.stated.digest, part.forms[0].size, exists=False, exact=True)
    return PlannedLayer(part.stated.digest, part.layer.tar_size or part.layer.size, exists=False, exact=False)


def _tell(job: Job, part: Part, phase: str, done: int, total: int | None = None) -> None:
    size = part.stated.size if total is None else total
    job.tell(TransferProgress(str(part.stated.digest), phase, done, size))
