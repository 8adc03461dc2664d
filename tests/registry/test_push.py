"""Images get to a real registry, whatever it or the line does; `test_push_rootless` runs all once more unprivileged."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orlop.core import digest as digests
from orlop.core import errors, platform
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, make_manifest
from orlop.core.job import CancelToken, Job, Note, TransferProgress
from orlop.core.mediatype import MediaType
from orlop.core.reference import Reference
from orlop.engine import pushing
from orlop.engine.images import Images
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Credential, Memory, Secret
from orlop.registry.registries import Registries
from orlop.rootfs.content import StoreContent
from orlop.rootfs.workshop import Workshop
from orlop.runtime.probe import probe
from orlop.store.images import Image
from orlop.transfer.copy import copy
from registry.pushlab import Fault, Proxy, Seen, registry, skopeo
from rootfs.shop import Shop, Tree, archive, file, folder

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None or shutil.which("skopeo") is None,
    reason="docker-registry and skopeo are not installed (Debian has packages of these names)",
)
# Does not compress, so that what travels is as large.
NOISE = random.Random(7).randbytes(20_000_000).hex()
SMALL: Tree = {"data": folder(), "data/a": file("a" * 100_000), "data/b": file(NOISE[:300_000], uid=33, gid=33)}
LARGE: Tree = {"data": folder(), "data/c": file(NOISE)}
MIB = 1 << 20


class Lab:
    """A store, a registry behind a proxy, and what a push told."""

    def __init__(self, shop: Shop, proxy: Proxy) -> None:
        self.shop = shop
        self.proxy = proxy
        self.credentials = Memory()
        self.images = Images(shop.store, shop.workshop, lambda _: ())
        self.events: list[Any] = []
        self.registries = self.fresh()

    def fresh(self, **more: Any) -> Registries:
        """A client without any memory."""
        self.registries = Registries(RegistryConfig(backoff=0.01, **more), self.credentials)
        return self.registries

    def name(self, path: str) -> Reference:
        return references.parse(f"{self.proxy.host}/{path}")

    def image(self, path: str, tree: Tree = SMALL) -> Image:
        """An image of one layer that lies here as a tree only."""
        name = str(self.name(path))
        return self.images.import_stream(io.BytesIO(archive(tree)), "-", name, (), "", Job())

    def push(self, path: str, image: Image | None = None, job: Job | None = None) -> pushing.Pushed:
        self.proxy.seen.clear()
        self.events.clear()
        return pushing.push(
            self.shop.store, self.shop.workshop, self.registries, self.name(path),
            job or Job(self.events.append), image=image,
        )  # fmt: skip

    def plan(self, path: str, image: Image | None = None) -> pushing.Plan:
        return pushing.plan(self.shop.store, self.shop.workshop, self.registries, self.name(path), Job(), image=image)

    def login(self, user: str) -> None:
        self.credentials.save(self.proxy.host, Credential(user, Secret("secret")))

    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]

    def raw(self, path: str) -> bytes:
        """The manifest as the registry has it."""
        return subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{self.name(path)}"],
            capture_output=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def check(self, path: str, image: Image, tmp_path: Path) -> None:
        """Another tool gets the very image, its bytes verified."""
        self.proxy.forget()
        target = tmp_path / f"copy-{os.urandom(3).hex()}"
        skopeo("copy", "--src-tls-verify=false", f"docker://{self.name(path)}", f"oci:{target}:x")
        manifest = json.loads(self.raw(path))
        assert manifest["config"]["digest"] == str(image.id)
        folder = target / "blobs" / "sha256"
        for layer, diff_id in zip(manifest["layers"], image.config.diff_ids, strict=True):
            assert digests.of_bytes(gzip.decompress((folder / layer["digest"][7:]).read_bytes())) == diff_id


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with registry(tmp_path_factory.mktemp("registry")) as address:
        made = Proxy(address)
        yield made
        made.close()


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    report = probe()
    if not report.can_run:
        pytest.skip(f"no namespaces here: {report.reason}")
    made = Workshop(Path("/"))
    yield made
    made.close()


@pytest.fixture
def lab(proxy: Proxy, workshop: Workshop, tmp_path: Path) -> Iterator[Lab]:
    proxy.forget()
    proxy.tokens = False
    proxy.valid.clear()
    shop = Shop(tmp_path, workshop)
    made = Lab(shop, proxy)
    yield made
    made.registries.close()
    shop.close()


@pytest.fixture
def path() -> str:
    return f"r{os.urandom(5).hex()}/app:1"


def test_a_built_image_arrives_whole(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    pushed = lab.push(path)
    raw = lab.raw(path)
    assert pushed == pushing.Pushed(lab.name(path), digests.of_bytes(raw), len(raw))
    assert json.loads(raw)["layers"][0]["mediaType"] == MediaType.OCI_LAYER_GZIP
    assert skopeo("inspect", "--tls-verify=false", f"docker://{lab.name(path)}")["Digest"] == str(pushed.digest)
    lab.check(path, image, tmp_path)


def test_the_name_comes_last(lab: Lab, path: str) -> None:
    lab.image(path)
    lab.push(path)
    writes = lab.proxy.told("PUT", "PATCH")
    assert writes[-1].split()[1].endswith("/manifests/1")
    assert "/manifests/sha256:" in writes[-2]
    assert all("/blobs/" in line for line in writes[:-2])


def test_a_pushed_image_is_known_by_its_digest_and_keeps_its_id(lab: Lab, path: str) -> None:
    before = lab.image(path)
    pushed = lab.push(path)
    after = lab.images.find(str(lab.name(path)))
    assert after.id == before.id
    assert after.repo_digests == (lab.name(path).with_digest(pushed.digest),)
    assert lab.images.inspect(str(before.id))["RepoDigests"] == [f"{lab.name(path).repository}@{pushed.digest}"]


def test_pushing_again_sends_nothing_and_gives_the_same_digest(lab: Lab, path: str) -> None:
    lab.image(path)
    first = lab.push(path)
    assert lab.push(path) == first
    assert lab.proxy.sent() == 0
    assert lab.proxy.told("POST", "PATCH") == []
    assert [event.phase for event in lab.events if isinstance(event, TransferProgress)][-1] == "exists"


def test_another_tag_sends_only_the_manifest(lab: Lab, path: str) -> None:
    image = lab.image(path)
    first = lab.push(path)
    assert lab.push(path.replace(":1", ":2"), image).digest == first.digest
    assert lab.proxy.sent() == 0


def test_a_second_repository_takes_the_layers_from_the_first(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    first = lab.push(path)
    assert lab.push(f"other-{path}", image).digest == first.digest
    assert lab.proxy.sent() == 0
    mounts = [one for one in lab.proxy.seen if one.method == "POST"]
    assert [one.status for one in mounts] == [201, 201]
    assert all(f"from={path[:-6]}" in one.path for one in mounts)
    lab.check(f"other-{path}", image, tmp_path)


def test_a_refused_mount_becomes_an_upload(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.push(path)
    lab.proxy.rule = lambda seen: Fault(401) if "mount=" in seen.path else None
    lab.push(f"other-{path}", image)
    assert lab.proxy.sent() > 100_000
    lab.check(f"other-{path}", image, tmp_path)


def test_a_repository_that_lost_a_layer_is_not_asked_for_it_again(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.push(path)
    form = lab.shop.store.layers.compressed(image.config.diff_ids[0])[0]
    lab.shop.store.origins.note(lab.proxy.host, "nobody/nothing", [form.digest])
    lab.shop.store.origins.forget(lab.proxy.host, lab.name(path).path, form.digest)
    lab.push(f"other-{path}", image)
    assert [one.status for one in lab.proxy.seen if "mount=" in one.path and "nobody" in one.path] == [202]
    assert "nobody/nothing" not in lab.shop.store.origins.of(lab.proxy.host, form.digest)
    lab.check(f"other-{path}", image, tmp_path)


def test_a_pulled_image_goes_on_with_its_very_manifest(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.push(path)
    # Another tool's compression, and Docker's form of the manifest.
    theirs = lab.name(f"theirs-{path}")
    skopeo("copy", "--src-tls-verify=false", f"docker://{lab.name(path)}", f"dir:{tmp_path / 'dir'}")
    skopeo(
        "copy", "--dest-tls-verify=false", "--format=v2s2", "--dest-compress-format=gzip",
        "--dest-compress-level=9", f"dir:{tmp_path / 'dir'}", f"docker://{theirs}",
    )  # fmt: skip
    raw = lab.raw(f"theirs-{path}")
    assert json.loads(raw)["mediaType"] == MediaType.DOCKER_MANIFEST
    other = Shop(tmp_path / "other", lab.shop.workshop)
    try:
        content = StoreContent(other.store, other.workshop)
        job = Job()
        with other.store.leases.hold("pull"):
            copy(
                lab.registries.reader(theirs, job=job), content, theirs, theirs, job,
                platform=platform.of_machine(os.uname().machine),
            )  # fmt: skip
        pulled = other.store.images.find(str(theirs))
        target = lab.name(f"again-{path}")
        pushed = pushing.push(other.store, other.workshop, lab.registries, target, Job(), image=pulled)
    finally:
        other.close()
    assert pulled.id == image.id
    assert pushed.digest == digests.of_bytes(raw)
    assert lab.raw(f"again-{path}") == raw


def test_what_may_not_be_distributed_stays_here(lab: Lab, path: str) -> None:
    image = lab.image(path)
    base = archive({"windows": folder()})
    foreign = Descriptor(
        MediaType.DOCKER_FOREIGN_GZIP, digests.of_bytes(base), len(base), urls=("https://example.com/layer",)
    )
    stored = lab.shop.store.blobs.read(image.manifest.digest)
    config = Descriptor(MediaType.DOCKER_CONFIG, image.id, json.loads(stored)["config"]["size"])
    manifest = make_manifest(config, (foreign,), MediaType.DOCKER_MANIFEST)
    made = lab.shop.store.images.add(
        manifest, lab.shop.store.blobs.read(image.id), tuple(layer.id for layer in image.layers)
    )
    # This registry wants no such manifests unless told so: what counts is that the layer did not travel.
    with pytest.raises(errors.RegistryError):
        lab.push(path, made)
    assert lab.proxy.sent() == config.size


def test_a_registry_that_wants_lengths_gets_them(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.proxy.rule = lambda seen: Fault(411) if "transfer-encoding" in seen.headers else None
    lab.push(path)
    assert "PATCH" not in "".join(line for line in lab.proxy.told() if " 202" in line and "PATCH" in line)
    lab.check(path, image, tmp_path)
    assert not list((lab.shop.root / "store" / "ingest").iterdir())


def test_a_proxy_that_takes_only_little_at_once_gets_pieces(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)

    def rule(seen: Seen) -> Fault | None:
        length = int(seen.headers.get("content-length", 0))
        return Fault(413) if length > 5 * MIB or "transfer-encoding" in seen.headers else None

    lab.proxy.rule = rule
    lab.push(path)
    pieces = [one for one in lab.proxy.seen if one.method == "PATCH" and one.status == 202]
    ranges = [tuple(map(int, one.headers["content-range"].split("-"))) for one in pieces]
    assert len(pieces) > 3
    assert all(one.size <= 5 * MIB for one in pieces)
    assert [first for first, _ in ranges[1:]] == [last + 1 for _, last in ranges[:-1]]
    lab.check(path, image, tmp_path)


def test_pieces_are_no_smaller_than_the_registry_wants(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)
    lab.proxy.rule = lambda seen: (
        Fault(413) if (seen.method == "PUT" and seen.size + int(seen.headers.get("content-length", 0)) > MIB)
        or "transfer-encoding" in seen.headers else None
    )  # fmt: skip

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "POST":
            headers["OCI-Chunk-Min-Length"] = str(18 * MIB)

    lab.proxy.change = change
    lab.push(path)
    sizes = [one.size for one in lab.proxy.seen if one.method == "PATCH" and one.status == 202]
    assert sizes[0] == 18 * MIB
    lab.check(path, image, tmp_path)


def test_a_piece_that_was_cut_off_is_sent_in_a_new_session(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)
    cut: list[str] = []

    def rule(seen: Seen) -> Fault | None:
        length = int(seen.headers.get("content-length", 0))
        if "transfer-encoding" in seen.headers or length > 6 * MIB:
            return Fault(413)
        if seen.method == "PATCH" and not cut and not seen.headers["content-range"].startswith("0-"):
            cut.append(seen.path)
            return Fault(0, after=MIB, forward=True)
        return None

    lab.proxy.rule = rule
    lab.push(path)
    assert cut
    lab.check(path, image, tmp_path)


def test_a_registry_that_lost_bytes_without_a_word_is_noticed(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)
    lied: list[str] = []
    lab.proxy.rule = lambda seen: (
        Fault(413)
        if "transfer-encoding" in seen.headers or int(seen.headers.get("content-length", 0)) > 6 * MIB
        else None
    )

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "PATCH" and len(lied) == 1:
            headers["Range"] = f"0-{30 * MIB}"
        if seen.method == "PATCH" and seen.status == 202:
            lied.append(seen.path)

    lab.proxy.change = change
    lab.push(path)
    # It is asked what it has, rather than believed.
    assert any("/blobs/uploads/" in line for line in lab.proxy.told("GET"))
    lab.check(path, image, tmp_path)


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_stream_that_breaks_is_sent_anew(lab: Lab, path: str, tmp_path: Path, after: int) -> None:
    image = lab.image(path)
    broken: list[str] = []

    def rule(seen: Seen) -> Fault | None:
        if seen.method == "PATCH" and not broken:
            broken.append(seen.path)
            return Fault(0, after=after, forward=True)
        return None

    lab.proxy.rule = rule
    lab.push(path)
    assert broken
    assert any("trying again" in note for note in lab.notes())
    lab.check(path, image, tmp_path)


def test_an_answer_that_got_lost_is_asked_for(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lost: list[str] = []

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "PUT" and "/blobs/" in seen.path and seen.size == 0 and not lost:
            lost.append(seen.path)
            seen.status = 502

    lab.proxy.change = change
    lab.push(path)
    assert lost
    # It was there: nothing is sent twice.
    assert len(lab.proxy.told("PATCH")) == 1
    lab.check(path, image, tmp_path)


def test_a_busy_registry_is_given_time(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    refused: list[int] = []

    def rule(seen: Seen) -> Fault | None:
        if seen.method in ("PATCH", "PUT") and len(refused) < 3:
            refused.append([503, 429, 500][len(refused)])
            return Fault(refused[-1], headers={"Retry-After": "0"})
        return None

    lab.proxy.rule = rule
    lab.push(path)
    assert refused == [503, 429, 500]
    lab.check(path, image, tmp_path)


def test_a_registry_that_never_recovers_is_given_up(lab: Lab, path: str) -> None:
    lab.image(path)
    lab.fresh(attempts=3)
    lab.proxy.rule = lambda seen: Fault(503) if seen.method == "PATCH" else None
    with pytest.raises(errors.RegistryError, match="is failing"):
        lab.push(path)
    assert len(lab.proxy.told("PATCH")) == 3
    assert not any("/manifests/" in line for line in lab.proxy.told("PUT"))


def test_a_token_that_ends_in_mid_upload_is_renewed(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.proxy.tokens = True
    lab.login("joe")
    ended: list[str] = []

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "POST" and len(ended) < 2:
            ended.append(seen.path)
            lab.proxy.valid.clear()

    lab.proxy.change = change
    lab.push(path)
    assert ended
    refused = [one for one in lab.proxy.seen if one.status == 401 and one.method in ("PATCH", "PUT")]
    assert refused
    assert any("pull%2Cpush" in one or "pull,push" in one for one in lab.proxy.fetched)
    lab.proxy.tokens = False
    lab.check(path, image, tmp_path)


def test_a_mount_asks_for_both_repositories(lab: Lab, path: str) -> None:
    image = lab.image(path)
    lab.push(path)
    lab.proxy.tokens = True
    lab.login("joe")
    lab.fresh()
    lab.push(f"other-{path}", image)
    assert lab.proxy.sent() == 0
    both = [one for one in lab.proxy.fetched if one.count("scope=") == 2]
    assert both
    assert f"repository:{lab.name(path).path}:pull" in both[0]


def test_an_account_that_may_not_is_told_so_before_anything_is_sent(lab: Lab, path: str) -> None:
    lab.image(path, LARGE)
    lab.proxy.tokens = True
    lab.login("joe")
    denied = b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
    lab.proxy.rule = lambda seen: Fault(403, body=denied) if seen.method == "POST" else None
    with pytest.raises(errors.Denied, match="account joe may not"):
        lab.push(path)
    assert lab.proxy.sent() == 0
    assert lab.proxy.told("PUT", "PATCH") == []
    with pytest.raises(errors.Denied, match="account joe may not"):
        lab.plan(path)


def test_cancelling_leaves_nothing_there(lab: Lab, path: str) -> None:
    lab.image(path, LARGE)
    token = CancelToken()
    begun = threading.Event()

    def rule(seen: Seen) -> Fault | None:
        if seen.method == "PATCH":
            begun.set()
        return None

    lab.proxy.rule = rule

    def hear(event: Any) -> None:
        if isinstance(event, TransferProgress) and event.done > 8 * MIB:
            token.cancel()

    with pytest.raises(errors.Cancelled):
        lab.push(path, job=Job(hear, token))
    assert begun.is_set()
    assert any("/blobs/uploads/" in line for line in lab.proxy.told("DELETE"))
    assert not any("/manifests/" in line for line in lab.proxy.told("PUT"))
    assert lab.images.find(str(lab.name(path))).repo_digests == ()


def test_a_push_gives_a_name_not_a_digest(lab: Lab, path: str) -> None:
    image = lab.image(path)
    with pytest.raises(errors.InvalidReference):
        pushing.push(lab.shop.store, lab.shop.workshop, lab.registries, lab.name(path).with_digest(image.id), Job())


def test_a_plan_tells_account_and_bytes_and_sends_nothing(lab: Lab, path: str) -> None:
    image = lab.image(path)
    lab.login("joe")
    plan = lab.plan(path)
    assert (plan.registry, plan.account, plan.exact) == (lab.proxy.host, "joe", False)
    assert plan.upload == plan.size == image.layers[0].tar_size
    assert lab.proxy.sent() == 0
    lab.push(path)
    again = lab.plan(path)
    assert (again.upload, again.exact) == (0, True)
    assert [layer.exists for layer in again.layers] == [True]
    assert 0 < again.size < plan.size
    assert any("/blobs/uploads/" in line for line in lab.proxy.told("DELETE"))


def test_a_location_is_used_as_it_is_given(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    elsewhere = Proxy(lab.proxy.backend)
    try:
        lab.proxy.tokens = True
        lab.login("joe")

        def change(seen: Seen, headers: dict[str, str]) -> None:
            if seen.method == "POST":
                # To another host, as some registries do for the bytes.
                where = headers["Location"].partition("/v2/")[2]
                headers["Location"] = f"http://{elsewhere.host}/v2/{where}"

        lab.proxy.change = change
        lab.push(path)
        sent = [one for one in elsewhere.seen if one.method in ("PATCH", "PUT")]
        assert sent
        assert all("authorization" not in one.headers for one in sent)
        assert all("_state=" in one.path for one in sent)
    finally:
        elsewhere.close()
    lab.proxy.tokens = False
    lab.check(path, image, tmp_path)


def test_a_relative_location_is_understood(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if "Location" in headers:
            headers["Location"] = "/v2/" + headers["Location"].partition("/v2/")[2]

    lab.proxy.change = change
    lab.push(path)
    lab.check(path, image, tmp_path)


def test_a_registry_that_keeps_another_digest_is_not_believed(lab: Lab, path: str) -> None:
    lab.image(path)

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if "/manifests/" in seen.path and seen.method == "PUT":
            headers["Docker-Content-Digest"] = str(digests.of_bytes(b"other"))

    lab.proxy.change = change
    with pytest.raises(errors.Corrupt, match="keeps manifest"):
        lab.push(path)
