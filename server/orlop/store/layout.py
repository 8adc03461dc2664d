"""Where everything lies under the store's root, and the version of that arrangement."""

from __future__ import annotations

import base64
import functools
import os
import re
from pathlib import Path

import attrs

from orlop.core import errors
from orlop.core.digest import Digest
from orlop.store import durable

VERSION = 1
_ID = re.compile(r"[a-z2-7]{26}\Z")
_OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@attrs.frozen(slots=False)
class Layout:
    """The paths of one store; `root` is absolute. The tree is an OCI image layout as well (image-layout.md)."""

    root: Path

    @functools.cached_property
    def blobs(self) -> Path:
        """Committed blobs, `<algorithm>/<hex>`."""
        return self.root / "blobs"

    @functools.cached_property
    def ingest(self) -> Path:
        """Blobs being written; the writer holds a lock on each."""
        return self.root / "ingest"

    @functools.cached_property
    def partial(self) -> Path:
        """Downloads that are not whole yet, by the hex of their digest; whoever goes on with one holds a lock on it."""
        return self.root / "partial"

    @functools.cached_property
    def layers(self) -> Path:
        """Unpacked layers, `<id>/diff`; those being made are `.new-<id>`."""
        return self.root / "layers"

    @functools.cached_property
    def containers(self) -> Path:
        """Bundles of containers."""
        return self.root / "containers"

    @functools.cached_property
    def trash(self) -> Path:
        """What was renamed away and waits to be deleted."""
        return self.root / "trash"

    @functools.cached_property
    def database(self) -> Path:
        """References, images, layers, cache records, leases."""
        return self.root / "db.sqlite"

    @functools.cached_property
    def index(self) -> Path:
        """The OCI index of all images, for other tools and for recovery."""
        return self.root / "index.json"

    @functools.cached_property
    def revision(self) -> Path:
        """Written to after every change, so that others can watch it."""
        return self.root / "revision"

    def lock(self, name: str) -> Path:
        """A lock file of that name."""
        return self.root / "locks" / name

    def blob(self, digest: Digest) -> Path:
        """The file of a committed blob."""
        return self.root / "blobs" / digest.algorithm / digest.hex

    def prepare(self) -> None:
        """Make what is missing; raises `Unavailable` when the place cannot be written or is too new."""
        try:
            if self._version() is None:
                self._make()
        except OSError as error:
            raise errors.from_os(error, f"open the image store {self.root}") from error

    def _version(self) -> int | None:
        try:
            text = (self.root / "version").read_text().strip()
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise errors.Unavailable(
                f"cannot open the image store {self.root}: a file is in its way",
                hint="Choose another store with ORLOP_ROOT.",
            ) from error
        if not text.isdigit() or int(text) > VERSION:
            raise errors.Unavailable(
                f"cannot open the image store {self.root}: its layout has version {text[:20]!r}, "
                f"this program knows {VERSION}",
                hint="Update Orlop, or choose another store with ORLOP_ROOT.",
            )
        return int(text)

    def _make(self) -> None:
        # Layers hold programs with the set-user-ID bit: nobody else may walk in.
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        for folder in ("blobs/sha256", "ingest", "layers", "containers", "trash", "locks"):
            os.makedirs(self.root / folder, exist_ok=True)
        os.close(os.open(self.revision, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        durable.write_file(self.root / "oci-layout", _OCI_LAYOUT)
        if not self.index.exists():
            durable.write_file(self.index, b'{"schemaVersion":2,"manifests":[]}')
        durable.write_file(self.root / "version", f"{VERSION}\n".encode())
        durable.sync_directory(self.root)


def new_id() -> str:
    """26 characters of the base-32 alphabet, 128 random bits."""
    return base64.b32encode(os.urandom(16)).decode().lower().rstrip("=")


def is_id(text: str) -> bool:
    """Whether the text has the form of a layer id."""
    return _ID.match(text) is not None
