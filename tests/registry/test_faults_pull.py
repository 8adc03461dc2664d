"""Whatever the line or the registry does to a pull, it ends with the right image or with one error, never in between."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from orlop.core import errors
from orlop.registry.configuration import HostConfig
from registry.client import Client
from registry.parts import images
from registry.parts.faults import Limiter, Proxy, Rule
from registry.parts.images import Image, Pen
from registry.parts.registry import Registry

LARGE = images.layer({"data/large": images.noise(2_500_000)})
SMALL = images.layer({"data/small": images.noise(40_000, 2)})
WHAT = images.image(LARGE, SMALL)
SIZE = len(LARGE.stored)
BLOB = f"blobs/{images.digest(LARGE.stored)}"
CONFIG = f"blobs/{WHAT.id}"
MANIFEST = "manifests/"
HTML = b"<!DOCTYPE html><html><body><h1>Please log in to the guest network</h1></body></html>"
PORTAL = {"Content-Type": "text/html; charset=utf-8"}
# What another registry may send once more of a blob whose transfer broke: what lay in buffers between the two.
IN_FLIGHT = 1 << 20

Rules = Callable[[], Sequence[Rule]]


def again(**what: object) -> Rules:
    """One rule with these fields, made anew for every test."""
    return lambda: [Rule(**what)]  # type: ignore[arg-type]


def several(*rules: dict[str, object]) -> Rules:
    return lambda: [Rule(**what) for what in rules]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def what(plain_registry: Registry) -> Image:
    return Pen(plain_registry.url, "faults/app").push(WHAT, "1")


# One thing goes wrong, once: the pull must succeed. The number is how many bytes of the large layer may come twice.
PASSING: dict[str, tuple[Rules, int]] = {
    "dropped before the first byte": (again(path=BLOB, drop_at=0), 0),
    "dropped after the first byte": (again(path=BLOB, drop_at=1), IN_FLIGHT),
    "dropped in the middle": (again(path=BLOB, drop_at=SIZE // 2), IN_FLIGHT),
    "dropped before the last byte": (again(path=BLOB, drop_at=SIZE - 1), IN_FLIGHT),
    "dropped five times": (again(path=BLOB, drop_at=400_000, times=5), IN_FLIGHT),
    "small layer dropped": (again(path=f"blobs/{images.digest(SMALL.stored)}", drop_at=20_000), 0),
    "configuration dropped": (again(path=CONFIG, drop_at=10), 0),
    "manifest dropped": (again(method="GET", path=MANIFEST, drop_at=100), 0),
    "every first answer dropped": (lambda: [Rule(path=path, drop_at=0) for path in (BLOB, CONFIG, MANIFEST)], 0),
    "stalled": (again(path=BLOB, stall_at=1_000_000), IN_FLIGHT),
    "manifest stalled": (again(method="GET", path=MANIFEST, stall_at=10), 0),
    "range ignored": (several({"path": BLOB, "drop_at": 1_000_000}, {"path": BLOB, "ignore_range": True}), SIZE),
    "wrong range": (
        several(
            {"path": BLOB, "drop_at": 1_000_000},
            {"path": BLOB, "headers": {"Content-Range": f"bytes 5-{SIZE - 1}/{SIZE}"}},
        ),
        SIZE + IN_FLIGHT,
    ),
    "range of another size": (
        several(
            {"path": BLOB, "drop_at": 1_000_000},
            {"path": BLOB, "headers": {"Content-Range": f"bytes 1000000-{SIZE}/{SIZE + 1}"}},
        ),
        SIZE + IN_FLIGHT,
    ),
    "range refused with a length that never comes": (
        several(
            {"path": BLOB, "drop_at": 1_000_000},
            {"path": BLOB, "status": 416, "headers": {"Content-Length": str(SIZE)}, "body": b""},
        ),
        SIZE + IN_FLIGHT,
    ),
    "ends early with an honest look": (again(path=BLOB, truncate=1_000_000), SIZE),
    "too long": (again(path=BLOB, lengthen=b"more"), SIZE),
    "one bit flipped early": (again(path=BLOB, flip_at=100), SIZE),
    "one bit flipped late": (again(path=BLOB, flip_at=SIZE - 9), SIZE + IN_FLIGHT),
    "bit flipped in the configuration": (again(path=CONFIG, flip_at=30), 0),
    "compressed on the way": (again(path=BLOB, gzip=True), SIZE + IN_FLIGHT),
    "asked to wait for a second": (again(path=BLOB, status=429, headers={"Retry-After": "1"}), 0),
    "asked to wait until a moment": (
        lambda: [
            Rule(path=BLOB, status=429, headers={"Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True)})
        ],
        0,
    ),
    "unknown manifest on HEAD": (again(method="HEAD", path=MANIFEST, status=405), 0),
    "HEAD is never allowed": (again(method="HEAD", status=405, times=None), 0),
    "digest hidden": (again(remove=("docker-content-digest",), times=None), 0),
    "explicit media types demanded": (again(path=MANIFEST, wants={"Accept": images.OCI}, times=None), 0),
    "relative redirect": (
        lambda: [Rule(path=f"{BLOB}$", status=307, headers={"Location": f"/v2/faults/app/{BLOB}?here"}, body=b"")],
        0,
    ),
    **{
        f"status {code}": (again(path=BLOB, status=code, body=HTML, headers=PORTAL), 0)
        for code in (408, 500, 502, 503, 504)
    },
    "manifest twice unavailable": (again(path=MANIFEST, status=503, times=2), 0),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_goes_wrong_once_does_not_show(client: Client, line: Proxy, what: Image, name: str) -> None:
    rules, most = PASSING[name]
    line.rules = list(rules())
    client.fresh(stall_seconds=0.6)
    pulled = client.pull(f"{line.host}/faults/app:1")
    assert all(rule.hits for rule in line.rules), "the fault was not met"
    assert str(pulled.image.id) == what.id and client.sound()
    twice = line.twice(what.sizes)
    print(f"{name}: {twice} bytes came twice")
    assert twice <= most + sum(len(blob.data) for blob in what.blobs if len(blob.data) < 100_000)
    assert not list(client.store.partials.leftovers(before=time.time() + 9))


# The same fault each time: one error of this kind, no image, and the next pull on a good line completes.
LASTING: dict[str, tuple[Rules, str]] = {
    "dropped at once": (again(path=BLOB, drop_at=0, times=None), "registry-unreachable"),
    "stalled at once": (again(path=BLOB, stall_at=0, times=None), "registry-unreachable"),
    "manifest dropped": (again(method="GET", path=MANIFEST, drop_at=9, times=None), "registry-unreachable"),
    "bit flipped": (again(path=BLOB, flip_at=SIZE // 2, times=None), "corrupt"),
    "too short": (again(path=BLOB, truncate=SIZE - 1, times=None), "corrupt"),
    "too long": (again(path=BLOB, lengthen=b"!", times=None), "corrupt"),
    "compressed on the way": (again(path=BLOB, gzip=True, times=None), "corrupt"),
    "manifest flipped": (again(method="GET", path=MANIFEST, flip_at=40, times=None), "corrupt"),
    "configuration flipped": (again(path=CONFIG, flip_at=40, times=None), "corrupt"),
    "other layer in its place": (again(path=BLOB, status=200, body=SMALL.stored, times=None), "corrupt"),
    "guest network": (again(status=200, body=HTML, headers=PORTAL, times=None), "registry-error"),
    "guest network for layers": (again(path=BLOB, status=200, body=HTML, headers=PORTAL, times=None), "corrupt"),
    "layer gone": (again(path=BLOB, status=404, body=b'{"errors":[{"code":"BLOB_UNKNOWN"}]}', times=None), "registry-error"),
    "layer denied": (again(path=BLOB, status=403, body=b'{"errors":[{"code":"DENIED"}]}', times=None), "registry-denied"),
    "registry failing": (again(status=500, body=HTML, headers=PORTAL, times=None), "registry-error"),
    "layers failing": (again(path=BLOB, status=503, times=None), "registry-error"),
    "limit used up": (again(path=BLOB, status=429, headers={"Retry-After": "7200"}, times=None), "registry-rate-limited"),
    "redirects without end": (again(path=BLOB, status=307, headers={"Location": "?on"}, body=b"", times=None), "registry-error"),
    "redirect to nowhere": (
        again(path=BLOB, status=307, headers={"Location": "http://127.0.0.1:1/x"}, body=b"", times=None), "registry-unreachable",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LASTING)
def test_what_goes_wrong_each_time_is_one_clear_error(client: Client, line: Proxy, what: Image, name: str) -> None:
    rules, kind = LASTING[name]
    line.rules = list(rules())
    client.fresh(stall_seconds=0.3, attempts=3)
    with pytest.raises(errors.OrlopError) as caught:
        client.pull(f"{line.host}/faults/app:1")
    print(f"{name}: {caught.value.message} / {caught.value.hint}")
    assert caught.value.kind == kind
    assert caught.value.message[0].islower() and not caught.value.message.endswith(".")
    assert caught.value.hint and caught.value.hint.endswith(".")
    assert client.names() == set() and client.store.images.list() == () and client.sound()
    line.forget()
    assert str(client.pull(f"{line.host}/faults/app:1").image.id) == what.id and client.sound()


def test_a_server_on_another_host_gets_no_password(plain_registry: Registry, client: Client, what: Image) -> None:
    with Proxy(plain_registry.url, strict=True) as storage, Proxy(plain_registry.url) as line:
        line.rules = [
            Rule(path="/v2/$", first=1, times=None, status=401, headers={"WWW-Authenticate": 'Basic realm="r"'}),
            Rule(path="/blobs/", redirect=storage, times=None),
        ]
        client.login(line.host, "joe", "secret")
        assert str(client.pull(f"{line.host}/faults/app:1").image.id) == what.id and client.sound()
        assert all("authorization" in record.headers for record in line.records if "/blobs/" in record.path)
        assert len(storage.records) == 3
        for record in storage.records:
            assert record.status == 200 and "authorization" not in record.headers


def test_a_resumed_download_asks_for_a_fresh_address(plain_registry: Registry, client: Client, what: Image) -> None:
    with Proxy(plain_registry.url) as storage, Proxy(plain_registry.url) as line:
        line.rules = [Rule(path=BLOB, redirect=storage, times=None)]
        # The first address breaks in mid-transfer, and is not valid a second time.
        storage.rules = [
            Rule(path="signature=1$", drop_at=1_500_000),
            Rule(path="signature=1$", status=403, body=b"<Error><Code>AccessDenied</Code></Error>", times=None),
        ]
        assert str(client.pull(f"{line.host}/faults/app:1").image.id) == what.id and client.sound()
        assert storage.count(path=BLOB) == 2 and storage.records[1].headers["range"].startswith("bytes=")
        assert storage.twice(what.sizes) < IN_FLIGHT


def test_a_registry_below_a_path(plain_registry: Registry, client: Client, what: Image) -> None:
    with Proxy(plain_registry.url, prefix="/docker/virtual") as line:
        client.fresh(hosts={line.host: HostConfig(host=line.host, path_prefix="/docker/virtual")})
        assert str(client.pull(f"{line.host}/faults/app:1").image.id) == what.id and client.sound()
        assert all(record.path.startswith("/docker/virtual/v2/") for record in line.records)


def test_the_network_changes_in_mid_pull(client: Client, line: Proxy, what: Image) -> None:
    """All connections break at once, again and again, as when a laptop moves."""
    line.rate = 3_000_000
    done = threading.Event()

    def move() -> None:
        while not done.wait(0.25):
            line.hang_up()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        pulled = client.pull(f"{line.host}/faults/app:1")
    finally:
        done.set()
        mover.join()
    assert str(pulled.image.id) == what.id and client.sound()
    print(f"{line.twice(what.sizes)} bytes came twice over {line.count('GET', BLOB)} connections")
    assert line.count("GET", BLOB) > 1 and line.twice(what.sizes) < IN_FLIGHT


def test_every_kind_of_image_arrives_whole(client: Client, line: Proxy, plain_registry: Registry) -> None:
    content = {"a": b"first", "b/c": images.noise(3_000)}
    kinds = {
        "docker": images.image(images.layer(content), images.layer({"x": b"y"}, "members"), kind=images.DOCKER),
        "zstd": images.image(images.layer(content, "zstd")),
        "members": images.image(images.layer(content, "members")),
        "plain": images.image(images.layer(content, "plain")),
        "empty": images.image(images.layer({})),
    }
    pen = Pen(plain_registry.url, "faults/kinds")
    for tag, image in kinds.items():
        pen.push(image, tag)
        assert str(client.pull(f"{line.host}/faults/kinds:{tag}").image.id) == image.id
    other = images.image(images.layer({"arm": b"1"}), architecture="arm64", variant="v8")
    both = {"linux/arm64/v8": other, "linux/amd64": kinds["docker"]}
    for tag, family in (("list", images.DOCKER_LIST), ("index", images.OCI_INDEX)):
        pushed = pen.push(images.index(both, family, attested=True), tag)
        pulled = client.pull(f"{line.host}/faults/kinds:{tag}")
        assert (str(pulled.image.id), str(pulled.digest)) == (kinds["docker"].id, pushed.digest)
    assert client.sound()


def test_a_limit_is_counted_and_its_end_is_told(client: Client, line: Proxy, plain_registry: Registry) -> None:
    pen = Pen(plain_registry.url, "faults/limited")
    for number in range(3):
        pen.push(images.image(images.layer({"n": str(number).encode()})), str(number))
    line.rules = [Rule(path=MANIFEST, limiter=Limiter(limit=2), times=None)]
    client.pull(f"{line.host}/faults/limited:0")
    client.pull(f"{line.host}/faults/limited:1")
    limit = client.registries.rate_limit(line.host)
    assert limit is not None and limit.remaining == 0 and limit.limit == 2
    # What is here already is asked for with HEAD, which is free.
    assert client.pull(f"{line.host}/faults/limited:1").status == "up-to-date"
    with pytest.raises(errors.RateLimited) as caught:
        client.pull(f"{line.host}/faults/limited:2")
    assert "6.0 h" in (caught.value.hint or "")
    assert "orlop login" in (caught.value.hint or "")
    assert client.sound()
