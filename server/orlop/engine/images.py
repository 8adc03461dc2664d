"""Images: list, inspect, history, tag, remove, save, load, import."""

from __future__ import annotations

import fnmatch
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
from orlop.engine import inspection
from orlop.rootfs import layers
from orlop.rootfs.content import StoreContent
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.transfer.copy import copy


@attrs.frozen
class Removed:
    """What `remove` took away (or would): names in familiar form, digests, bytes given back."""

    untagged: tuple[str, ...]
    deleted: tuple[str, ...]
    reclaimed: int


@attrs.frozen
class Loaded:
    """One image that `load` brought; `reference` is None for a nameless one."""

    id: Digest
    reference: Reference | None


class Images:
    """The use-cases of images; `in_use` names the containers of an image."""

    def __init__(
        self,
        store: Store,
        workshop: Workshop,
        in_use: Callable[[Digest], tuple[str, ...]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._workshop = workshop
        self._in_use = in_use
        self._now = now

    def list(self, name: str | None = None, filters: tuple[tuple[str, str], ...] = ()) -> tuple[Image, ...]:
        """Newest first; `name` keeps one repository (or tag), filters are Docker's."""
        images = self._store.images.list()
        if name is not None:
            images = _named(images, name)
        for kind, value in filters:
            images = self._filtered(images, kind, value)
        return images

    def find(self, text: str) -> Image:
        """By digest, name, or unique ID prefix; raises `ImageNotFound`."""
        return self._store.images.find(text)

    def inspect(self, text: str) -> dict[str, Any]:
        """Docker's inspect document."""
        return inspection.inspect(self.find(text))

    def history(self, text: str) -> tuple[inspection.HistoryRow, ...]:
        """The steps that made it, newest first."""
        return inspection.history(self.find(text), self.parent)

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
        """Untag by name, delete by ID or with the last name; refuses what containers use unless forced."""
        untagged: list[str] = []
        deleted: list[str] = []
        reclaimed = 0
        gone: set[Reference] = set()
        for name in names:
            job.checkpoint()
            image = self.find(name)
            doomed = _doomed(image, name, force=force)
            rest = [reference for reference in image.references if reference not in doomed and reference not in gone]
            if not rest:
                self._check_unused(image, force=force)
            untagged += [reference.familiar for reference in doomed]
            gone.update(doomed)
            if not rest:
                untagged += [reference.familiar for reference in image.repo_digests]
                deleted.append(str(image.id))
                reclaimed += self._unique_size(image)
            if not dry_run:
                self._remove(image, doomed, delete=not rest)
        if deleted and not dry_run:
            self._store.collect(job)
        return Removed(tuple(untagged), tuple(deleted), reclaimed)

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

    def _filtered(self, images: tuple[Image, ...], kind: str, value: str) -> tuple[Image, ...]:
        match kind:
            case "dangling":
                wanted = value.lower() in ("true", "1")
                return tuple(image for image in images if (not image.references) == wanted)
            case "reference":
                return tuple(image for image in images if _matches(image, value))
            case "label":
                return tuple(image for image in images if _labelled(image, value))
            case _:
                border = self.find(value).config.created or ""
                return tuple(
                    image
                    for image in images
                    if ((image.config.created or "") < border) == (kind == "before")
                    and (image.config.created or "") != border
                )

    def _check_unused(self, image: Image, *, force: bool) -> None:
        users = self._in_use(image.id)
        if users and not force:
            raise errors.Conflict(
                f"cannot remove image {image.id.short}: container {users[0]} uses it",
                hint=f"Remove the container first (orlop rm {users[0]}), or force it.",
            )

    def _remove(self, image: Image, doomed: tuple[Reference, ...], *, delete: bool) -> None:
        for reference in doomed:
            self._store.images.untag(reference)
        if delete:
            self._store.images.remove(image.id)

    def parent(self, image: Image) -> Image | None:
        """The image that it was built upon or committed from, if it is here."""
        if image.parent is None:
            return None
        try:
            return self._store.images.get(image.parent)
        except errors.ImageNotFound:
            return None

    def _unique_size(self, image: Image) -> int:
        others = {layer.id for other in self._store.images.list() if other.id != image.id for layer in other.layers}
        return sum(layer.size for layer in image.layers if layer.id not in others)


def _changed(change: tuple[str, ...]) -> RunConfig:
    if not change:
        return RunConfig()
    # The planner behind it takes long to import, and is needed only here.
    from orlop.engine import changes  # noqa: PLC0415

    return changes.apply(change)


def _doomed(image: Image, name: str, *, force: bool) -> tuple[Reference, ...]:
    """The names that go: the one that was given, or all when the image was named by its ID."""
    named = _as_reference(image, name)
    if named is not None:
        return (named,)
    if len(image.references) > 1 and not force:
        raise errors.Conflict(
            f"cannot remove image {image.id.short}: it has several names "
            f"({', '.join(reference.familiar for reference in image.references)})",
            hint="Remove it by name, or force it.",
        )
    return image.references


def _as_reference(image: Image, name: str) -> Reference | None:
    try:
        reference = references.parse(name).or_latest()
    except errors.InvalidReference:
        return None
    return reference if reference in image.references else None


def _saved_names(image: Image, name: str) -> tuple[Reference, ...]:
    """A name saves itself, a bare repository all its tags, an ID no name."""
    named = _as_reference(image, name)
    return (named,) if named is not None else ()


def _named(images: tuple[Image, ...], name: str) -> tuple[Image, ...]:
    """Images of one repository or tag, showing only the names that match."""
    wanted = references.parse(name)
    kept = []
    for image in images:
        matching = tuple(
            reference for reference in image.references
            if reference.repository == wanted.repository and wanted.tag in (None, reference.tag)
        )  # fmt: skip
        if matching:
            kept.append(attrs.evolve(image, references=matching))
    return tuple(kept)


def _matches(image: Image, pattern: str) -> bool:
    return any(
        fnmatch.fnmatchcase(text, pattern)
        for reference in image.references
        for text in (reference.familiar, reference.familiar_repository)
    )


def _labelled(image: Image, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    labels = image.config.config.labels
    return name in labels and (not equals or labels[name] == value)


def _manifest(config: bytes, diff_id: Digest, tar_size: int) -> Manifest:
    return descriptors.make_manifest(
        Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(config), len(config)),
        (Descriptor(MediaType.OCI_LAYER, diff_id, tar_size),),
    )
