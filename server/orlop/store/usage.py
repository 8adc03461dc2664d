"""What the store takes: by kind as `docker system df` counts, and for each image what it shares and what is its own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import attrs

from orlop.core import digest as digests
from orlop.core.digest import Digest
from orlop.store import users
from orlop.store.blobs import Blobs
from orlop.store.database import Connection, Database
from orlop.store.layout import Layout


@attrs.frozen
class Row:
    """One kind of thing: how many, how many in use, bytes together, bytes that removing the unused would give back."""

    total: int
    active: int
    size: int
    reclaimable: int


@attrs.frozen
class ImageUsage:
    """Bytes of one image: `shared` with other images, `unique` to it; layers and kept blobs together."""

    id: Digest
    shared: int
    unique: int


@attrs.frozen
class Usage:
    """The whole store, sizes in bytes. The rows count a layer that images and the cache share with the images.

    `bundles` are the bytes of each container's own files.
    """

    images: Row
    containers: Row
    cache: Row
    each: tuple[ImageUsage, ...]
    bundles: Mapping[str, int]
    layer_bytes: int
    blob_bytes: int


def measure(layout: Layout, database: Database, blobs: Blobs, running: Collection[str]) -> Usage:
    """Measure; `running` names the containers that run. Reads rows and blob sizes, and walks containers' own files."""
    uses = users.read_all(layout)
    kept = {str(blob.digest): blob.size for blob in blobs.all()}
    with database.read() as connection:
        sizes = dict(connection.execute("SELECT id, size FROM layers"))
        parts = _parts(connection, sizes, kept)
        records = connection.execute("SELECT layer FROM cache").fetchall()
    weights: dict[str, int] = sizes | kept
    counts = Counter(part for used in parts.values() for part in used)
    busy_images = frozenset[str]().union(*(use.images for use in uses))
    busy = frozenset[str]().union(
        *(use.layers for use in uses), *(used for image, used in parts.items() if image in busy_images)
    )
    cached = {layer for (layer,) in records if layer in sizes}
    own = cached - counts.keys()
    bundles = {use.container: _tree_size(layout.containers / use.container) for use in uses}
    return Usage(
        images=Row(
            len(parts),
            sum(image in busy_images for image in parts),
            sum(weights[part] for part in counts),
            sum(weights[part] for part in counts.keys() - busy),
        ),
        containers=Row(
            len(uses),
            sum(name in running for name in bundles),
            sum(bundles.values()),
            sum(size for name, size in bundles.items() if name not in running),
        ),
        cache=Row(
            len(records),
            sum(layer in counts or layer in busy for (layer,) in records),
            sum(sizes[layer] for layer in own),
            sum(sizes[layer] for layer in own - busy),
        ),
        each=tuple(
            ImageUsage(
                digests.parse(image),
                sum(weights[part] for part in used if counts[part] > 1),
                sum(weights[part] for part in used if counts[part] == 1),
            )
            for image, used in sorted(parts.items())
        ),
        bundles=bundles,
        layer_bytes=sum(sizes.values()),
        blob_bytes=sum(kept.values()),
    )


def _parts(connection: Connection, sizes: dict[str, int], kept: dict[str, int]) -> dict[str, set[str]]:
    """The layers and blobs of each image, those that are here."""
    parts: dict[str, set[str]] = {image: set() for (image,) in connection.execute("SELECT id FROM images")}
    for image, layer in connection.execute("SELECT image, layer FROM image_layers"):
        if layer in sizes:
            parts[image].add(layer)
    for image, digest in connection.execute("SELECT image, digest FROM image_blobs"):
        if digest in kept:
            parts[image].add(digest)
    return parts


def _tree_size(folder: Path) -> int:
    """Bytes of its regular files, hard links once; what this user may not look into counts nothing."""
    seen: dict[tuple[int, int], int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(f"{path}/{name}")
            except OSError:
                continue
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
