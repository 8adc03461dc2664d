"""The tables of the store's database, as steps from each version to the next."""

from __future__ import annotations

# Layers: `boot` is the boot that wrote it while its files may not be on disk yet, NULL once they are; `claimed` is 1
# after an image has used it. Blobs have no table: a blob is its file.
# `released` names blobs of removed images, so that they go without the grace that unclaimed content has.
_FIRST = """
CREATE TABLE layers (
    id TEXT PRIMARY KEY, diff_id TEXT, tar_size INTEGER, size INTEGER NOT NULL, created REAL NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0, boot TEXT
) WITHOUT ROWID;
CREATE INDEX layers_diff_id ON layers (diff_id) WHERE diff_id IS NOT NULL;
CREATE INDEX layers_boot ON layers (boot) WHERE boot IS NOT NULL;
CREATE TABLE compressed (
    diff_id TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, digest)
) WITHOUT ROWID;
CREATE TABLE images (
    id TEXT PRIMARY KEY, manifest TEXT NOT NULL, media_type TEXT NOT NULL, manifest_size INTEGER NOT NULL,
    parent TEXT, added REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE manifests (digest TEXT PRIMARY KEY, image TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX manifests_image ON manifests (image);
CREATE TABLE image_layers (
    image TEXT NOT NULL, position INTEGER NOT NULL, layer TEXT NOT NULL, PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_layer ON image_layers (layer);
CREATE TABLE image_blobs (image TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (image, digest)) WITHOUT ROWID;
CREATE INDEX image_blobs_digest ON image_blobs (digest);
CREATE TABLE refs (name TEXT PRIMARY KEY, image TEXT NOT NULL, updated REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX refs_image ON refs (image);
CREATE TABLE repo_digests (name TEXT PRIMARY KEY, image TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX repo_digests_image ON repo_digests (image);
CREATE TABLE released (digest TEXT PRIMARY KEY, time REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE cache (
    key TEXT PRIMARY KEY, layer TEXT, description TEXT NOT NULL, created REAL NOT NULL, last_used REAL NOT NULL,
    size INTEGER NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX cache_layer ON cache (layer);
CREATE TABLE leases (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, pid INTEGER NOT NULL, start INTEGER NOT NULL, boot TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE lease_items (lease TEXT NOT NULL, item TEXT NOT NULL, PRIMARY KEY (lease, item)) WITHOUT ROWID;
CREATE TABLE files (
    dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL, hash BLOB NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (dev, ino)
) WITHOUT ROWID;
CREATE TABLE changes (revision INTEGER PRIMARY KEY AUTOINCREMENT, kinds TEXT NOT NULL);
CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

# Repositories that had a blob when they were last asked: `domain` and `path` are the parts of a reference.
_ORIGINS = """
CREATE TABLE origins (
    domain TEXT NOT NULL, digest TEXT NOT NULL, path TEXT NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (domain, digest, path)
) WITHOUT ROWID;
"""

# Entry N takes a database of version N to version N + 1. Entries are only ever added.
STEPS: tuple[str, ...] = (_FIRST, _ORIGINS)
