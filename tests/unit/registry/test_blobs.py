from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job, TransferProgress
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Memory
from orlop.registry.registries import Registries
from orlop.store.layout import Layout
from orlop.store.partials import Partials
from unit.registry.serving import Reply, Request, Served, serving

DATA = os.urandom(3 << 20)
BLOB = Descriptor("application/vnd.oci.image.layer.v1.tar", digests.of_bytes(DATA), len(DATA))


def _registries(*mirrors: str, host: str = "none.invalid") -> Registries:
    hosts = {host: HostConfig(host=host, mirrors=mirrors)}
    return Registries(RegistryConfig(hosts=hosts, attempts=4, backoff=0.01, stall_seconds=0.4), Memory())


def _read(served: Served, job: Job | None = None, partials: Partials | None = None, blob: Descriptor = BLOB) -> bytes:
    reader = _registries().reader(references.parse(f"{served.netloc}/a/b"), partials=partials)
    with reader.open(blob, job or Job()) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


def _first(request: Request) -> int:
    return int(request.headers["Range"].removeprefix("bytes=").removesuffix("-")) if "Range" in request.headers else 0


def _ranged(first: int, cut: int | None = None) -> Reply:
    headers = {"Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"} if first else {}
    return Reply(206 if first else 200, headers, DATA[first:], cut)


def _ping(request: Request) -> Reply | None:
    return Reply() if request.path == "/v2/" else None


def test_a_blob_arrives_as_it_is_stored() -> None:
    with serving(lambda request: _ping(request) or Reply(200, {"Content-Encoding": "gzip"}, DATA)) as served:
        assert _read(served) == DATA
    assert served.requests[-1].headers["Accept-Encoding"] == "identity"


def test_a_dropped_transfer_goes_on_where_it_was_as_long_as_it_makes_progress() -> None:
    # Ten drops, while four attempts without progress would end it.
    with serving(lambda request: _ping(request) or _ranged(_first(request), 300_000)) as served:
        assert _read(served) == DATA
    firsts = [_first(request) for request in served.requests if "blobs" in request.path]
    assert firsts == sorted(set(firsts))
    assert len(firsts) >= 10


def test_a_stalled_transfer_is_taken_up_again() -> None:
    def answer(request: Request) -> Reply:
        first = _first(request)
        return _ping(request) or (
            _ranged(first) if first else Reply(200, {"Content-Length": str(len(DATA))}, DATA, cut=1000, stall=5)
        )

    with serving(answer) as served:
        started = time.monotonic()
        assert _read(served) == DATA
        assert time.monotonic() - started < 3
    assert _first(served.requests[-1]) == 1000


def test_a_server_that_ignores_ranges_is_skipped_through() -> None:
    cuts = iter((1_000_000, None))
    with serving(lambda request: _ping(request) or Reply(200, {}, DATA, next(cuts))) as served:
        assert _read(served) == DATA
    assert _first(served.requests[-1]) == 1_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        lambda first: Reply(
            206, {"Content-Range": f"bytes {first + 1}-{len(DATA) - 1}/{len(DATA)}"}, DATA[first + 1 :]
        ),
        lambda first: Reply(206, {"Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA) + 5}"}, DATA[first:]),
        lambda first: Reply(206, {}, DATA[first:]),
        # A length that never comes, as one registry really says.
        lambda _: Reply(416, {"Content-Length": str(len(DATA))}, b"", stall=1.0),
    ],
)
def test_a_wrong_range_never_gives_wrong_bytes(wrong: object) -> None:
    first_time = iter((True,))

    def answer(request: Request) -> Reply:
        if request.path == "/v2/":
            return Reply()
        if _first(request):
            return wrong(_first(request))  # type: ignore[operator, no-any-return]
        return Reply(200, {}, DATA, 500_000 if next(first_time, False) else None)

    with serving(answer) as served:
        assert _read(served) == DATA


def test_more_bytes_than_announced_are_refused() -> None:
    with (
        serving(lambda request: _ping(request) or Reply(200, {}, DATA + b"x")) as served,
        pytest.raises(errors.Corrupt),
    ):
        _read(served)
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": ""}

    def endless(request: Request) -> Reply:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA) + 1, DATA + b"x")
        return _ping(request) or Reply(200, chunked, body)

    with serving(endless) as served, pytest.raises(errors.Corrupt):
        _read(served)


def test_a_transfer_that_never_makes_progress_ends_with_an_error() -> None:
    with (
        serving(lambda request: _ping(request) or _ranged(_first(request), 0 if _first(request) else 9)) as served,
        pytest.raises(errors.Unreachable) as caught,
    ):
        _read(served)
    assert served.netloc in caught.value.message
    assert len(served.requests) < 12


def test_a_mirror_that_breaks_half_way_hands_over_to_the_next() -> None:
    with (
        serving(lambda request: _ranged(_first(request), 0 if _first(request) else 100_000)) as broken,
        serving(lambda request: _ranged(_first(request))) as good,
    ):
        registries = _registries(broken.url, good.url)
        with registries.reader(references.parse("none.invalid/a/b")).open(BLOB, Job()) as stream:
            data = b"".join(iter(lambda: stream.read(1 << 20), b""))
    assert data == DATA
    assert _first(good.requests[-1]) == 100_000
    assert "ns=none.invalid" in good.requests[-1].path


def test_one_connection_serves_one_blob_after_another() -> None:
    with serving(lambda request: _ping(request) or Reply(200, {}, DATA)) as served:
        reader = _registries().reader(references.parse(f"{served.netloc}/a/b"))
        for _ in range(3):
            with reader.open(BLOB, Job()) as stream:
                while stream.read(1 << 20):
                    pass
    assert len(served.connections) == 1


def test_a_cancellation_wakes_a_reader_at_once() -> None:
    def answer(request: Request) -> Reply:
        return _ping(request) or Reply(200, {"Content-Length": str(len(DATA))}, DATA, cut=10, stall=20)

    registries = Registries(RegistryConfig(stall_seconds=30), Memory())
    with serving(answer) as served:
        job = Job()
        threading.Timer(0.3, job.token.cancel).start()
        started = time.monotonic()
        with registries.reader(references.parse(f"{served.netloc}/a/b")).open(BLOB, job) as stream:
            assert stream.read(10) == DATA[:10]
            with pytest.raises(errors.Cancelled):
                stream.read(10)
        assert time.monotonic() - started < 2


def test_a_cancellation_wakes_whoever_waits_for_an_answer() -> None:
    def answer(request: Request) -> Reply:
        if request.path != "/v2/":
            time.sleep(5)
        return Reply()

    registries = Registries(RegistryConfig(stall_seconds=30), Memory())
    with serving(answer) as served:
        job = Job()
        threading.Timer(0.3, job.token.cancel).start()
        started = time.monotonic()
        with pytest.raises(errors.Cancelled):
            registries.inspect(references.parse(f"{served.netloc}/a/b"), job)
        assert time.monotonic() - started < 2


def test_what_came_before_a_restart_is_not_asked_for_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    partials = Partials(layout)
    with serving(lambda request: _ping(request) or _ranged(_first(request))) as served:
        reader = _registries().reader(references.parse(f"{served.netloc}/a/b"), partials=partials)
        with reader.open(BLOB, Job()) as stream:
            while os.stat(layout.partial / BLOB.digest.hex).st_size < 2 << 20:
                stream.read(1 << 20)
        kept = os.stat(layout.partial / BLOB.digest.hex).st_size
        told: list[TransferProgress] = []
        assert _read(served, Job(told.append), partials) == DATA
        assert _first(served.requests[-1]) == kept
        assert ("verifying", kept) in [(event.phase, event.done) for event in told]
        before = len(served.requests)
        assert _read(served, partials=partials) == DATA
        assert len(served.requests) == before


def test_an_empty_blob_is_no_problem() -> None:
    empty = Descriptor("application/vnd.oci.image.layer.v1.tar", digests.of_bytes(b""), 0)
    with serving(lambda _: Reply()) as served:
        assert _read(served, blob=empty) == b""


def test_a_foreign_layer_comes_from_its_own_address_without_our_login() -> None:
    from orlop.registry.credentials import Credential, Secret

    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    challenge = {"WWW-Authenticate": "Basic realm=x"}

    def registry(request: Request) -> Reply:
        return Reply(404) if "Authorization" in request.headers else Reply(401, challenge)

    with (
        serving(registry) as served,
        serving(lambda _: Reply(401, challenge)) as other,
        serving(lambda _: Reply(200, {}, DATA)) as elsewhere,
    ):
        memory = Memory()
        for one in (served, other, elsewhere):
            memory.save(one.netloc, Credential("joe", Secret("s")))
        registries = Registries(RegistryConfig(attempts=1), memory)
        blob = Descriptor(kind, BLOB.digest, BLOB.size, urls=(f"{other.url}/x", f"{elsewhere.url}/layer"))
        with registries.reader(references.parse(f"{served.netloc}/a/b")).open(blob, Job()) as stream:
            assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == DATA
    assert all("Authorization" not in request.headers for request in (*other.requests, *elsewhere.requests))
    assert "Authorization" in served.requests[-1].headers
