"""Images come from a real registry whole, whoever else pulls them and whatever kills the process half-way."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orlop.core import digest as digests
from orlop.core import errors, imageconfig, platform
from orlop.core import reference as references
from orlop.core.descriptor import Descriptor, Manifest, make_manifest
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job, Note
from orlop.core.mediatype import MediaType
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Memory
from orlop.registry.registries import Registries
from orlop.rootfs.content import StoreContent
from orlop.rootfs.workshop import Workshop
from orlop.runtime.probe import probe
from orlop.store.store import Store
from orlop.transfer.copy import copy
from registry.pushlab import Proxy, Seen, registry
from rootfs.shop import archive, file, folder

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="docker-registry is not installed (Debian has a package)"
)
HOST = platform.of_machine(os.uname().machine)
NOISE = random.Random(3).randbytes(6_000_000).hex()
LAYERS = tuple(
    archive({f"data{number}": folder(), f"data{number}/file": file(NOISE[number * 10 :])}) for number in range(2)
)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    report = probe()
    if not report.can_run:
        pytest.skip(f"no namespaces here: {report.reason}")
    with registry(tmp_path_factory.mktemp("registry")) as address:
        made = Proxy(address)
        _push(made.host)
        yield made
        made.close()


def _push(host: str) -> Manifest:
    """An image of two layers, put there with the project's own writer."""
    name = references.parse(f"{host}/team/app:1")
    writer = Registries(RegistryConfig(), Memory()).writer(name)
    parts = [Descriptor(MediaType.OCI_LAYER, digests.of_bytes(layer), len(layer)) for layer in LAYERS]
    raw = imageconfig.encode(ImageConfig(platform=HOST, diff_ids=tuple(part.digest for part in parts)))
    config = Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw))
    for part, data in ((config, raw), *zip(parts, LAYERS, strict=True)):
        writer.put(part, io.BytesIO(data), Job())
    manifest = make_manifest(config, tuple(parts))
    writer.put_document(manifest, Job())
    writer.tag(name, manifest.descriptor)
    return manifest


def _pull(store: Path, host: str, die_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, Path(__file__).with_name("pulling.py"), store, f"{host}/team/app:1", str(die_at)]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return dict(json.loads(out))


def _range(seen: Seen) -> str | None:
    return next((value for name, value in seen.headers.items() if name.lower() == "range"), None)


def test_a_pull_goes_on_where_a_killed_process_was(proxy: Proxy, tmp_path: Path) -> None:
    process = _pull(tmp_path, proxy.host, 4_000_000)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    kept = {name: os.stat(tmp_path / "partial" / name).st_size for name in os.listdir(tmp_path / "partial")}
    assert max(kept.values()) >= 4_000_000
    proxy.seen.clear()
    assert "verifying" in _result(_pull(tmp_path, proxy.host))["phases"]
    ranges = {one.path.rpartition(":")[2]: _range(one) for one in proxy.seen if "/blobs/" in one.path}
    for name, size in kept.items():
        assert ranges[name] == f"bytes={size}-"
    assert os.listdir(tmp_path / "partial") == []
    # The store's own check: every blob and tree is as its digest says.
    assert Store(tmp_path).verify(Job()) == ()


def test_two_processes_fetch_each_layer_once(proxy: Proxy, tmp_path: Path) -> None:
    proxy.seen.clear()
    both = [_pull(tmp_path, proxy.host) for _ in range(2)]
    results = [_result(process) for process in both]
    assert results[0]["image"] == results[1]["image"]
    layers = {str(digests.of_bytes(layer)) for layer in LAYERS}
    fetched = [one.path.rpartition("/")[2] for one in proxy.seen if one.method == "GET" and "/blobs/" in one.path]
    assert sorted(path for path in fetched if path in layers) == sorted(layers)


def test_what_is_here_already_costs_no_manifest_and_no_layer(proxy: Proxy, tmp_path: Path) -> None:
    first = _result(_pull(tmp_path, proxy.host))
    assert first["copied"] == 3
    proxy.seen.clear()
    again = _result(_pull(tmp_path, proxy.host))
    assert again == {"image": first["image"], "copied": 0, "phases": ["exists"]}
    layers = [str(digests.of_bytes(layer)) for layer in LAYERS]
    assert not any(one.path.endswith(tuple(layers)) for one in proxy.seen)


def test_any_host_has_mirrors_and_a_dead_one_is_passed_over(proxy: Proxy, tmp_path: Path) -> None:
    store, workshop = Store(tmp_path), Workshop(tmp_path)
    notes: list[object] = []
    job = Job(notes.append)
    mirrored = HostConfig(host="registry.invalid", mirrors=("http://127.0.0.1:1", f"http://{proxy.host}"))
    registries = Registries(RegistryConfig(hosts={mirrored.host: mirrored}), Memory())
    name = references.parse("registry.invalid/team/app:1")
    copy(
        registries.reader(name, partials=store.partials, job=job), StoreContent(store, workshop), name, name, job,
        platform=HOST,
    )  # fmt: skip
    assert store.images.find("registry.invalid/team/app:1").layers
    assert any("127.0.0.1:1 " in note.message for note in notes if isinstance(note, Note))
    workshop.close()
    store.close()


def test_an_unknown_tag_names_the_ones_there_are(proxy: Proxy) -> None:
    with pytest.raises(errors.ManifestUnknown) as caught:
        Registries(RegistryConfig(), Memory()).inspect(references.parse(f"{proxy.host}/team/app:2"), Job())
    assert f"{proxy.host}/team/app:1" in (caught.value.hint or "")


def test_a_deleted_tag_is_gone(proxy: Proxy) -> None:
    registries = Registries(RegistryConfig(), Memory())
    _push(proxy.host)
    name = references.parse(f"{proxy.host}/team/other:1")
    writer = registries.writer(name, mount_from=lambda _: ("team/app",))
    descriptor, document = registries.inspect(references.parse(f"{proxy.host}/team/app:1"), Job())
    assert isinstance(document, Manifest)
    for part in (document.config, *document.layers):
        assert writer.mount(part, Job())
    writer.put_document(document, Job())
    writer.tag(name, descriptor)
    assert registries.tags(name, Job()).items == ("1",)
    assert "team/other" in registries.repositories(proxy.host, Job()).items
    assert registries.delete(name, Job()).digest == descriptor.digest
    with pytest.raises(errors.ManifestUnknown):
        registries.inspect(name, Job())
