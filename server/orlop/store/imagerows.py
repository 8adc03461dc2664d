"""The rows that make an image: reading them joined, writing and deleting them together."""

from __future__ import annotations

from collections import defaultdict

import attrs

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.digest import Digest
from orlop.core.reference import Reference
from orlop.store import layers
from orlop.store.blobs import Blobs
from orlop.store.database import Connection
from orlop.store.layers import Layer
from orlop.store.naming import stored_name

_IMAGE = "SELECT id, manifest, media_type, manifest_size, parent, added FROM images"
_LAYER = (
    "SELECT image_layers.image, layers.id, diff_id, tar_size, size FROM image_layers LEFT JOIN layers"
    " ON layers.id = image_layers.layer AND (layers.boot IS NULL OR layers.boot = ?)"
)
_Row = tuple[str, str, str, int, str | None, float]


@attrs.frozen
class ImageRow:
    """All that the database knows of one image; a layer is None when it is lost."""

    id: Digest
    manifest: Descriptor
    parent: Digest | None
    added: float
    layers: tuple[Layer | None, ...]
    references: tuple[Reference, ...]
    repo_digests: tuple[Reference, ...]


def select_one(connection: Connection, id: Digest, boot: str) -> ImageRow | None:  # noqa: A002 - the field's word
    """The rows of one image, None when there is none."""
    key = (str(id),)
    row = connection.execute(f"{_IMAGE} WHERE id = ?", key).fetchone()
    if row is None:
        return None
    found = connection.execute(f"{_LAYER} WHERE image_layers.image = ? ORDER BY position", (boot, *key)).fetchall()
    names = connection.execute("SELECT name FROM refs WHERE image = ? ORDER BY name", key).fetchall()
    known = connection.execute("SELECT name FROM repo_digests WHERE image = ? ORDER BY name", key).fetchall()
    return _row(row, [item[1:] for item in found], [item[0] for item in names], [item[0] for item in known])


def select_all(connection: Connection, boot: str) -> list[ImageRow]:
    """The rows of all images, in four queries."""
    found: defaultdict[str, list[tuple[str, str | None, int | None, int]]] = defaultdict(list)
    for image, *layer in connection.execute(f"{_LAYER} ORDER BY image_layers.image, position", (boot,)):
        found[image].append(tuple(layer))
    names: defaultdict[str, list[str]] = defaultdict(list)
    for image, name_ in connection.execute("SELECT image, name FROM refs ORDER BY name"):
        names[image].append(name_)
    known: defaultdict[str, list[str]] = defaultdict(list)
    for image, name_ in connection.execute("SELECT image, name FROM repo_digests ORDER BY name"):
        known[image].append(name_)
    return [_row(row, found[row[0]], names[row[0]], known[row[0]]) for row in connection.execute(_IMAGE)]


def insert(
    connection: Connection, manifest: Manifest, layer_ids: tuple[str, ...], parent: Digest | None, now: float
) -> None:
    """Write an image, or write it anew: the manifest and the layers are replaced, the time it came stays."""
    key = str(manifest.config.digest)
    document = manifest.descriptor
    connection.execute(
        "INSERT INTO images (id, manifest, media_type, manifest_size, parent, added) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, media_type = excluded.media_type,"
        " manifest_size = excluded.manifest_size, parent = coalesce(excluded.parent, parent)",
        (key, str(document.digest), str(document.media_type), document.size, parent and str(parent), now),
    )
    connection.execute("DELETE FROM image_layers WHERE image = ?", (key,))
    connection.executemany(
        "INSERT INTO image_layers (image, position, layer) VALUES (?, ?, ?)",
        [(key, position, layer) for position, layer in enumerate(layer_ids)],
    )
    connection.executemany("UPDATE layers SET claimed = 1 WHERE id = ?", [(layer,) for layer in layer_ids])
    connection.execute("INSERT OR REPLACE INTO manifests (digest, image) VALUES (?, ?)", (str(document.digest), key))
    used = {key, str(document.digest), *(str(layer.digest) for layer in manifest.layers)}
    connection.executemany(
        "INSERT OR IGNORE INTO image_blobs (image, digest) VALUES (?, ?)", [(key, digest) for digest in used]
    )
    connection.executemany("DELETE FROM released WHERE digest = ?", [(digest,) for digest in used])


def name(connection: Connection, reference: Reference, id: Digest, manifest: Digest, now: float) -> None:  # noqa: A002 - the field's word
    """Name an image: a tag moves here; a digest joins the repository digests; neither means the manifest's digest."""
    if reference.tag is not None:
        tagged = Reference(reference.domain, reference.path, reference.tag)
        connection.execute(
            "INSERT OR REPLACE INTO refs (name, image, updated) VALUES (?, ?, ?)", (stored_name(tagged), str(id), now)
        )
    if reference.digest is not None or reference.tag is None:
        digest = reference.digest or manifest
        connection.execute(
            "INSERT OR REPLACE INTO repo_digests (name, image, digest) VALUES (?, ?, ?)",
            (stored_name(reference.with_digest(digest)), str(id), str(digest)),
        )


def know(connection: Connection, reference: Reference, id: Digest, manifest: Digest) -> None:  # noqa: A002 - the field's word
    """Note a further manifest of an image, and the repository that knows the image by it."""
    connection.execute("INSERT OR REPLACE INTO manifests (digest, image) VALUES (?, ?)", (str(manifest), str(id)))
    connection.execute("DELETE FROM released WHERE digest = ?", (str(manifest),))
    connection.execute(
        "INSERT OR REPLACE INTO repo_digests (name, image, digest) VALUES (?, ?, ?)",
        (stored_name(reference.with_digest(manifest)), str(id), str(manifest)),
    )


def unname(connection: Connection, reference: Reference) -> Digest | None:
    """Take a name away; the ID of the image that had it."""
    table = "refs" if reference.digest is None else "repo_digests"
    key = (stored_name(reference),)
    row = connection.execute(f"SELECT image FROM {table} WHERE name = ?", key).fetchone()  # noqa: S608 - one of two constants
    if row is None:
        return None
    connection.execute(f"DELETE FROM {table} WHERE name = ?", key)  # noqa: S608 - one of two constants
    return digests.parse(row[0])


def delete(connection: Connection, id: Digest, now: float) -> None:  # noqa: A002 - the field's word
    """Delete an image with its names, and release its blobs."""
    key = (str(id),)
    connection.execute(
        "INSERT OR REPLACE INTO released (digest, time)"
        " SELECT digest, ? FROM image_blobs WHERE image = ?"
        " UNION SELECT digest, ? FROM manifests WHERE image = ?"
        " UNION SELECT digest, ? FROM repo_digests WHERE image = ?",
        (now, *key, now, *key, now, *key),
    )
    for table in ("image_layers", "image_blobs", "manifests", "refs", "repo_digests"):
        connection.execute(f"DELETE FROM {table} WHERE image = ?", key)  # noqa: S608 - constants
    connection.execute("DELETE FROM images WHERE id = ?", key)


def exclusive_bytes(connection: Connection, id: Digest, blobs: Blobs) -> int:  # noqa: A002 - the field's word
    """The bytes of the layers and blobs that only this image uses, and no cache record."""
    key = (str(id), str(id))
    layer_bytes = connection.execute(
        "SELECT coalesce(sum(size), 0) FROM layers WHERE id IN (SELECT layer FROM image_layers WHERE image = ?)"
        " AND id NOT IN (SELECT layer FROM image_layers WHERE image <> ?)"
        " AND id NOT IN (SELECT layer FROM cache WHERE layer IS NOT NULL)",
        key,
    ).fetchone()[0]
    rows = connection.execute(
        "SELECT digest FROM image_blobs WHERE image = ?"
        " AND digest NOT IN (SELECT digest FROM image_blobs WHERE image <> ?)",
        key,
    ).fetchall()
    return int(layer_bytes) + sum(_size(blobs, digests.parse(row[0])) for row in rows)


def _size(blobs: Blobs, digest: Digest) -> int:
    try:
        return blobs.size(digest)
    except errors.NotFound:
        return 0


def _row(
    row: _Row, found: list[tuple[str, str | None, int | None, int]], names: list[str], known: list[str]
) -> ImageRow:
    return ImageRow(
        id=digests.parse(row[0]),
        manifest=Descriptor(row[2], digests.parse(row[1]), row[3]),
        parent=digests.parse(row[4]) if row[4] else None,
        added=row[5],
        layers=tuple(layers.from_row(item) if item[0] is not None else None for item in found),
        references=tuple(map(references.parse, names)),
        repo_digests=tuple(map(references.parse, known)),
    )
