"""Whatever the line or the registry does to a push, the image arrives whole or nobody sees a name of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from orlop.core import errors
from orlop.rootfs.workshop import Workshop
from registry.client import Client
from registry.parts import images
from registry.parts.faults import Proxy, Rule
from registry.parts.images import Image, Pen
from registry.parts.registry import Registry
from registry.parts.tokens import TokenServer

LARGE = {"data/large": images.noise(1_500_000)}
SMALL = {"data/small": images.noise(30_000, 2)}
UPLOAD, MANIFEST = "/blobs/uploads/", "/manifests/"
BODIES = "^(PUT|PATCH)$"
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
PAGE = {"Content-Type": "text/html"}

Rules = Callable[[], Sequence[Rule]]


def again(**what: object) -> Rules:
    """One rule with these fields, made anew for every test."""
    return lambda: [Rule(**what)]  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["kept", "packed"])
def here(
    request: pytest.FixtureRequest, plain_registry: Registry, hands: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Client, Image]]:
    """A store with an image: its layers compressed as they came, or trees only, which a push compresses."""
    form = "gzip" if request.param == "kept" else "plain"
    what = images.image(images.layer(LARGE, form), images.layer(SMALL, form))
    Pen(plain_registry.url, f"pushed/{request.param}").push(what, "1")
    client = Client(tmp_path_factory.mktemp(request.param), hands)
    client.pull(f"{plain_registry.host}/pushed/{request.param}:1")
    yield client, what
    client.close()


@pytest.fixture
def pen(plain_registry: Registry) -> Pen:
    """The repository of one test, read around the line."""
    return Pen(plain_registry.url, f"pushed/t{time.monotonic_ns()}")


PASSING: dict[str, Rules] = {
    "body cut at once": again(method=BODIES, path=UPLOAD, cut_upload=0),
    "body cut in the middle": again(method=BODIES, path=UPLOAD, cut_upload=20_000),
    "bodies cut three times": again(method=BODIES, path=UPLOAD, cut_upload=20_000, times=3),
    "answer to a body lost": again(method=BODIES, path=UPLOAD, lose_answer=True),
    "every first answer lost": lambda: [
        Rule(method=method, path=path, lose_answer=True)
        for method, path in (("POST", UPLOAD), ("PUT", UPLOAD), ("PUT", MANIFEST), ("HEAD", ""))
    ],
    "session's answer lost": again(method="POST", path=UPLOAD, lose_answer=True),
    "body taken but not answered": again(method=BODIES, path=UPLOAD, stall_upload=20_000, seconds=1),
    "manifest cut": again(method="PUT", path=MANIFEST, cut_upload=50),
    "manifest's answer lost": again(method="PUT", path=MANIFEST, lose_answer=True),
    "digest hidden": again(remove=("docker-content-digest",), times=None),
    "relative locations": again(relative=True, times=None),
    "asked to wait for a second": again(method="POST", path=UPLOAD, status=429, headers={"Retry-After": "1"}),
    **{f"session status {code}": again(method="POST", status=code, body=HTML, headers=PAGE) for code in (500, 502, 503, 504)},
    "body status 503": again(method=BODIES, path=UPLOAD, status=503),
    "manifest status 500": again(method="PUT", path=MANIFEST, status=500, times=2),
    "session unknown": again(
        method=BODIES, path=UPLOAD, status=404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_what_goes_wrong_once_does_not_show(here: tuple[Client, Image], line: Proxy, pen: Pen, name: str) -> None:
    client, what = here
    line.rules = list(PASSING[name]())
    client.fresh(stall_seconds=0.5)
    target = f"{line.host}/{pen.repository}:1"
    client.tag(what.id, target)
    pushed = client.push(target)
    assert all(rule.hits for rule in line.rules), "the fault was not met"
    there = pen.whole("1")
    assert (there.id, there.digest) == (what.id, str(pushed.digest))
    size = sum(len(blob.data) for blob in there.blobs)
    print(f"{name}: {line.received} bytes sent for {size}")


LASTING: dict[str, tuple[Rules, str]] = {
    "bodies cut": (again(method=BODIES, path=UPLOAD, cut_upload=20_000, times=None), "registry-unreachable"),
    "bodies stall": (again(method=BODIES, path=UPLOAD, stall_upload=9_000, seconds=1, times=None), "registry-unreachable"),
    "sessions dropped": (again(method="POST", path=UPLOAD, lose_answer=True, times=None), "registry-unreachable"),
    "manifest cut": (again(method="PUT", path=MANIFEST, cut_upload=10, times=None), "registry-unreachable"),
    "sessions fail": (again(method="POST", path=UPLOAD, status=500, body=HTML, headers=PAGE, times=None), "registry-error"),
    "bodies fail": (again(method=BODIES, path=UPLOAD, status=502, body=HTML, headers=PAGE, times=None), "registry-error"),
    "manifest fails": (again(method="PUT", path=MANIFEST, status=503, times=None), "registry-error"),
    "manifest refused": (
        again(method="PUT", path=MANIFEST, status=400, body=b'{"errors":[{"code":"MANIFEST_INVALID"}]}', times=None),
        "registry-error",
    ),
    "denied": (
        again(method="POST", path=UPLOAD, status=403, body=b'{"errors":[{"code":"DENIED"}]}', times=None),
        "registry-denied",
    ),
    "denied at the end": (
        again(method="PUT", path=MANIFEST, status=403, body=b'{"errors":[{"code":"DENIED"}]}', times=None),
        "registry-denied",
    ),
    "quota used up": (
        again(method=BODIES, path=UPLOAD, status=403, body=b'{"errors":[{"code":"DENIED","message":"quota"}]}', times=None),
        "registry-denied",
    ),
    "read only": (
        again(method="POST", path=UPLOAD, status=405, body=b'{"errors":[{"code":"UNSUPPORTED"}]}', times=None),
        "registry-error",
    ),
    "limit used up": (
        again(method="POST", path=UPLOAD, status=429, headers={"Retry-After": "3600"}, times=None), "registry-rate-limited",
    ),
    "no location": (again(method="POST", path=UPLOAD, remove=("location",), times=None), "registry-error"),
    "guest network": (again(status=200, body=HTML, headers=PAGE, times=None), "registry-error"),
}  # fmt: skip


@pytest.mark.parametrize("name", LASTING)
def test_what_goes_wrong_each_time_is_one_clear_error(
    here: tuple[Client, Image], line: Proxy, pen: Pen, name: str
) -> None:
    client, what = here
    rules, kind = LASTING[name]
    line.rules = list(rules())
    client.fresh(stall_seconds=0.3, attempts=3)
    target = f"{line.host}/{pen.repository}:1"
    client.tag(what.id, target)
    with pytest.raises(errors.OrlopError) as caught:
        client.push(target)
    print(f"{name}: {caught.value.message} / {caught.value.hint}")
    assert caught.value.kind == kind
    assert caught.value.message[0].islower() and not caught.value.message.endswith(".")
    assert caught.value.hint and caught.value.hint.endswith(".")
    assert list(pen.tags()) == []
    line.forget()
    pushed = client.push(target)
    assert pen.whole("1").digest == str(pushed.digest) and client.sound()


def test_the_network_changes_in_mid_push(here: tuple[Client, Image], line: Proxy, pen: Pen) -> None:
    """All connections break at once, again and again, as when a laptop moves."""
    client, what = here
    client.fresh(attempts=8, backoff=0.1)
    target = f"{line.host}/{pen.repository}:1"
    client.tag(what.id, target)
    line.rate = 3_000_000
    done = threading.Event()

    def move() -> None:
        for _ in range(3):
            if done.wait(0.25):
                return
            line.hang_up()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        client.push(target)
    finally:
        done.set()
        mover.join()
    there = pen.whole("1")
    assert there.id == what.id
    print(f"{line.received} bytes sent for {sum(len(blob.data) for blob in there.blobs)}")


def test_tokens_that_end_in_mid_push_are_renewed(here: tuple[Client, Image], tmp_path: Path) -> None:
    client, what = here
    algorithm = "ES256" if client.root.name.startswith("kept") else "RS256"
    rights = {"joe": {"joe/app": ("pull", "push")}}
    with (
        TokenServer(tmp_path / "tokens", {"joe": "word"}, rights, algorithm=algorithm, life=1) as tokens,
        Registry(tmp_path / "registry", tokens=tokens) as registry,
        Proxy(registry.url) as line,
    ):
        client.login(line.host, "joe", "word")
        client.fresh()
        target = f"{line.host}/joe/app:1"
        client.tag(what.id, target)
        # The large layer takes longer than a token lives.
        line.rate = 600_000
        pushed = client.push(target)
        print(f"{tokens.count} tokens for one push")
        assert tokens.count > 1 and all(asked.account == "joe" for asked in tokens.asked)
        token, granted = tokens.issue("joe", ("repository:joe/app:pull",))
        assert granted == ("repository:joe/app:pull",)
        assert Pen(registry.url, "joe/app", f"Bearer {token}").whole("1").digest == str(pushed.digest)
        assert not any("word" in record.path for record in line.records)


def test_a_registry_that_grants_less_than_was_asked_denies_in_time(here: tuple[Client, Image], tmp_path: Path) -> None:
    client, what = here
    with (
        TokenServer(tmp_path / "tokens", {"joe": "word"}, {"joe": {"*": ("pull", "push")}}, only=("pull",)) as tokens,
        Registry(tmp_path / "registry", tokens=tokens) as registry,
        Proxy(registry.url) as line,
    ):
        client.login(line.host, "joe", "word")
        client.fresh()
        target = f"{line.host}/joe/app:1"
        client.tag(what.id, target)
        with pytest.raises(errors.Denied) as caught:
            client.push(target)
        assert "account joe may not do this" in caught.value.message
        # Nothing of the image has travelled.
        assert line.received == 0
        assert tokens.count <= 4
