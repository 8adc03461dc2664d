"""Images: list, inspect, history, tag, remove, save, load, import."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import attrs

from orlop.archive import images as archives
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig, platform
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.digest import Digest
from orlop.core.imageconfig import History, ImageConfig, RunConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.reference import Reference
from orlop.engine import imagefilters, inspection
from orlop.engine.imagefilters import Filters
from orlop.engine.removal import Removal, Removed, as_reference
from orlop.rootfs import layers
from orlop.rootfs.content import StoreContent
from orlop.rootfs.gomatch import has_pattern
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.transfer.copy import copy


@attrs.frozen
class Loaded:
    """One image that `load` brought; `reference` is None for a nameless one."""

    id: Digest
    reference: Reference | None


class Images:
    """The use-cases of images; `in_use` and `running` name the containers of an image, all or those that run."""

    def __init__(
        self,
        store: Store,
        workshop: Workshop,
        in_use: Callable[[Digest], tuple[str, ...]],
        running: Callable[[Digest], tuple[str, ...]] = lambda _: (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._workshop = workshop
        self._removal = Removal(store, store.images.find, in_use, running)
        self._now = now

    def list(self, name: str | None = None, filters: Filters = ()) -> tuple[Image, ...]:
        """Newest first; `name` keeps one repository (or tag) or what fits its pattern, filters are Docker's."""
        images = self._store.images.list()
        if name is not None:
            images = _named(images, name)
        return tuple(imagefilters.select(images, filters, self.find, self._now()))

    def find(self, text: str) -> Image:
        """By digest, name, or unique ID prefix; raises `ImageNotFound`."""
        return self._store.images.find(text)

    def inspect(self, text: str) -> dict[str, Any]:
        """Docker's inspect document."""
        image = self.find(text)
        return inspection.inspect(image, self._store.images.last_tagged(image.id))

    def history(self, text: str) -> tuple[inspection.HistoryRow, ...]:
        """The steps that made it, newest first."""
        return inspection.history(self.find(text), self.parent)

    def parent(self, image: Image) -> Image | None:
        """The image that it was built upon or committed from, if it is here."""
        if image.parent is None:
            return None
        try:
            return self._store.images.get(image.parent)
        except errors.ImageNotFound:
            return None

    def tag(self, source: str, target: str) -> Reference:
        """Give `source` the further name `target`; an image that had the name keeps its others."""
        name = references.parse(target).or_latest()
        if name.digest is not None:
            raise errors.InvalidReference(
                f"cannot tag an image with a digest: {target!r}", hint="Write name[:tag] as the new name."
            )
        self._store.images.tag(name, self.find(source).id)
        return name

    def remove(self, names: tuple[str, ...], *, force: bool, dry_run: bool, job: Job) -> Removed:
        """Untag by name, delete by ID or with the last name; refuses what containers use (see `Removal`)."""
        return self._removal.remove(names, force=force, dry_run=dry_run, job=job)

    def prune(self, *, all_unused: bool = False, filters: Filters = (), dry_run: bool, job: Job) -> Removed:
        """Remove nameless images, or with `all_unused` those without a container; filters are label, label!, until."""
        return self._removal.prune(all_unused=all_unused, filters=filters, dry_run=dry_run, now=self._now(), job=job)

    def save_file(self, names: tuple[str, ...], path: Path, form: str, job: Job) -> None:
        """Like `save`, into a file that appears only when it is whole."""
        with archives.replacing(path) as out:
            self.save(names, out, form, job)

    def save(self, names: tuple[str, ...], out: IO[bytes], form: str, job: Job) -> None:
        """Write images as an archive that Docker, podman and skopeo read; `form` is `docker` or `oci`."""
        wanted: list[tuple[Reference | None, Descriptor]] = []
        for name in names:
            image = self.find(name)
            wanted += [(reference, image.manifest) for reference in _saved_names(image, name)] or [
                (None, image.manifest)
            ]
        content = StoreContent(self._store, self._workshop)
        archives.write(out, content, tuple(wanted), form, job)

    def load(self, source: Path | IO[bytes], job: Job) -> tuple[Loaded, ...]:
        """Read a docker-archive, an OCI archive or an OCI layout folder; raises `InvalidArchive`, nothing changed.

        A stream is spooled beside the store first, since archives name their parts at the end.
        """
        content = StoreContent(self._store, self._workshop)
        loaded: list[Loaded] = []
        host = platform.of_machine(os.uname().machine)
        with (
            self._store.leases.hold("load", ()),
            archives.open_archive(source, spool=self._store.root, job=job) as archive,
        ):
            for reference, descriptor in archive.names():
                try:
                    copied = copy(archive, content, descriptor, reference, job, platform=host)
                except errors.Corrupt as error:
                    raise errors.InvalidArchive(f"the archive is damaged: {error.message}") from error
                image = self._store.images.by_manifest(copied.target.digest)
                if image is None:
                    raise errors.Corrupt(
                        f"image {copied.target.digest} of the archive went missing while it was loaded"
                    )
                loaded.append(Loaded(image.id, reference))
        return tuple(loaded)

    def import_path(self, path: Path, name: str | None, change: tuple[str, ...], message: str, job: Job) -> Image:
        """One layer out of a root file system archive in a file."""
        try:
            with path.open("rb") as file:
                return self.import_stream(file, str(path), name, change, message, job)
        except OSError as error:
            raise errors.from_os(error, f"read {path}") from error

    def import_stream(
        self, source: IO[bytes], origin: str, name: str | None, change: tuple[str, ...], message: str, job: Job
    ) -> Image:
        """One layer out of a root file system archive; `change` are Dockerfile instructions for its configuration."""
        tag = references.parse(name).or_latest() if name else None
        run_config = _changed(change)
        layer = layers.receive_tar(self._store, self._workshop, source, job)
        if layer.diff_id is None or layer.tar_size is None:
            raise errors.Corrupt(f"layer {layer.id} came without a digest")
        created = self._now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        config = ImageConfig(
            platform=platform.of_machine(os.uname().machine),
            config=run_config,
            diff_ids=(layer.diff_id,),
            history=(History(created=created, comment=message or f"Imported from {origin}"),),
            created=created,
        )
        raw = imageconfig.encode(config)
        manifest = _manifest(raw, layer.diff_id, layer.tar_size)
        return self._store.images.add(manifest, raw, (layer.id,), references=(tag,) if tag else ())


def _changed(change: tuple[str, ...]) -> RunConfig:
    if not change:
        return RunConfig()
    # The planner behind it takes long to import, and is needed only here.
    from orlop.engine import changes  # noqa: PLC0415

    return changes.apply(change)


def _saved_names(image: Image, name: str) -> tuple[Reference, ...]:
    """A name saves itself, a bare repository all its tags, an ID no name."""
    named = as_reference(image, name)
    return (named,) if named is not None and named.digest is None else ()


def _named(images: tuple[Image, ...], name: str) -> tuple[Image, ...]:
    """Images of one repository or tag, showing only the names that match."""
    try:
        wanted = references.parse(name)
    except errors.InvalidReference:
        if not has_pattern(name):
            raise
        return _fitting(images, name)
    kept = []
    for image in images:
        matching = tuple(
            reference for reference in image.references
            if reference.repository == wanted.repository and wanted.tag in (None, reference.tag)
        )  # fmt: skip
        known = tuple(one for one in image.repo_digests if one.repository == wanted.repository)
        if matching or (known and wanted.tag is None):
            kept.append(attrs.evolve(image, references=matching, repo_digests=known))
    return tuple(kept)


def _fitting(images: tuple[Image, ...], pattern: str) -> tuple[Image, ...]:
    kept = []
    for image in images:
        matching = tuple(
            reference for reference in image.references
            if any(imagefilters.fits(text, pattern) for text in (reference.familiar, reference.familiar_repository))
        )  # fmt: skip
        known = tuple(one for one in image.repo_digests if imagefilters.fits(one.familiar_repository, pattern))
        if matching or known:
            kept.append(attrs.evolve(image, references=matching, repo_digests=known))
    return tuple(kept)


def _manifest(config: bytes, diff_id: Digest, tar_size: int) -> Manifest:
    return descriptors.make_manifest(
        Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(config), len(config)),
        (Descriptor(MediaType.OCI_LAYER, diff_id, tar_size),),
    )
