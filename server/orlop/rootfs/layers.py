"""Layers on their way between tar streams and directories: receiving, naming, giving back their bytes."""

from __future__ import annotations

import io
import os
import threading
from typing import IO, Any

from orlop.archive import compression
from orlop.archive.compression import Compression
from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import Digest
from orlop.core.job import Job, TransferProgress
from orlop.rootfs.feeding import Feeder, make_pipe
from orlop.rootfs.workshop import Workshop
from orlop.store.blobs import BlobWriter, KeptWriter
from orlop.store.layers import Layer, PendingLayer
from orlop.store.store import Store

# Bytes of a blob, and of its tar, that are handled in memory at once.
_SMALL, _SMALL_PLAIN = 256 << 10, 4 << 20
# As many bytes as tell how a stream is compressed.
_HEAD = 8


def receive(store: Store, workshop: Workshop, source: IO[bytes], expected: Descriptor, job: Job) -> Layer:
    """Take a layer blob in one pass: verify it, keep it, unpack it; returns the layer that is there already if so.

    Raises `Corrupt`, `InvalidArchive` or what the source raises, and then nothing is kept.
    """
    layer = _known(store, expected)
    if layer is not None:
        if not store.blobs.has(expected.digest) and layer.diff_id != expected.digest:
            store.blobs.put(expected, source, job)
        return layer
    if expected.size <= _SMALL:
        return _receive_small(store, workshop, source, expected, job)
    with store.blobs.receiver(source) as writer, store.layers.new() as pending:
        tee = _Tee(source, writer, expected, job)
        try:
            result = _unpack(workshop, tee, pending, job)
        except errors.InvalidArchive:
            # An archive that was damaged on its way is not to blame: the digest tells.
            tee.drain()
            tee.verify(None)
            raise
        tee.drain()
        diff_id = Digest("sha256", result["digest"])
        tee.verify(diff_id)
        layer = _commit(store, pending, result)
        writer.accept(expected.digest)
    store.layers.set_compressed(diff_id, expected)
    return layer


def _receive_small(store: Store, workshop: Workshop, source: IO[bytes], expected: Descriptor, job: Job) -> Layer:
    """The same for a layer that fits in memory, with no thread, pipe or temporary blob.

    A blob that is the very tar its tree gives (one that this program wrote, uncompressed) is not kept beside the tree.
    """
    raw = b"".join(digests.verified(source, expected.digest, expected.size, f"layer {expected.digest}"))
    plain = compression.decompressed(io.BytesIO(raw)).read(_SMALL_PLAIN + 1)
    with store.layers.new() as pending:
        if len(plain) > _SMALL_PLAIN:
            result = _unpack(workshop, io.BytesIO(raw), pending, job)
        else:
            fd = os.memfd_create("layer", os.MFD_CLOEXEC)
            with open(fd, "wb", buffering=0) as file:
                file.write(plain)
                os.lseek(fd, 0, os.SEEK_SET)
                fds = (fd, fd) if plain == raw else (fd,)
                result = workshop.call("apply", {"root": str(pending.diff)}, job, fds=fds)
        layer = _commit(store, pending, result)
    if not result["same"]:
        store.blobs.put(expected, io.BytesIO(raw), job)
    store.layers.set_compressed(Digest("sha256", result["digest"]), expected)
    job.tell(TransferProgress(str(expected.digest), "Extracting", expected.size, expected.size))
    return layer


def _commit(store: Store, pending: PendingLayer, result: dict[str, Any]) -> Layer:
    """The layer that was unpacked, or the same one if somebody else was faster."""
    diff_id = Digest("sha256", result["digest"])
    return store.layers.by_diff_id(diff_id) or pending.commit(
        size=result["size"], diff_id=diff_id, tar_size=result["tar_size"]
    )


def receive_tar(store: Store, workshop: Workshop, source: compression.Readable, job: Job) -> Layer:
    """Take a root file system archive of unknown digest, compressed or not; the layer's own tar stands for it."""
    with store.layers.new() as pending:
        result = _unpack(workshop, source, pending, job)
        layer = pending.commit(size=result["size"])
    # The archive is not kept, so the layer must be known by the tar that its tree gives.
    return seal(store, workshop, layer, job)


def seal(store: Store, workshop: Workshop, layer: Layer, job: Job) -> Layer:
    """Know a built layer by its diff ID: the digest of the canonical tar of its tree."""
    if layer.diff_id is not None:
        return layer
    result = workshop.call("seal", {"root": str(store.layers.path(layer.id))}, job)
    return store.layers.set_diff_id(layer.id, Digest("sha256", result["digest"]), result["tar_size"])


def drop_derivable(store: Store, workshop: Workshop, layer: Layer, job: Job) -> int:
    """Delete a kept tar that the layer's tree gives as well, byte for byte; the bytes that are free now.

    Worth its reading when nobody waits: a loaded image of our own then lies on disk once.
    """
    if layer.diff_id is None or not store.blobs.has(layer.diff_id):
        return 0
    with store.blobs.open(layer.diff_id) as file:
        params = {"root": str(store.layers.path(layer.id))}
        if not workshop.call("matches", params, job, fds=(file.fileno(),))["same"]:
            return 0
    size = store.blobs.size(layer.diff_id)
    store.blobs.delete(layer.diff_id)
    return size


def open_tar(store: Store, workshop: Workshop, layer: Layer, job: Job) -> IO[bytes]:
    """The bytes of the layer's uncompressed tar: a kept blob, decompressed, or derived again; the reader verifies.

    The layer is sealed. Closing early ends the work behind it.
    """
    if layer.diff_id is not None:
        if store.blobs.has(layer.diff_id):
            return store.blobs.open(layer.diff_id)
        for blob in store.layers.compressed(layer.diff_id):
            if store.blobs.has(blob.digest):
                return compression.decompressed(store.blobs.open(blob.digest))
    return io.BufferedReader(_Derived(workshop, str(store.layers.path(layer.id)), job), 1 << 20)


def _known(store: Store, expected: Descriptor) -> Layer | None:
    """The layer of a blob, if its uncompressed digest is known and it is unpacked."""
    diff_id = store.layers.uncompressed(expected.digest) or expected.digest
    return store.layers.by_diff_id(diff_id)


def _unpack(workshop: Workshop, source: compression.Readable, pending: PendingLayer, job: Job) -> dict[str, Any]:
    """Unpack a tar, perhaps compressed, into a layer; decompressing here while the worker writes files."""
    read, write = make_pipe()
    feeder = Feeder(source, write, job)
    feeder.start()
    try:
        result = workshop.call("apply", {"root": str(pending.diff)}, job, fds=(read,))
    except errors.OrlopError:
        os.close(read)
        feeder.join()
        # What is wrong with the source comes first: the worker only sees it end too early.
        feeder.check()
        raise
    os.close(read)
    feeder.join()
    feeder.check()
    return result


class _Tee:
    """A reader that keeps and hashes what passes through it, and refuses more bytes than were announced.

    An uncompressed layer is hashed by whoever unpacks it, once for both its digests.
    """

    def __init__(self, source: IO[bytes], writer: BlobWriter | KeptWriter, expected: Descriptor, job: Job) -> None:
        self._source = source
        self._writer = writer
        self._expected = expected
        self._job = job
        self._head = b""
        self._hasher: digests.Hasher | None = digests.hasher_for(expected.digest)
        self._size = 0

    def read(self, count: int = digests.CHUNK, /) -> bytes:
        """The next bytes."""
        data = self._source.read(count if count > 0 else digests.CHUNK)
        self._size += len(data)
        if self._size > self._expected.size:
            raise errors.Corrupt(f"layer {self._expected.digest} is longer than its {self._expected.size} bytes")
        self._writer.write(data, hashed=False)
        if self._hasher is not None:
            self._hasher.update(data)
            self._sniff(data)
        self._job.tell(TransferProgress(str(self._expected.digest), "Extracting", self._size, self._expected.size))
        return data

    def drain(self) -> None:
        """Read what an unpacker left, such as padding."""
        while self.read():
            self._job.checkpoint()

    def verify(self, diff_id: Digest | None) -> None:
        """Raise `Corrupt` unless all bytes were those of the descriptor; None if nobody could hash the plain ones."""
        expected = self._expected
        actual = diff_id if self._hasher is None else Digest(expected.digest.algorithm, self._hasher.hexdigest())
        if actual is None:
            return
        digests.check(expected.digest, actual, expected.size, self._size, f"layer {expected.digest}")

    def _sniff(self, data: bytes) -> None:
        if self._size - len(data) >= _HEAD or self._expected.digest.algorithm != "sha256":
            return
        self._head = (self._head + data)[:_HEAD]
        if len(self._head) == _HEAD and compression.detect(self._head) is Compression.NONE:
            self._hasher = None


class _Derived(io.RawIOBase):
    """The canonical tar of a tree, written by the worker while it is read here."""

    def __init__(self, workshop: Workshop, root: str, job: Job) -> None:
        super().__init__()
        self._job = Job(job.tell)
        self._release = job.token.on_cancel(self._job.token.cancel)
        self._outer = job
        self._fd, write = make_pipe()
        self._error: errors.OrlopError | None = None
        self._thread = threading.Thread(target=self._write, args=(workshop, root, write), name="derive", daemon=True)
        self._thread.start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.readv(self._fd, [buffer])
        if count == 0:
            self._thread.join()
            self._outer.checkpoint()
            if self._error is not None:
                raise self._error
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._job.token.cancel()
            self._release()
            self._thread.join()
            os.close(self._fd)

    def _write(self, workshop: Workshop, root: str, write: int) -> None:
        try:
            workshop.call("tar", {"root": root}, self._job, fds=(write,))
        except errors.OrlopError as error:
            self._error = error
        finally:
            os.close(write)
