"""What of an image gets to a real registry, and what it is known by; `test_push_rootless` runs all once more."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from orlop.core import digest as digests
from orlop.core import errors, platform
from orlop.core.descriptor import Descriptor, make_manifest
from orlop.core.job import Job, TransferProgress
from orlop.core.mediatype import MediaType
from orlop.engine import pushing
from orlop.rootfs.content import StoreContent
from orlop.transfer.copy import copy
from registry.lab import LARGE, Lab
from registry.pushlab import Fault, Seen, skopeo
from rootfs.shop import Shop, archive, folder

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None or shutil.which("skopeo") is None,
    reason="docker-registry and skopeo are not installed (Debian has packages of these names)",
)


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


def test_a_registry_that_keeps_another_digest_is_not_believed(lab: Lab, path: str) -> None:
    lab.image(path)

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if "/manifests/" in seen.path and seen.method == "PUT":
            headers["Docker-Content-Digest"] = str(digests.of_bytes(b"other"))

    lab.proxy.change = change
    with pytest.raises(errors.Corrupt, match="keeps manifest"):
        lab.push(path)
