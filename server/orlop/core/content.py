"""The ports through which content moves: anything that can give, take or list images by these can be copied between.

The store, a registry, an OCI layout and a docker-archive implement them; `transfer.copy` needs nothing else.
"""

from __future__ import annotations

from typing import IO, Protocol, runtime_checkable

from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference


class Info(Protocol):
    """Answers whether content is there."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is present and committed."""


class Reader(Info, Protocol):
    """A source of images."""

    def resolve(self, reference: Reference) -> Descriptor:
        """The descriptor a tag or digest names; raises `NotFound` or a registry error."""

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index, verified against its digest."""

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        """The blob's bytes from the start; the caller verifies while reading, and closes."""


@runtime_checkable
class Fetching(Protocol):
    """A source whose bytes come over a network: what arrived wrong may arrive right the next time."""

    over_network: bool


class Writer(Info, Protocol):
    """A destination of images."""

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        """Take the blob's bytes, verify, commit; returns normally if it is there already. Never half visible."""

    def put_document(self, document: Manifest | Index, job: Job) -> None:
        """Take a manifest or index whose parts are all there."""

    def tag(self, reference: Reference, target: Descriptor) -> None:
        """Name the target; readers see the old or the new target, never neither."""


@runtime_checkable
class LayerSink(Protocol):
    """A destination that wants layers by the digest of their uncompressed tar as well."""

    def has_layer(self, diff_id: Digest) -> bool:
        """Whether the layer is already unpacked, so that its blob need not travel."""


class Partial(Protocol):
    """The bytes of one blob that came so far, kept where they outlive the process; its holder alone writes to it."""

    @property
    def size(self) -> int:
        """How many bytes are there."""

    def read_at(self, position: int, count: int) -> bytes:
        """Bytes that are there."""

    def append(self, data: bytes) -> None:
        """Keep the next bytes."""

    def commit(self, digest: Digest) -> None:
        """Make it the blob of a digest that the caller has verified."""

    def discard(self) -> None:
        """Forget the bytes: they are of no use."""

    def close(self) -> None:
        """Let go of it; what is neither committed nor discarded waits for the next attempt."""


class Partials(Protocol):
    """Where a source of blobs keeps what came of them, so that no attempt begins anew."""

    def open(self, descriptor: Descriptor, job: Job) -> Partial:
        """Hold what is there of a blob; waits while another process or thread holds it."""


def partial_of(stream: object) -> Partial | None:
    """What keeps the bytes of a stream while they are read, when something does: a sink then need not keep them too."""
    return getattr(stream, "partial", None)
