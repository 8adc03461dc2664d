"""The store as an OCI image layout: `index.json` lists every image, for other tools and for recovery.

Blobs of built layers are made on demand, so they may be missing from `blobs/`, as image-layout.md allows.
"""

from __future__ import annotations

from orlop.core import descriptor as descriptors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import parse
from orlop.core.job import Job
from orlop.store import durable, journal, locks
from orlop.store.database import Connection, Database
from orlop.store.layout import Layout

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
_WRITTEN = "index-revision"


def refresh(layout: Layout, database: Database) -> None:
    """Write the index anew if images changed since it was written; readers see the old or the new one."""
    with database.read() as connection:
        if _written(connection) == journal.newest_of(connection, journal.IMAGES):
            return
    with locks.exclusive(layout.lock("index"), Job()):
        with database.read() as connection:
            revision = journal.newest_of(connection, journal.IMAGES)
            manifests = _manifests(connection)
        durable.write_file(layout.index, descriptors.make_index(manifests).raw)
        with database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (_WRITTEN, revision))


def _written(connection: Connection) -> int:
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (_WRITTEN,)).fetchone()
    return int(row[0]) if row else 0


def _manifests(connection: Connection) -> tuple[Descriptor, ...]:
    rows = connection.execute(
        "SELECT media_type, manifest, manifest_size, refs.name FROM images LEFT JOIN refs ON refs.image = images.id"
        " ORDER BY images.added, images.id, refs.name"
    )
    return tuple(
        Descriptor(media_type, parse(digest), size, {REF_NAME: name, IMAGE_NAME: name} if name else {})
        for media_type, digest, size, name in rows
    )
