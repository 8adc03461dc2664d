"""Copies an image between any two places: pull, push, save, load and mirror are all this."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs

from orlop.core import digest as digests
from orlop.core import errors, imageconfig, mediatype
from orlop.core.content import Fetching, LayerSink, Reader, Writer
from orlop.core.descriptor import MAX_DOCUMENT, Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.platform import Platform
from orlop.core.reference import Reference
from orlop.transfer import meter
from orlop.transfer.select import select
from orlop.transfer.together import together

PARALLEL = 3
_DEPTH = 4
_DAMAGING = "Try again later; if it stays so, the registry or a proxy before it damages what it passes on."
_Result = TypeVar("_Result")


@attrs.frozen
class Copied:
    """What was copied: `resolved` is what the name meant at the source (maybe an index), `target` what arrived.

    `copied` counts the blobs that travelled, `skipped` those the sink had already.
    """

    resolved: Descriptor
    target: Descriptor
    copied: int
    skipped: int


def copy(
    source: Reader,
    sink: Writer,
    what: Reference | Descriptor,
    name: Reference | None,
    job: Job,
    *,
    platform: Platform | None = None,
    parallel: int = PARALLEL,
) -> Copied:
    """Copy `what` and, if `name` is given, name it so at the sink.

    With a `platform`, the one image of an index that fits it is copied; without one, the index with all its images.
    Blobs travel several at once; what the sink has is skipped, also layers that it has unpacked (`LayerSink`).
    Manifests follow their blobs, the name comes last, so nobody sees half an image. Raises what source and sink raise,
    `NotFound` when no platform fits, `Cancelled`.
    """
    resolved = source.resolve(what) if isinstance(what, Reference) else what
    copier = _Copier(source, sink, job, parallel)
    document = source.document(resolved)
    target = resolved
    if isinstance(document, Index) and platform is not None:
        target, document = select(source, document, platform, job)
    copier.copy(document, platform, _DEPTH)
    if name is not None:
        job.checkpoint()
        sink.tag(name, target)
    return Copied(resolved, target, copier.copied, copier.skipped)


class _Copier:
    """One copy on its way; its counts are for `copy`, and only its own thread touches them."""

    def __init__(self, source: Reader, sink: Writer, job: Job, parallel: int) -> None:
        self.copied = 0
        self.skipped = 0
        self._source = source
        self._sink = sink
        self._job = job
        self._parallel = parallel
        self._seen: set[Digest] = set()

    def copy(self, document: Manifest | Index, platform: Platform | None, depth: int) -> None:
        """Copy a document after all that it refers to."""
        if isinstance(document, Index):
            if depth == 0:
                raise errors.Invalid(f"image index is nested more than {_DEPTH} deep")
            for entry in document.manifests:
                self._job.checkpoint()
                if mediatype.is_index(entry.media_type) or mediatype.is_manifest(entry.media_type):
                    self.copy(self._source.document(entry), None, depth - 1)
                else:
                    self._copy_blobs([entry])
        else:
            self._copy_parts(document, platform)
        self._job.checkpoint()
        self._sink.put_document(document, self._job)

    def _copy_parts(self, manifest: Manifest, platform: Platform | None) -> None:
        raw = self._read(manifest.config)
        config = _parse(raw, manifest)
        if config is not None and platform is not None and config.platform != platform:
            self._job.note(f"the image is for {config.platform}, this machine is {platform}", "warning")
        wanted = []
        for position, layer in enumerate(manifest.layers):
            if layer.digest in self._seen or self._is_unpacked(config, position) or self._stays(layer):
                meter.tell(self._job, layer, meter.EXISTS, layer.size)
                self.skipped += 1
            else:
                self._seen.add(layer.digest)
                wanted.append(layer)
        self._copy_blobs(wanted)
        if self._sink.has(manifest.config):
            self.skipped += 1
        else:
            self._sink.put(manifest.config, io.BytesIO(raw), self._job)
            self.copied += 1

    def _read(self, descriptor: Descriptor) -> bytes:
        if descriptor.size > MAX_DOCUMENT:
            raise errors.Invalid(f"image configuration of {descriptor.size} bytes is larger than {MAX_DOCUMENT}")
        what = f"image configuration {descriptor.digest}"

        def read() -> bytes:
            with self._source.open(descriptor, self._job) as file:
                return b"".join(digests.verified(file, descriptor.digest, descriptor.size, what))

        return self._once_more(read, self._job)

    def _is_unpacked(self, config: ImageConfig | None, position: int) -> bool:
        return (
            config is not None and isinstance(self._sink, LayerSink) and self._sink.has_layer(config.diff_ids[position])
        )

    def _stays(self, layer: Descriptor) -> bool:
        """Non-distributable layers go only to where they get unpacked."""
        return mediatype.is_foreign(layer.media_type) and not isinstance(self._sink, LayerSink)

    def _copy_blobs(self, blobs: list[Descriptor]) -> None:
        """Copy several at once; the first failure stops the others and is raised."""
        results = together([partial(self._copy_blob, blob) for blob in blobs], self._job, self._parallel)
        self.copied += sum(result is True for result in results)
        self.skipped += sum(result is False for result in results)

    def _copy_blob(self, blob: Descriptor, job: Job) -> bool:
        job.checkpoint()
        if self._sink.has(blob):
            meter.tell(job, blob, meter.EXISTS, blob.size)
            return False
        self._once_more(lambda: self._move_blob(blob, job), job)
        meter.tell(job, blob, meter.DONE, blob.size)
        return True

    def _once_more(self, fetch: Callable[[], _Result], job: Job) -> _Result:
        """Fetch; what came damaged over a network a second time."""
        try:
            return fetch()
        except (errors.Corrupt, errors.InvalidArchive) as error:
            if not isinstance(self._source, Fetching):
                raise
            job.note(f"{error.message}; fetching it once more", "warning")
        try:
            return fetch()
        except errors.Corrupt as error:
            error.hint = error.hint or _DAMAGING
            raise

    def _move_blob(self, blob: Descriptor, job: Job) -> None:
        with meter.Meter(self._source.open(blob, job), blob, job) as file:
            self._sink.put(blob, file, job)  # type: ignore[arg-type]


def _parse(raw: bytes, manifest: Manifest) -> ImageConfig | None:
    """None for what is no image (artifacts have manifests too)."""
    if manifest.config.media_type not in mediatype.CONFIGS:
        return None
    config = imageconfig.parse(raw)
    if len(config.diff_ids) != len(manifest.layers):
        raise errors.Invalid(
            f"image has {len(manifest.layers)} layers in its manifest and {len(config.diff_ids)} in its configuration"
        )
    return config
