"""Images: a configuration, its layers, and the names people know it by."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import attrs

from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.digest import Digest
from orlop.core.imageconfig import ImageConfig
from orlop.core.reference import Reference
from orlop.store import imagerows, journal, layers, locks, naming
from orlop.store.blobs import Blobs
from orlop.store.configs import Configs
from orlop.store.database import Connection, Database
from orlop.store.journal import Journal
from orlop.store.layers import Layer
from orlop.store.layout import Layout


@attrs.frozen
class Image:
    """One image.

    `id` is the digest of its configuration, Docker's image ID. `layers` go lowest first, one a diff ID; those that are
    lost (see `verify`) are in `missing` instead, and such an image can only be pulled again. `size` is the sum of the
    layers' sizes in bytes, `added` the unix time it came here.
    """

    id: Digest
    manifest: Descriptor
    config: ImageConfig
    layers: tuple[Layer, ...]
    references: tuple[Reference, ...]
    repo_digests: tuple[Reference, ...]
    size: int
    added: float
    parent: Digest | None = None
    missing: tuple[Digest, ...] = ()


@attrs.frozen
class Removal:
    """What removing an image takes away: names, then digests of the image and of the chains no other image has.

    `reclaimed` is what the layers and blobs that nothing else uses hold in bytes; they go with the next collection.
    """

    untagged: tuple[Reference, ...]
    deleted: tuple[Digest, ...]
    reclaimed: int


class Images:
    """The images of the store. Thread-safe; any number of processes; every verb is one transaction."""

    def __init__(
        self,
        layout: Layout,
        database: Database,
        blobs: Blobs,
        log: Journal,
        boot: str,
        changed: Callable[[], None],
    ) -> None:
        self._layout = layout
        self._database = database
        self._blobs = blobs
        self._journal = log
        self._boot = boot
        self._changed = changed
        self._configs = Configs(blobs)
        self._guard = threading.Lock()
        self._listed: tuple[int, tuple[Image, ...]] = (-1, ())

    def add(
        self,
        manifest: Manifest,
        config_raw: bytes,
        layer_ids: tuple[str, ...],
        *,
        references: tuple[Reference, ...] = (),
        parent: Digest | None = None,
    ) -> Image:
        """Add an image whose layers are all here, or name it anew; names move from the images that had them.

        A reference with a digest is a repository digest, one with a tag a name. Raises `Invalid` when manifest,
        configuration and layers do not fit together, `NotFound` when a layer is gone. On disk when it returns, but for
        the layers' files, which follow within moments; an image that loses them with the power knows it (`missing`).
        """
        config = imageconfig.parse(config_raw)
        _check(manifest, config_raw, config, layer_ids)
        document = manifest.descriptor
        with locks.shared(self._layout.lock("gc")):
            self._blobs.put_documents({manifest.config.digest: config_raw, document.digest: manifest.raw})
            with self._database.write(durable=True) as connection:
                self._check_layers(connection, layer_ids, config.diff_ids)
                imagerows.insert(connection, manifest, layer_ids, parent, time.time())
                for reference in references:
                    imagerows.name(connection, reference, manifest.config.digest, document.digest, time.time())
                revision = journal.note(connection, journal.IMAGES)
                image = self._load(connection, manifest.config.digest)
        self._announce(revision)
        return image

    def get(self, id: Digest) -> Image:  # noqa: A002 - the field's word
        """The image of that ID; raises `ImageNotFound`."""
        with self._database.read() as connection:
            return self._load(connection, id)

    def by_manifest(self, digest: Digest) -> Image | None:
        """The image that a manifest of that digest describes."""
        with self._database.read() as connection:
            row = connection.execute("SELECT image FROM manifests WHERE digest = ?", (str(digest),)).fetchone()
            return self._load(connection, digests.parse(row[0])) if row else None

    def find(self, text: str) -> Image:
        """By full digest, then by name (tag `latest` unless said), then by unique ID prefix.

        Raises `ImageNotFound` with similar names as hint, `Conflict` when a prefix is ambiguous, `InvalidReference`.
        """
        with self._database.read() as connection:
            return self._load(connection, naming.resolve(connection, text))

    def list(self) -> tuple[Image, ...]:
        """All images, newest first; from memory while nothing has changed."""
        with self._database.read() as connection:
            revision = journal.newest_of(connection, journal.IMAGES)
            with self._guard:
                if self._listed[0] == revision:
                    return self._listed[1]
            rows = imagerows.select_all(connection, self._boot)
        images = [image for row in rows if (image := self._whole(row)) is not None]
        images.sort(key=lambda image: (self._configs.created(image.id), image.added, image.id), reverse=True)
        with self._guard:
            self._listed = (revision, tuple(images))
        return tuple(images)

    def tag(self, reference: Reference, id: Digest) -> None:  # noqa: A002 - the field's word
        """Give the image a name; another image that had it loses it. Raises `ImageNotFound`."""
        with self._database.write(durable=True) as connection:
            row = connection.execute("SELECT manifest FROM images WHERE id = ?", (str(id),)).fetchone()
            if row is None:
                raise _not_found(id)
            imagerows.name(connection, reference.or_latest(), id, digests.parse(row[0]), time.time())
            revision = journal.note(connection, journal.IMAGES)
        self._announce(revision)

    def know(self, reference: Reference, id: Digest, manifest: Manifest) -> None:  # noqa: A002 - the field's word
        """Keep a further manifest of the image, by which the repository of `reference` knows it (a repository digest).

        The image's own manifest, that of what lies here, stays. Raises `Invalid` for the manifest of another image,
        `ImageNotFound`.
        """
        document = manifest.descriptor
        if manifest.config.digest != id:
            raise errors.Invalid(f"manifest {document.digest} is not that of image {id}")
        with locks.shared(self._layout.lock("gc")):
            self._blobs.put_documents({document.digest: manifest.raw})
            with self._database.write(durable=True) as connection:
                if connection.execute("SELECT 1 FROM images WHERE id = ?", (str(id),)).fetchone() is None:
                    raise _not_found(id)
                imagerows.know(connection, reference, id, document.digest)
                revision = journal.note(connection, journal.IMAGES)
        self._announce(revision)

    def last_tagged(self, id: Digest) -> float | None:  # noqa: A002 - the field's word
        """Unix time at which the image got the newest of its names; None when it has none."""
        with self._database.read() as connection:
            row = connection.execute("SELECT max(updated) FROM refs WHERE image = ?", (str(id),)).fetchone()
        return None if row[0] is None else float(row[0])

    def untag(self, reference: Reference) -> Digest | None:
        """Take a name away and tell whose it was; the image stays. None when nobody had it."""
        with self._database.write(durable=True) as connection:
            image = imagerows.unname(connection, reference.or_latest())
            if image is None:
                return None
            revision = journal.note(connection, journal.IMAGES)
        self._announce(revision)
        return image

    def removal(self, id: Digest) -> Removal:  # noqa: A002 - the field's word
        """What `remove` would take away; raises `ImageNotFound`."""
        with self._database.read() as connection:
            return self._removal(connection, id)

    def remove(self, id: Digest) -> Removal:  # noqa: A002 - the field's word
        """Remove the image and its names, and tell what went; layers and blobs go with the next collection."""
        with self._database.write(durable=True) as connection:
            removal = self._removal(connection, id)
            imagerows.delete(connection, id, time.time())
            revision = journal.note(connection, journal.IMAGES)
        self._announce(revision)
        return removal

    def _announce(self, revision: int) -> None:
        self._journal.announce(revision)
        self._changed()

    def _load(self, connection: Connection, id: Digest) -> Image:  # noqa: A002 - the field's word
        row = imagerows.select_one(connection, id, self._boot)
        if row is None:
            raise _not_found(id)
        return _image(row, self._configs.get(id))

    def _whole(self, row: imagerows.ImageRow) -> Image | None:
        """None for an image whose configuration is lost; `verify` names it."""
        try:
            return _image(row, self._configs.get(row.id))
        except (errors.NotFound, errors.Corrupt, errors.Invalid):
            return None

    def _check_layers(self, connection: Connection, layer_ids: tuple[str, ...], diff_ids: tuple[Digest, ...]) -> None:
        for layer_id, diff_id in zip(layer_ids, diff_ids, strict=True):
            row = connection.execute(
                f"SELECT {layers.COLUMNS} FROM layers WHERE id = ? AND (boot IS NULL OR boot = ?)",  # noqa: S608 - a constant
                (layer_id, self._boot),
            ).fetchone()
            if row is None or not os.path.isdir(self._layout.layers / layer_id / "diff"):
                raise errors.NotFound(f"layer {layer_id} is not in the store", hint="Try the operation again.")
            layer = layers.from_row(row)
            if layer.diff_id != diff_id:
                raise errors.Invalid(f"layer {layer_id} has diff ID {layer.diff_id} instead of {diff_id}")
            layers.describe(self._layout.layers / layer_id, layer)

    def _removal(self, connection: Connection, id: Digest) -> Removal:  # noqa: A002 - the field's word
        row = imagerows.select_one(connection, id, self._boot)
        if row is None:
            raise _not_found(id)
        chains = list(self._configs.chains(id))
        others = {
            chain
            for (text,) in connection.execute("SELECT id FROM images WHERE id <> ?", (str(id),))
            for chain in self._configs.chains(digests.parse(text))
        }
        deleted = (id, *(chain for chain in reversed(chains) if chain not in others))
        return Removal(
            (*row.references, *row.repo_digests), deleted, imagerows.exclusive_bytes(connection, id, self._blobs)
        )


def _image(row: imagerows.ImageRow, config: ImageConfig) -> Image:
    present = tuple(layer for layer in row.layers if layer is not None)
    missing = tuple(
        diff_id for diff_id, layer in zip(config.diff_ids, row.layers, strict=False) if layer is None
    )  # fmt: skip
    return Image(
        id=row.id,
        manifest=row.manifest,
        config=config,
        layers=present,
        references=row.references,
        repo_digests=row.repo_digests,
        size=sum(layer.size for layer in present),
        added=row.added,
        parent=row.parent,
        missing=missing,
    )


def _check(manifest: Manifest, config_raw: bytes, config: ImageConfig, layer_ids: tuple[str, ...]) -> None:
    counts = {len(manifest.layers), len(config.diff_ids), len(layer_ids)}
    if len(counts) != 1:
        raise errors.Invalid(
            f"image has {len(manifest.layers)} layers in its manifest, {len(config.diff_ids)} in its configuration "
            f"and {len(layer_ids)} unpacked"
        )
    if manifest.config.size != len(config_raw):
        raise errors.Invalid(f"image configuration has {len(config_raw)} bytes instead of {manifest.config.size}")


def _not_found(id: Digest) -> errors.ImageNotFound:  # noqa: A002 - the field's word
    return errors.ImageNotFound(f"no such image: {id}", hint="List the images with `orlop images`.")
