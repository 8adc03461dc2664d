"""A pull picks the platform, keeps the digest of the whole, asks no more than it must, and refuses what cannot work."""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig, platform
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, Index
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.engine.builds import BuildOptions
from orlop.engine.engine import Engine
from orlop.engine.settings import Settings
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Memory
from orlop.registry.registries import Registries
from orlop.registry.writer import RemoteWriter
from orlop.runtime.probe import probe
from registry.pushlab import Proxy, registry
from rootfs.shop import archive, file

pytestmark = pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed")
HOST = platform.of_machine(os.uname().machine)
OTHER = Platform("linux", "riscv64")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    report = probe()
    if not report.can_run:
        pytest.skip(f"no namespaces here: {report.reason}")
    with registry(tmp_path_factory.mktemp("registry")) as address:
        made = Proxy(address)
        yield made
        made.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(Settings(root=tmp_path / "store", run_dir=tmp_path / "run"))
    yield made
    made.close()


class Publisher:
    """Puts images into one repository with the project's own writer."""

    def __init__(self, name: str) -> None:
        self.reference = references.parse(name)
        self._clients = Registries(RegistryConfig(), Memory())
        self.writer: RemoteWriter = self._clients.writer(self.reference)

    def image(self, content: str, where: Platform) -> Descriptor:
        """An image of one layer, by its digest alone."""
        layer = archive({"content": file(content)})
        config = imageconfig.encode(ImageConfig(platform=where, diff_ids=(digests.of_bytes(layer),)))
        parts = [
            (Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(config), len(config)), config),
            (Descriptor(MediaType.OCI_LAYER, digests.of_bytes(layer), len(layer)), layer),
        ]
        for descriptor, data in parts:
            self.writer.put(descriptor, io.BytesIO(data), Job())
        manifest = descriptors.make_manifest(parts[0][0], (parts[1][0],))
        self.writer.put_document(manifest, Job())
        found = manifest.descriptor
        return Descriptor(found.media_type, found.digest, found.size, platform=where)

    def index(self, *entries: Descriptor) -> Index:
        """An index of them, under the publisher's name."""
        index = descriptors.make_index(entries)
        self.writer.put_document(index, Job())
        self.writer.tag(self.reference, index.descriptor)
        return index


def test_of_several_platforms_this_machines_comes_under_the_digest_of_all(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/many:1")
    mine, other = publisher.image("mine", HOST), publisher.image("other", OTHER)
    index = publisher.index(other, mine)
    pulled = engine.registries.pull(publisher.reference, None, Job())
    assert (pulled.digest, pulled.status) == (index.descriptor.digest, "newer")
    assert pulled.image.manifest.digest == mine.digest
    assert pulled.image.references == (publisher.reference,)
    assert pulled.image.repo_digests == (publisher.reference.with_digest(index.descriptor.digest),)

    chosen = engine.registries.pull(publisher.reference, OTHER, Job())
    assert (chosen.image.config.platform, chosen.status) == (OTHER, "newer")
    assert engine.images.find(str(publisher.reference)).id == chosen.image.id
    assert engine.registries.pull(publisher.reference, None, Job()).image.id == pulled.image.id


def test_what_is_here_costs_one_question(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/same:1")
    publisher.index(publisher.image("same", HOST))
    engine.registries.pull(publisher.reference, None, Job())
    proxy.forget()
    again = engine.registries.pull(publisher.reference, None, Job())
    assert again.status == "up-to-date"
    assert proxy.told() == ["HEAD /v2/me/same/manifests/1 200"]


def test_a_tag_that_moved_brings_the_newer_image(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/moving:1")
    publisher.index(publisher.image("old", HOST))
    old = engine.registries.pull(publisher.reference, None, Job())
    publisher.index(publisher.image("new", HOST))
    new = engine.registries.pull(publisher.reference, None, Job())
    assert new.status == "newer"
    assert new.image.id != old.image.id
    assert engine.store.images.get(old.image.id).references == ()
    by_digest = engine.registries.pull(publisher.reference.with_digest(old.digest), None, Job())
    assert by_digest.image.id == old.image.id


def test_a_platform_that_is_not_there_names_those_that_are(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/alien:1")
    publisher.index(publisher.image("alien", OTHER))
    with pytest.raises(errors.NotFound) as caught:
        engine.registries.pull(publisher.reference, None, Job())
    assert str(OTHER) in (caught.value.hint or "")
    assert engine.images.list() == ()


def test_an_artifact_is_no_image(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/chart:1")
    empty = Descriptor("application/vnd.oci.empty.v1+json", digests.of_bytes(b"{}"), 2)
    publisher.writer.put(empty, io.BytesIO(b"{}"), Job())
    manifest = descriptors.make_manifest(empty, (empty,))
    publisher.writer.put_document(manifest, Job())
    publisher.writer.tag(publisher.reference, manifest.descriptor)
    with pytest.raises(errors.Invalid, match="artifact"):
        engine.registries.pull(publisher.reference, None, Job())
    assert engine.registries.manifest(publisher.reference, Job()).platforms == ()


def test_what_cannot_fit_is_refused_before_it_travels(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(f"{proxy.host}/me/large:1")
    publisher.index(publisher.image("x" * 9000, HOST))
    status = os.statvfs(engine.store.root)
    full = os.statvfs_result((*status[:3], 1, 1, *status[5:]))
    proxy.forget()
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: full)
        with pytest.raises(errors.DiskFull, match="it needs at least"):
            engine.registries.pull(publisher.reference, None, Job())
    assert not [line for line in proxy.told() if "/blobs/" in line]
    engine.registries.pull(publisher.reference, None, Job())


def test_two_who_pull_the_same_fetch_it_once(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/twice:1")
    image = publisher.image("twice", HOST)
    publisher.index(image)
    proxy.forget()
    pulled: list[Any] = []

    def pull() -> None:
        pulled.append(engine.registries.pull(publisher.reference, None, Job()))

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.status for one in pulled) == ["newer", "up-to-date", "up-to-date", "up-to-date"]
    assert len([line for line in proxy.told("GET") if "/blobs/" in line]) == 2


def test_a_build_takes_what_it_has_unless_it_is_to_ask(engine: Engine, proxy: Proxy, tmp_path: Path) -> None:
    publisher = Publisher(f"{proxy.host}/me/base:1")
    publisher.index(publisher.image("first", HOST))
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {publisher.reference}\nLABEL a=b\n")

    def layers(*, pull: bool) -> tuple[Any, ...]:
        options = BuildOptions(context=context, pull=pull)
        return engine.builds.build(options, Job()).image.config.diff_ids

    first = layers(pull=False)
    publisher.index(publisher.image("second", HOST))
    assert layers(pull=False) == first
    assert layers(pull=True) != first


def test_policies_of_a_container(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/policy:1")
    publisher.index(publisher.image("first", HOST))
    name = str(publisher.reference)
    with pytest.raises(errors.ImageNotFound):
        engine.image(name, "never", Job())
    first = engine.image(name, "missing", Job())
    publisher.index(publisher.image("second", HOST))
    assert engine.image(name, "missing", Job()).id == first.id
    second = engine.image(name, "always", Job())
    assert second.id != first.id
    # An ID is of an image that is here, whatever the policy.
    assert engine.image(str(first.id), "always", Job()).id == first.id
    assert engine.image(second.id.short, "always", Job()).id == second.id


def test_a_cancelled_pull_leaves_no_name(engine: Engine, proxy: Proxy) -> None:
    publisher = Publisher(f"{proxy.host}/me/cancelled:1")
    publisher.index(publisher.image("cancelled", HOST))
    job = Job(lambda _: job.token.cancel())
    with pytest.raises(errors.Cancelled):
        engine.registries.pull(publisher.reference, None, job)
    assert engine.images.list() == ()
