"""Docker, podman, skopeo and buildah pull what we push and push what we pull: same image ID, same digests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.client import Client
from registry.parts import images, partners
from registry.parts.images import Image, Pen
from registry.parts.partners import Partner
from registry.parts.registry import Registry

pytestmark = pytest.mark.peer
CONTENT = {"etc/name": b"value\n", "usr/share/data": images.noise(200_000), "empty": b""}
MORE = {"etc/other": b"1", "etc/.wh.name": b""}


@pytest.fixture(scope="module", params=["docker", "podman", "skopeo", "buildah"])
def partner(request: pytest.FixtureRequest) -> Iterator[Partner]:
    """One tool with an empty store; sockets need a short path."""
    if reason := partners.missing(request.param):
        pytest.skip(reason)
    folder = Path("/var/tmp") / f"orlop-partner-{request.param}-{os.getpid()}"
    folder.mkdir()
    try:
        made = partners.start(request.param, folder)
        yield made
        made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kinds() -> dict[str, Image]:
    """Images of each form that all the tools know."""
    layers = (images.layer(CONTENT), images.layer(MORE, "members"))
    plain = images.image(images.layer(CONTENT, "plain"))
    other = images.image(images.layer({"arm": b"1"}), architecture="arm64", variant="v8", kind=images.DOCKER)
    docker = images.image(*layers, kind=images.DOCKER)
    both = {"linux/arm64/v8": other, "linux/amd64": docker}
    return {
        "docker": docker, "oci": images.image(*layers), "plain": plain,
        "list": images.index(both, images.DOCKER_LIST), "index": images.index(both, attested=True),
    }  # fmt: skip


@pytest.mark.parametrize("kind", kinds())
def test_images_go_from_hand_to_hand(client: Client, plain_registry: Registry, partner: Partner, kind: str) -> None:
    source = Pen(plain_registry.url, f"hands/{kind}").push(kinds()[kind], "1")
    ours = client.pull(f"{plain_registry.host}/hands/{kind}:1")
    assert str(ours.digest) == source.digest
    # From us to them.
    name = f"{plain_registry.host}/hands/{kind}-ours-{id(partner)}:1"
    client.tag(str(ours.image.id), name)
    pushed = client.push(name)
    assert partner.pull(name) == str(ours.image.id)
    there = Pen(plain_registry.url, name.partition("/")[2].partition(":")[0]).whole("1")
    assert (there.digest, there.id) == (str(pushed.digest), str(ours.image.id))
    if kind in ("docker", "oci"):
        assert there.digest == source.digest, "the manifest did not stay as it was"
    # And back under another name: what they have is what we had.
    target = f"{plain_registry.host}/hands/{kind}-theirs-{id(partner)}:1"
    partner.push(name, target)
    back = client.pull(target)
    assert back.image.id == ours.image.id and client.sound()


def test_what_we_compress_ourselves_they_can_read(client: Client, plain_registry: Registry, partner: Partner) -> None:
    """An image that is here as trees only, as after a build."""
    Pen(plain_registry.url, "hands/trees").push(images.image(images.layer(CONTENT, "plain")), "1")
    ours = client.pull(f"{plain_registry.host}/hands/trees:1").image
    name = f"{plain_registry.host}/hands/packed-{id(partner)}:1"
    client.tag(str(ours.id), name)
    client.push(name)
    assert partner.pull(name) == str(ours.id)


def test_our_pull_takes_what_they_compress(client: Client, plain_registry: Registry, partner: Partner) -> None:
    """They get layers as plain tars and send them compressed in their own way: the image ID is the same."""
    what = Pen(plain_registry.url, "hands/tars").push(kinds()["plain"], "1")
    name = f"{plain_registry.host}/hands/tars:1"
    theirs = partner.pull(name)
    target = f"{plain_registry.host}/hands/tars-{id(partner)}:1"
    partner.push(name, target)
    pulled = client.pull(target)
    assert str(pulled.image.id) == what.id == theirs and client.sound()
