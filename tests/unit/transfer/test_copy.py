"""Copying moves what is missing, verifies it, and shows nobody half an image."""

from __future__ import annotations

import io
import threading
from typing import IO

import attrs
import pytest

from orlop.core import digest as digests
from orlop.core import errors, reference
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job, Note, TransferProgress
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.transfer.copy import copy

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
NAME = reference.parse("app:1")


def _blobs(*contents: bytes) -> set[digests.Digest]:
    return {digests.of_bytes(content * 2) for content in contents}


def test_an_image_arrives_whole_its_name_last(source, sink, make) -> None:
    image = make.image(b"a", b"b")
    source.names[str(NAME)] = image
    copied = copy(source, sink, NAME, reference.parse("other:2"), Job())
    assert (copied.resolved, copied.target, copied.copied, copied.skipped) == (image, image, 3, 0)
    assert sink.blobs == source.blobs
    assert sink.documents == source.documents
    assert [line.split()[0] for line in sink.log] == ["blob"] * 3 + ["document", "name"]
    assert sink.names == {"docker.io/library/other:2": image}


def test_without_a_name_none_is_given(source, sink, make) -> None:
    copy(source, sink, make.image(b"a"), None, Job())
    assert sink.names == {}


def test_what_the_sink_has_does_not_travel(source, sink, make) -> None:
    copy(source, sink, make.image(b"a", b"b"), None, Job())
    source.opened.clear()
    copied = copy(source, sink, make.image(b"a", b"b", b"c"), None, Job())
    assert (copied.copied, copied.skipped) == (2, 2)
    assert _blobs(b"a", b"b").isdisjoint(source.opened)


def test_layers_that_are_unpacked_do_not_travel(source, make, layer_sink) -> None:
    sink = layer_sink((digests.of_bytes(b"a"),))
    copied = copy(source, sink, make.image(b"a", b"b"), NAME, Job())
    assert (copied.copied, copied.skipped) == (2, 1)
    assert set(sink.blobs) & _blobs(b"a", b"b") == _blobs(b"b")


def test_a_layer_that_stands_twice_travels_once(source, sink, make) -> None:
    image = make.image(b"a", b"b", b"a")
    copied = copy(source, sink, image, None, Job())
    assert (copied.copied, copied.skipped) == (3, 1)
    assert len(source.opened) == 3


def test_with_a_platform_only_its_image_is_copied(source, sink, make) -> None:
    wanted = make.image(b"a")
    index = make.index(make.image(b"b", platform=ARM64), wanted)
    copied = copy(source, sink, index, NAME, Job(), platform=AMD64)
    assert (copied.resolved, copied.target) == (index, wanted)
    assert set(sink.documents) == {wanted.digest}
    assert sink.names[str(NAME)] == wanted


def test_without_a_platform_the_whole_index_is_copied(source, sink, make) -> None:
    index = make.index(make.image(b"a"), make.index(make.image(b"b", platform=ARM64)))
    copy(source, sink, index, NAME, Job())
    assert sink.blobs == source.blobs
    assert sink.documents == source.documents
    assert sink.names[str(NAME)] == index


def test_images_of_an_index_share_their_layers(source, sink, make) -> None:
    copy(source, sink, make.index(make.image(b"a"), make.image(b"a", platform=ARM64)), None, Job())
    assert len([digest for digest in source.opened if digest in _blobs(b"a")]) == 1


def test_an_image_for_another_machine_is_copied_with_a_warning(source, sink, make) -> None:
    told: list[object] = []
    copy(source, sink, make.image(b"a", platform=ARM64), NAME, Job(told.append), platform=AMD64)
    notes = [event for event in told if isinstance(event, Note)]
    assert notes == [Note("warning", "the image is for linux/arm64, this machine is linux/amd64")]


def test_an_artifact_is_copied_without_looking_into_it(source, sink, make) -> None:
    from orlop.core import descriptor as descriptors

    config = make.blob(b"{}", "application/vnd.oci.empty.v1+json")
    manifest = descriptors.make_manifest(config, (make.blob(b"data", "text/plain"),))
    source.documents[manifest.descriptor.digest] = manifest
    copy(source, sink, manifest.descriptor, NAME, Job(), platform=AMD64)
    assert sink.blobs == source.blobs


@pytest.mark.parametrize(
    "kind", [MediaType.DOCKER_FOREIGN_GZIP, "application/vnd.oci.image.layer.nondistributable.v1.tar"]
)
def test_layers_that_may_not_be_distributed_stay_but_are_unpacked_where_that_is_wanted(
    source, sink, make, layer_sink, kind: str
) -> None:
    image = make.image(b"a", kind=kind)
    copy(source, sink, image, None, Job())
    assert not set(sink.blobs) & _blobs(b"a")
    unpacking = layer_sink()
    copy(source, unpacking, image, None, Job())
    assert set(unpacking.blobs) & _blobs(b"a")


def test_a_blob_that_differs_from_its_digest_fails_and_shows_nothing(source, sink, make) -> None:
    image = make.image(b"a", b"b")
    source.blobs[digests.of_bytes(b"aa")] = b"ax"
    with pytest.raises(errors.Corrupt):
        copy(source, sink, image, NAME, Job())
    assert (sink.documents, sink.names) == ({}, {})


def test_a_configuration_that_differs_from_its_digest_fails(source, sink, make) -> None:
    image = make.image(b"a")
    config = source.documents[image.digest].config
    source.blobs[config.digest] = source.blobs[config.digest].replace(b"linux", b"linus")
    with pytest.raises(errors.Corrupt):
        copy(source, sink, image, NAME, Job())
    assert sink.blobs == {}


@pytest.mark.parametrize("size", [-1, 100 << 20])
def test_a_configuration_of_another_size_is_refused(source, sink, make, size: int) -> None:
    image = make.image(b"a")
    manifest = source.documents[image.digest]
    config = attrs.evolve(manifest.config, size=size if size > 0 else manifest.config.size + 1)
    source.documents[image.digest] = attrs.evolve(manifest, config=config)
    with pytest.raises((errors.Invalid, errors.Corrupt)):
        copy(source, sink, image, NAME, Job())


def test_layers_that_do_not_fit_the_configuration_are_refused_before_they_travel(source, sink, make) -> None:
    image = make.image(b"a", b"b")
    manifest = source.documents[image.digest]
    source.documents[image.digest] = attrs.evolve(manifest, layers=manifest.layers[:1])
    with pytest.raises(errors.Invalid):
        copy(source, sink, image, NAME, Job())
    assert sink.blobs == {}


def test_the_first_failure_is_raised_and_stops_the_others(source, sink, make) -> None:
    contents = [bytes([number]) for number in range(8)]
    image = make.image(*contents)
    started = threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            started.set()
            return super().read(1)

    def open_(descriptor: Descriptor, job: Job) -> IO[bytes]:
        if descriptor.digest == digests.of_bytes(contents[1] * 2):
            assert started.wait(10)
            raise errors.Unreachable("gone")
        if descriptor.media_type == MediaType.OCI_CONFIG:
            return io.BytesIO(source.blobs[descriptor.digest])
        source.opened.append(descriptor.digest)
        return Slow(b"x" * 100)

    source.open = open_
    with pytest.raises((errors.Unreachable, errors.Corrupt)) as caught:
        copy(source, sink, image, NAME, Job(), parallel=2)
    assert not isinstance(caught.value, errors.Cancelled)
    assert len(source.opened) < len(contents)
    assert sink.documents == {}


def test_several_blobs_travel_at_once(source, sink, make) -> None:
    image = make.image(b"a", b"b", b"c")
    together = threading.Barrier(3, timeout=10)
    original = source.open

    def open_(descriptor: Descriptor, job: Job) -> IO[bytes]:
        if descriptor.media_type == MediaType.OCI_LAYER_GZIP:
            together.wait()
        return original(descriptor, job)

    source.open = open_
    copy(source, sink, image, NAME, Job(), parallel=3)
    assert sink.blobs == source.blobs


def test_cancel_ends_it_soon_and_names_nothing(source, sink, make) -> None:
    job = Job()
    image = make.image(b"a", b"b")
    original = sink.put

    def put(descriptor: Descriptor, stream: IO[bytes], child: Job) -> None:
        job.token.cancel()
        original(descriptor, stream, child)

    sink.put = put
    with pytest.raises(errors.Cancelled):
        copy(source, sink, image, NAME, job)
    assert (sink.blobs, sink.documents, sink.names) == ({}, {}, {})


def test_progress_tells_every_blob_from_start_to_end(source, sink, make) -> None:
    told: list[TransferProgress] = []
    big = bytes(range(256)) * 4096 * 3
    image = make.image(big, b"b")
    copy(source, sink, make.image(b"b"), None, Job())
    copy(source, sink, image, NAME, Job(told.append))
    by_digest: dict[str, list[TransferProgress]] = {}
    for event in told:
        by_digest.setdefault(event.digest, []).append(event)
    (digest,) = _blobs(big)
    events = by_digest[str(digest)]
    assert [event.phase for event in events] == ["copying"] * (len(events) - 1) + ["done"]
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert (events[0].done, events[-1].done) == (0, 2 * len(big))
    assert 3 <= len(events) <= 110
    (other,) = _blobs(b"b")
    assert by_digest[str(other)] == [TransferProgress(str(other), "exists", 2, 2)]


def test_endless_nesting_is_refused(source, sink, make) -> None:
    descriptor = make.image(b"x")
    for _ in range(6):
        descriptor = make.index(descriptor)
    with pytest.raises(errors.Invalid):
        copy(source, sink, descriptor, None, Job())


def test_an_unknown_name_is_the_sources_error(source, sink) -> None:
    with pytest.raises(errors.NotFound):
        copy(source, sink, NAME, NAME, Job())
