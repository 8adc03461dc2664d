"""Makes a lost or damaged database again from what lies on disk: index, manifests, configurations, layer trees."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

import attrs

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig
from orlop.core import reference as references
from orlop.core.descriptor import Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.store import durable, imagerows, journal, locks
from orlop.store.blobs import Blobs
from orlop.store.database import Connection, Database
from orlop.store.layers import DESCRIPTION
from orlop.store.layout import Layout, is_id
from orlop.store.ociindex import REF_NAME


@attrs.frozen
class Rebuilt:
    """What could be saved: counts of images, of names, and of layers; `kept` is where the old database went."""

    images: int
    names: int
    layers: int
    kept: Path | None


def rebuild(root: Path, job: Job) -> Rebuilt:
    """Set the database aside and make a new one; raises `Conflict` while any process has the store open.

    Lost for good are the build cache and images whose manifest or configuration is gone. A name comes back as of the
    last `index.json`.
    """
    layout = Layout(root.absolute())
    layout.prepare()
    lock = locks.try_exclusive(layout.lock("open"))
    if lock is None:
        raise errors.Conflict(
            f"cannot rebuild the database of {root}: another process uses the store",
            hint="Close every window and program that uses the store and try again.",
        )
    try:
        return _rebuild(layout, job)
    except OSError as error:
        raise errors.from_os(error, f"rebuild the database of {root}") from error
    finally:
        os.close(lock)


def _rebuild(layout: Layout, job: Job) -> Rebuilt:
    temporary = layout.root / "db.rebuilding"
    _remove_database(temporary)
    database = Database(temporary, layout.lock("migrate"))
    try:
        with database.write(durable=True) as connection:
            trees = _insert_layers(layout, connection, job)
            images = _insert_images(layout, connection, trees, job)
            names = _insert_names(layout, connection)
            journal.note(connection, journal.IMAGES)
    finally:
        # The last connection takes the log back into the one file, so that one rename puts it in place.
        database.close()
    kept = _set_aside(layout.database)
    os.rename(temporary, layout.database)
    durable.sync_directory(layout.root)
    return Rebuilt(images, names, len(trees), kept)


def _insert_layers(layout: Layout, connection: Connection, job: Job) -> dict[str, str]:
    """Diff ID to layer id, of the layers that images have used."""
    trees: dict[str, str] = {}
    for name in sorted(os.listdir(layout.layers)):
        job.checkpoint()
        folder = layout.layers / name
        if not is_id(name) or not (folder / "diff").is_dir():
            continue
        try:
            data = json.loads((folder / DESCRIPTION).read_bytes())
            diff_id, tar_size, size = digests.parse(data["diffId"]), int(data["tarSize"] or 0), int(data["size"])
        except (OSError, ValueError, KeyError, TypeError, errors.Invalid):
            continue
        connection.execute(
            "INSERT INTO layers (id, diff_id, tar_size, size, created, claimed) VALUES (?, ?, ?, ?, ?, 1)",
            (name, str(diff_id), tar_size or None, size, folder.stat().st_mtime),
        )
        trees.setdefault(str(diff_id), name)
    return trees


def _insert_images(layout: Layout, connection: Connection, trees: dict[str, str], job: Job) -> int:
    blobs = Blobs(layout)
    documents = []
    for blob in blobs.all():
        job.checkpoint()
        manifest = _manifest(blobs, blob.digest, blob.size)
        if manifest is not None:
            documents.append((manifest, blob.changed))
    found: set[Digest] = set()
    # An image's own manifest is the one whose layers lie here; it has others from repositories it was pushed to.
    for manifest, changed in sorted(documents, key=lambda item: (_is_whole(blobs, trees, item[0]), item[1])):
        with contextlib.suppress(errors.NotFound, errors.Corrupt, errors.Invalid):
            config = imageconfig.parse(blobs.read(manifest.config.digest))
            if len(config.diff_ids) == len(manifest.layers):
                # A diff ID without a tree stands for a layer that is lost.
                layers = tuple(trees.get(str(diff_id), str(diff_id)) for diff_id in config.diff_ids)
                imagerows.insert(connection, manifest, layers, None, changed or time.time())
                found.add(manifest.config.digest)
    return len(found)


def _is_whole(blobs: Blobs, trees: dict[str, str], manifest: Manifest) -> bool:
    return all(str(layer.digest) in trees or blobs.has(layer.digest) for layer in manifest.layers)


def _insert_names(layout: Layout, connection: Connection) -> int:
    try:
        index = descriptors.parse_document(layout.index.read_bytes())
    except (OSError, errors.Invalid):
        return 0
    if not isinstance(index, Index):
        return 0
    count = 0
    for entry in index.manifests:
        name = entry.annotations.get(REF_NAME)
        row = connection.execute("SELECT image FROM manifests WHERE digest = ?", (str(entry.digest),)).fetchone()
        if name and row:
            with contextlib.suppress(errors.InvalidReference):
                reference = references.parse(name)
                imagerows.name(connection, reference, digests.parse(row[0]), entry.digest, time.time())
                count += 1
    return count


def _manifest(blobs: Blobs, digest: Digest, size: int) -> Manifest | None:
    if size > descriptors.MAX_DOCUMENT:
        return None
    try:
        with blobs.open(digest) as file:
            if file.read(1) != b"{":
                return None
        document = descriptors.parse_document(blobs.read(digest))
    except (errors.NotFound, errors.Corrupt, errors.Invalid):
        return None
    return document if isinstance(document, Manifest) else None


def _set_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    kept = database.with_name(f"db.damaged-{int(time.time())}.sqlite")
    # A link first, so that at no time there is no database at all, which would look like an empty store.
    os.link(database, kept)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{database}{suffix}", f"{kept}{suffix}")
    return kept


def _remove_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")
