"""Looks for damage: blobs that are not what their digest says, layers without files, images without their parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import attrs

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.job import Job
from orlop.store import journal
from orlop.store.blobs import Blob, Blobs
from orlop.store.database import Connection, Database
from orlop.store.journal import Journal
from orlop.store.layout import Layout
from orlop.store.trash import Trash


@attrs.frozen
class Damage:
    """One thing that is wrong: `kind` is database, blob, layer or image, `images` the IDs of those that suffer."""

    kind: str
    name: str
    problem: str
    images: tuple[str, ...] = ()


class Verifier:
    """Verifies and repairs one store. Thread-safe."""

    def __init__(self, layout: Layout, database: Database, blobs: Blobs, trash: Trash, log: Journal, boot: str) -> None:
        self._layout = layout
        self._database = database
        self._blobs = blobs
        self._trash = trash
        self._journal = log
        self._boot = boot

    def verify(self, job: Job) -> tuple[Damage, ...]:
        """Hash every blob (about 1.5 GB/s) and look for every part; empty when all is well."""
        damage = [Damage("database", self._layout.database.name, problem) for problem in self._database.check()]
        damage += self._bad_blobs(job)
        bad = {item.name for item in damage if item.kind == "blob"}
        with self._database.read() as connection:
            damage += self._bad_layers(connection)
            damage += self._bad_images(connection, bad)
        return tuple(damage)

    def repair(self, damage: tuple[Damage, ...], job: Job) -> None:
        """Take damaged blobs away and mark damaged layers absent, so that pulling the image again fetches them.

        Images keep their names; those that cannot be read at all lose their row. A damaged database is not repaired
        here: see `recovery`.
        """
        with self._database.write(durable=True) as connection:
            for item in damage:
                job.checkpoint()
                if item.kind == "layer":
                    connection.execute("DELETE FROM layers WHERE id = ?", (item.name,))
            revision = journal.note(connection, journal.IMAGES)
        for item in damage:
            if item.kind == "blob":
                self._trash.take(self._layout.blob(digests.parse(item.name)))
            elif item.kind == "layer":
                self._trash.take(self._layout.layers / item.name)
        self._journal.announce(revision)

    def _bad_blobs(self, job: Job) -> Iterator[Damage]:
        for blob in self._blobs.all():
            problem = self._problem(blob, job)
            if problem is not None:
                with self._database.read() as connection:
                    yield Damage("blob", str(blob.digest), problem, _images_of_blob(connection, str(blob.digest)))

    def _problem(self, blob: Blob, job: Job) -> str | None:
        hasher = hashlib.new(blob.digest.algorithm)
        try:
            with self._blobs.open(blob.digest) as file:
                while chunk := file.read(digests.CHUNK):
                    job.checkpoint()
                    hasher.update(chunk)
        except errors.NotFound:
            # Deleted meanwhile: no damage.
            return None
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None if hasher.hexdigest() == blob.digest.hex else f"its bytes have the digest {hasher.hexdigest()}"

    def _bad_layers(self, connection: Connection) -> Iterator[Damage]:
        for layer, boot in connection.execute("SELECT id, boot FROM layers ORDER BY id"):
            problem = None
            if not os.path.isdir(self._layout.layers / layer / "diff"):
                problem = "its files are gone"
            elif boot not in (None, self._boot):
                problem = "its files may not be whole: the machine went down before they were on disk"
            if problem is not None:
                yield Damage("layer", layer, problem, _images_of_layer(connection, layer))

    def _bad_images(self, connection: Connection, bad: set[str]) -> Iterator[Damage]:
        for image, manifest in connection.execute("SELECT id, manifest FROM images ORDER BY id").fetchall():
            for what, digest in (("configuration", image), ("manifest", manifest)):
                if digest not in bad and not self._blobs.has(digests.parse(digest)):
                    yield Damage("image", image, f"its {what} {digest} is gone", (image,))
            lost = connection.execute(
                "SELECT count(*) FROM image_layers WHERE image = ? AND layer NOT IN (SELECT id FROM layers)", (image,)
            ).fetchone()[0]
            if lost:
                yield Damage("image", image, f"{lost} of its layers are gone", (image,))


def _images_of_blob(connection: Connection, digest: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT image FROM image_blobs WHERE digest = ? UNION SELECT image FROM manifests WHERE digest = ?"
        " ORDER BY image",
        (digest, digest),
    )
    return tuple(row[0] for row in rows)


def _images_of_layer(connection: Connection, layer: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT DISTINCT image FROM image_layers WHERE layer = ? ORDER BY image", (layer,))
    return tuple(row[0] for row in rows)
