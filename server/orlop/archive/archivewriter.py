"""Writes an image archive as one stream: an OCI layout in a tar, which Docker's `manifest.json` may accompany.

With it, the archive is what Docker 25 and later write: `docker load` of any version since 1.10, podman, skopeo and
every reader of OCI archives take it. The same images always give the same bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import IO

from orlop.archive import entry as entries
from orlop.archive import ocilayout
from orlop.archive.dockertar import MANIFEST
from orlop.archive.entry import Entry
from orlop.archive.tarwriter import TarWriter
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference


class ArchiveWriter:
    """A destination of images that hands its bytes to `write` as they come; `finish` completes it.

    Sizes stand before bytes in a tar, so each blob must be as its descriptor says: `Corrupt` is raised if not, and
    the stream is then worthless.
    """

    def __init__(self, write: Callable[[bytes], object], *, docker: bool) -> None:
        self._tar = TarWriter(write)
        self._docker = docker
        self._written: set[Digest] = set()
        self._folders: set[str] = set()
        self._documents: dict[Digest, Manifest | Index] = {}
        self._entries: list[Descriptor] = []
        self._names: dict[Digest, list[str]] = {}

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob was written already."""
        return descriptor.digest in self._written

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        """Write a blob, once."""
        if descriptor.digest in self._written:
            return
        path = ocilayout.blob_path(descriptor.digest)
        self._folder("blobs")
        self._folder(path.rpartition("/")[0])
        member = Entry(path.encode(), size=descriptor.size)
        self._tar.begin(member)
        for chunk in digests.verified(source, descriptor.digest, descriptor.size, f"blob {descriptor.digest}"):
            job.checkpoint()
            self._tar.data(chunk)
        self._tar.end(member)
        self._written.add(descriptor.digest)

    def put_document(self, document: Manifest | Index, job: Job) -> None:
        """Write a manifest or index."""
        descriptor = document.descriptor
        self._documents[descriptor.digest] = document
        self.put(descriptor, io.BytesIO(document.raw), job)

    def tag(self, reference: Reference, target: Descriptor) -> None:
        """Name an image that was written."""
        self._entries.append(ocilayout.named(target, reference))
        self._names.setdefault(target.digest, []).append(reference.familiar)

    def keep(self, target: Descriptor) -> None:
        """List an image that has no name."""
        if target.digest not in self._names:
            self._names[target.digest] = []
            self._entries.append(ocilayout.named(target, None))

    def finish(self) -> None:
        """Write what lists the images, and the end."""
        self._file(ocilayout.INDEX, descriptors.make_index(tuple(self._entries)).raw)
        if self._docker:
            items = [item for target, names in self._names.items() for item in self._items(target, names)]
            self._file(MANIFEST, json.dumps(items, separators=(",", ":")).encode())
        self._file(ocilayout.LAYOUT, ocilayout.LAYOUT_DOCUMENT)
        self._tar.finish()

    def _items(self, target: Digest, names: list[str]) -> list[dict[str, object]]:
        """What `manifest.json` says of an image; of an index, its first image that is here carries the names."""
        document = self._documents.get(target)
        if isinstance(document, Manifest):
            layers = [ocilayout.blob_path(layer.digest) for layer in document.layers]
            return [
                {"Config": ocilayout.blob_path(document.config.digest), "RepoTags": names or None, "Layers": layers}
            ]
        for below in document.manifests if document else ():
            if items := self._items(below.digest, names):
                return items
        return []

    def _folder(self, path: str) -> None:
        if path not in self._folders:
            self._folders.add(path)
            self._tar.add(Entry(path.encode(), entries.DIRECTORY, 0o755))

    def _file(self, name: str, data: bytes) -> None:
        self._tar.add(Entry(name.encode(), size=len(data)), io.BytesIO(data))
