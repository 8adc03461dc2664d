"""Layers on their way between tar streams and directories."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import IO, Any

from orlop.archive import compression
from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.digest import Digest
from orlop.core.job import Job, TransferProgress
from orlop.rootfs.workshop import Workshop
from orlop.store.layers import Layer
from orlop.store.store import Store


def receive(store: Store, workshop: Workshop, source: IO[bytes], expected: Descriptor, job: Job) -> Layer:
    """Take a layer blob in one pass: verify it, keep it, unpack it; returns the layer that is there already if so.

    Raises `Corrupt` or `InvalidArchive`, and then nothing is kept.
    """
    known = store.layers.uncompressed(expected.digest)
    layer = store.layers.by_diff_id(known) if known else None
    if layer is not None and store.blobs.has(expected.digest):
        return layer
    with store.blobs.writer() as writer:
        hasher = digests.hasher_for(expected.digest)
        tee = _Tee(source, writer.write, hasher, expected, job)
        layer = _unpack(store, workshop, tee, job)
        tee.drain()
        actual = Digest(expected.digest.algorithm, hasher.hexdigest())
        digests.check(expected.digest, actual, expected.size, tee.size, f"layer {expected.digest}")
        writer.commit(expected.digest, expected.size)
    assert layer.diff_id is not None
    store.layers.set_compressed(layer.diff_id, expected)
    return layer


def receive_tar(store: Store, workshop: Workshop, source: IO[bytes], job: Job) -> Layer:
    """Take a root file system archive of unknown digest, compressed or not; the layer's own tar stands for it."""
    # The archive is not kept, so the layer must be known by the tar that its tree gives.
    return seal(store, workshop, _unpack(store, workshop, source, job, known=False), job)


def seal(store: Store, workshop: Workshop, layer: Layer, job: Job) -> Layer:
    """Know a built layer by its diff ID: the digest of the canonical tar of its tree."""
    if layer.diff_id is not None:
        return layer
    result = workshop.call("seal", {"root": str(store.layers.path(layer.id))}, job)
    return store.layers.set_diff_id(layer.id, Digest("sha256", result["digest"]), result["tar_size"])


def open_tar(store: Store, workshop: Workshop, layer: Layer, job: Job) -> IO[bytes]:
    """The bytes of the layer's uncompressed tar: a kept blob decompressed, or derived again; the reader verifies."""
    assert layer.diff_id is not None
    if store.blobs.has(layer.diff_id):
        return store.blobs.open(layer.diff_id)
    for blob in store.layers.compressed(layer.diff_id):
        if store.blobs.has(blob.digest):
            return compression.decompressed(store.blobs.open(blob.digest))
    read, write = os.pipe2(os.O_CLOEXEC)
    params = {"root": str(store.layers.path(layer.id))}
    threading.Thread(target=_derive, args=(workshop, params, write, job), name="derive", daemon=True).start()
    return open(read, "rb", buffering=1 << 20)


def _derive(workshop: Workshop, params: dict[str, Any], write: int, job: Job) -> None:
    try:
        workshop.call("tar", params, job, fds=(write,))
    except errors.OrlopError as error:
        # The reader meets the end too early and says that bytes are missing; the reason stands beside it.
        job.note(error.message, "error")
    finally:
        os.close(write)


def _unpack(store: Store, workshop: Workshop, source: compression.Readable, job: Job, *, known: bool = True) -> Layer:
    """A layer of the (perhaps compressed) tar `source`; `known` by the digest of that tar, whose bytes are kept."""
    plain = compression.decompressed(source)
    with store.layers.new() as pending:
        read, write = os.pipe2(os.O_CLOEXEC)
        feeder = _Feeder(plain, write, job)
        feeder.start()
        try:
            result = workshop.call("apply", {"root": str(pending.diff)}, job, fds=(read,))
        finally:
            os.close(read)
            feeder.join()
        if feeder.error is not None:
            raise feeder.error
        if not known:
            return pending.commit(size=result["size"])
        diff_id = Digest("sha256", result["digest"])
        return store.layers.by_diff_id(diff_id) or pending.commit(
            size=result["size"], diff_id=diff_id, tar_size=result["tar_size"]
        )


class _Feeder(threading.Thread):
    """Moves bytes into a pipe; a reader that stops early is no error of its own."""

    def __init__(self, source: IO[bytes], write: int, job: Job) -> None:
        super().__init__(name="unpack", daemon=True)
        self._source = source
        self._write = write
        self._job = job
        self.error: BaseException | None = None

    def run(self) -> None:
        """Feed until the end."""
        try:
            with open(self._write, "wb", buffering=0) as sink:
                while chunk := self._source.read(digests.CHUNK):
                    self._job.checkpoint()
                    view = memoryview(chunk)
                    while view:
                        view = view[sink.write(view) :]
        except BrokenPipeError:
            return
        except OSError as error:
            self.error = errors.from_os(error, "read the layer")
        except BaseException as error:  # noqa: BLE001 - raised again by whoever joins
            self.error = error


class _Tee:
    """A reader that keeps and hashes what passes through it, and refuses more bytes than were announced."""

    def __init__(
        self, source: IO[bytes], keep: Callable[[bytes], object], hasher: digests.Hasher, expected: Descriptor, job: Job
    ) -> None:
        self._source = source
        self._keep = keep
        self._hasher = hasher
        self._expected = expected
        self._job = job
        self.size = 0

    def read(self, count: int = digests.CHUNK) -> bytes:
        """The next bytes."""
        data = self._source.read(count if count and count > 0 else digests.CHUNK)
        self.size += len(data)
        if self.size > self._expected.size:
            raise errors.Corrupt(f"layer {self._expected.digest} is longer than its {self._expected.size} bytes")
        self._hasher.update(data)
        self._keep(data)
        self._job.tell(TransferProgress(str(self._expected.digest), "Extracting", self.size, self._expected.size))
        return data

    def drain(self) -> None:
        """Read what an unpacker left, such as padding."""
        while self.read():
            self._job.checkpoint()
