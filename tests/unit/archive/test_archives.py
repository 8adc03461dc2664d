"""Images go into archives and come out the same; an archive that is no archive is told, not believed."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import os
import random
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.archive import images
from orlop.archive.entry import Entry
from orlop.archive.ocilayout import OciFolder
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig, reference
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import CancelToken, Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform

zstandard = pytest.importorskip("zstandard")

BASE = random.Random(1).randbytes(200_000)
TOP = b"top " * 50_000
NAMES = ("orlop-test:1", "example.com/team/app:v2")


def config_of(*layers: bytes) -> bytes:
    diff_ids = tuple(map(digests.of_bytes, layers))
    return imageconfig.encode(ImageConfig(Platform("linux", "amd64"), diff_ids=diff_ids))


def put(folder: OciFolder, media_type: str, data: bytes) -> Descriptor:
    descriptor = Descriptor(media_type, digests.of_bytes(data), len(data))
    folder.put(descriptor, io.BytesIO(data), Job())
    return descriptor


def put_image(folder: OciFolder, *layers: bytes, names: tuple[str, ...] = ()) -> Manifest:
    """An image whose first layer is packed by gzip and whose others are not."""
    packed = [
        put(folder, MediaType.OCI_LAYER_GZIP, gzip.compress(layer, mtime=0)) if not number
        else put(folder, MediaType.OCI_LAYER, layer)
        for number, layer in enumerate(layers)
    ]  # fmt: skip
    manifest = descriptors.make_manifest(put(folder, MediaType.OCI_CONFIG, config_of(*layers)), tuple(packed))
    folder.put_document(manifest, Job())
    for name in names:
        folder.tag(reference.parse(name), manifest.descriptor)
    if not names:
        folder.keep(manifest.descriptor)
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> OciFolder:
    return OciFolder(tmp_path / "layout")


@pytest.fixture
def saved(tmp_path: Path, folder: OciFolder) -> Callable[..., Path]:
    def save(form: str = "docker") -> Path:
        path = tmp_path / f"{form}.tar"
        with images.replacing(path) as out:
            images.write(out, folder, folder.names(), form, Job())
        return path

    return save


def content(path: Path | io.BytesIO, **options: Any) -> list[tuple[str | None, Manifest, list[bytes]]]:
    """Everything an archive offers, each blob verified."""
    found = []
    with images.open_archive(path, **options) as archive:
        for name, target in archive.names():
            document = archive.document(target)
            assert isinstance(document, Manifest)
            blobs = []
            for blob in (document.config, *document.layers):
                assert archive.has(blob)
                with archive.open(blob, Job()) as file:
                    data = b"".join(digests.verified(file, blob.digest, blob.size, "blob"))
                blobs.append(data)
            if name is not None:
                assert target == archive.resolve(name)
            found.append((name.familiar if name else None, document, blobs))
    return found


@pytest.mark.parametrize("form", images.FORMS)
def test_what_is_saved_is_what_loads(form: str, folder: OciFolder, saved: Callable[..., Path]) -> None:
    first = put_image(folder, BASE, TOP, names=NAMES)
    second = put_image(folder, BASE)
    empty = put_image(folder, names=("empty:1",))
    found = content(saved(form))
    assert [(NAMES[0], first), (NAMES[1], first), (None, second), ("empty:1", empty)] == [item[:2] for item in found]
    assert [gzip.compress(BASE, mtime=0), TOP] == found[0][2][1:]


@pytest.mark.parametrize("form", images.FORMS)
def test_saving_twice_gives_the_same_bytes(form: str, folder: OciFolder, saved: Callable[..., Path]) -> None:
    put_image(folder, BASE, TOP, names=NAMES)
    assert saved(form).read_bytes() == saved(form).read_bytes()


def test_shared_blobs_are_saved_once(folder: OciFolder, saved: Callable[..., Path]) -> None:
    put_image(folder, BASE, TOP, names=("a:1",))
    put_image(folder, BASE, b"other", names=("b:1",))
    with tarfile.open(saved()) as tar:
        names = tar.getnames()
    assert sorted(set(names)) == sorted(names)


def test_docker_finds_its_manifest(folder: OciFolder, saved: Callable[..., Path]) -> None:
    manifest = put_image(folder, BASE, TOP, names=NAMES)
    with tarfile.open(saved()) as tar:
        (item,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        config = tar.extractfile(item["Config"])
        assert config is not None
        assert manifest.config.digest == digests.of_bytes(config.read())
        assert list(NAMES) == item["RepoTags"]
        assert 2 == len(item["Layers"])
        assert set(item["Layers"]) < set(tar.getnames())
    with tarfile.open(saved("oci")) as tar:
        assert "manifest.json" not in tar.getnames()


def test_an_index_travels_whole_and_only_what_is_there(folder: OciFolder, saved: Callable[..., Path]) -> None:
    here = put_image(folder, BASE)
    elsewhere = Descriptor(MediaType.OCI_MANIFEST, digests.of_bytes(b"gone"), 4)
    index = descriptors.make_index((elsewhere, here.descriptor))
    folder.put_document(index, Job())
    folder.tag(reference.parse("multi:1"), index.descriptor)
    with images.open_archive(saved("oci")) as archive:
        target = archive.resolve(reference.parse("multi:1"))
        assert index == archive.document(target)
        assert archive.has(here.descriptor)
    assert ["multi:1"] == [name for name, document, _ in content(saved("docker")) if name and document == here]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress])
def test_a_compressed_archive_is_spooled(
    pack: Callable[[bytes], bytes], folder: OciFolder, saved: Callable[..., Path], tmp_path: Path
) -> None:
    put_image(folder, BASE, TOP, names=NAMES)
    plain = saved()
    packed = tmp_path / "packed"
    packed.write_bytes(pack(plain.read_bytes()))
    spool = tmp_path / "spool"
    spool.mkdir()
    assert content(plain) == content(packed, spool=spool)
    assert [] == os.listdir(spool)


def test_a_stream_is_spooled(folder: OciFolder, saved: Callable[..., Path], tmp_path: Path) -> None:
    put_image(folder, BASE, TOP, names=NAMES)
    plain = saved()
    assert content(plain) == content(io.BytesIO(plain.read_bytes()), spool=tmp_path)


def test_spooling_stops_when_the_job_is_cancelled(folder: OciFolder, saved: Callable[..., Path]) -> None:
    put_image(folder, BASE)
    token = CancelToken()
    token.cancel()
    with pytest.raises(errors.Cancelled):
        images.open_archive(io.BytesIO(saved().read_bytes()), job=Job(token=token))


def test_parts_are_read_by_several_threads_at_once(folder: OciFolder, saved: Callable[..., Path]) -> None:
    put_image(folder, BASE, TOP, b"x" * 300_000, names=NAMES)
    with images.open_archive(saved()) as archive:
        document = archive.document(archive.names()[0][1])
        assert isinstance(document, Manifest)
        results: list[bool] = []

        def check(blob: Descriptor) -> None:
            for _ in range(10):
                with archive.open(blob, Job()) as file:
                    results.append((blob.digest, blob.size) == digests.of_file(file))

        threads = [threading.Thread(target=check, args=(layer,)) for layer in document.layers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [True] * 30 == results


# docker-archives of other makers.


def docker_tar(files: dict[str, bytes | str], prefix: str = "") -> bytes:
    """A tar of files by name; a text is the target of a symbolic link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(prefix + name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def listing(config: str, layers: list[str], tags: Any = None) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": tags, "Layers": layers}]).encode()


@pytest.mark.parametrize("prefix", ["", "./"])
def test_the_old_form_with_linked_layers_is_read(prefix: str) -> None:
    config = config_of(BASE, TOP, BASE)
    data = docker_tar(
        {
            "a/VERSION": b"1.0", "a/json": b"{}", "a/layer.tar": BASE, "b/layer.tar": TOP, "c/layer.tar": "../a/layer.tar",
            "x.json": config, "repositories": b"{}",
            "manifest.json": listing("x.json", ["a/layer.tar", "b/layer.tar", "c/layer.tar"], ["app:1"]),
        },
        prefix,
    )  # fmt: skip
    ((name, document, blobs),) = content(io.BytesIO(data))
    assert ("app:1", [config, BASE, TOP, BASE]) == (name, blobs)
    assert [MediaType.OCI_LAYER] * 3 == [layer.media_type for layer in document.layers]
    assert list(map(digests.of_bytes, (BASE, TOP, BASE))) == [layer.digest for layer in document.layers]


def test_packed_layers_are_offered_as_they_are_or_unpacked() -> None:
    layers = {
        "1.tar.gz": gzip.compress(BASE),
        "2.tar.zst": zstandard.compress(TOP),
        "3.tar.bz2": bz2.compress(b"third"),
    }
    files = {**layers, "c": config_of(BASE, TOP, b"third"), "manifest.json": listing("c", list(layers))}
    ((_, document, blobs),) = content(io.BytesIO(docker_tar(files)))
    assert [layers["1.tar.gz"], layers["2.tar.zst"], b"third"] == blobs[1:]
    assert [MediaType.OCI_LAYER_GZIP, MediaType.OCI_LAYER_ZSTD, MediaType.OCI_LAYER] == [
        layer.media_type for layer in document.layers
    ]


def test_the_same_archive_always_gives_the_same_manifest() -> None:
    data = docker_tar({"l": BASE, "c": config_of(BASE), "manifest.json": listing("c", ["l"], ["a:1", "b:1"])})
    (first, *_), again = content(io.BytesIO(data)), content(io.BytesIO(data))
    assert [first[1]] * 2 == [item[1] for item in again]


def test_an_empty_list_of_images_is_no_error() -> None:
    assert [] == content(io.BytesIO(docker_tar({"manifest.json": b"[]"})))


GOOD: dict[str, bytes | str] = {"l": BASE, "c": config_of(BASE), "manifest.json": listing("c", ["l"])}
BAD: dict[str, dict[str, bytes | str]] = {
    "null": {"manifest.json": b"null"},
    "no json": {"manifest.json": b"{"},
    "deep json": {"manifest.json": b"[" * 100_000},
    "object": {"manifest.json": b"{}"},
    "no config": {"manifest.json": b"[{}]"},
    "missing config": {"manifest.json": listing("gone", ["l"])},
    "missing layer": {"manifest.json": listing("c", ["gone"])},
    "layer count": {"manifest.json": listing("c", ["l", "l"])},
    "layer types": {"manifest.json": b'[{"Config":"c","Layers":[1]}]'},
    "tags type": {"manifest.json": b'[{"Config":"c","Layers":["l"],"RepoTags":"x"}]'},
    "bad tag": {"manifest.json": listing("c", ["l"], ["Not A Name"])},
    "config is no config": {"c": b'{"x":1}'},
    "config is no json": {"c": b"\xff"},
    "layer link out": {"l": "../../../../etc/passwd"},
    "layer link loop": {"l": "k", "k": "l"},
    "escaping layer": {"manifest.json": listing("c", ["../../etc/passwd"])},
    "huge manifest": {"manifest.json": b" " * (9 << 20)},
    "half a layout": {"oci-layout": b"{}", "index.json": b"[]"},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_a_malformed_docker_archive_is_refused(change: dict[str, bytes | str]) -> None:
    content(io.BytesIO(docker_tar(GOOD)))
    with pytest.raises(errors.InvalidArchive):
        content(io.BytesIO(docker_tar(GOOD | change)))


def test_an_archive_of_before_docker_1_10_is_told_apart() -> None:
    with pytest.raises(errors.InvalidArchive, match=r"before 1\.10"):
        content(io.BytesIO(docker_tar({"repositories": b"{}", "a/layer.tar": BASE})))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        os.urandom(2000),
        gzip.compress(b"x", mtime=0),
        gzip.compress(BASE, mtime=0)[:500],
        bytes(2048),
    ],
)
def test_what_is_no_tar_is_refused_with_advice(data: bytes) -> None:
    with pytest.raises(errors.InvalidArchive):
        content(io.BytesIO(data))


def test_a_root_file_system_is_refused_with_advice(tar: Callable[..., bytes]) -> None:
    with pytest.raises(errors.InvalidArchive) as caught:
        content(io.BytesIO(tar(Entry(b"etc/passwd"))))
    assert "orlop import" in str(caught.value.hint)


def test_missing_files_and_folders_that_are_no_layout_are_told(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound):
        images.open_archive(tmp_path / "missing")
    with pytest.raises(errors.InvalidArchive):
        images.open_archive(tmp_path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_archive_cut_or_changed_anywhere_is_refused_or_still_verifies(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "whole"
    if not path.exists():
        folder = OciFolder(tmp_path / "layout")
        put_image(folder, TOP[:3000], b"small", names=NAMES)
        with images.replacing(path) as out:
            images.write(out, folder, folder.names(), "docker", Job())
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(errors.InvalidArchive, errors.Corrupt):
        for _, document, blobs in content(io.BytesIO(bytes(raw))):
            assert len(blobs) == 1 + len(document.layers)


# OCI layouts.


def test_names_have_several_spellings(folder: OciFolder, tmp_path: Path) -> None:
    manifest = put_image(folder, BASE)
    spellings = [
        ({"org.opencontainers.image.ref.name": "latest"}, None),
        ({"org.opencontainers.image.ref.name": "v1.2"}, None),
        ({"org.opencontainers.image.ref.name": "busybox"}, "busybox:latest"),
        ({"org.opencontainers.image.ref.name": "quay.io/a/b:1"}, "quay.io/a/b:1"),
        ({"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/a:1"}, "a:1"),
        ({"org.opencontainers.image.ref.name": "Not A Name"}, None),
        ({}, None),
    ]
    for marks, wanted in spellings:
        entry = Descriptor(MediaType.OCI_MANIFEST, manifest.descriptor.digest, manifest.descriptor.size, marks)
        (tmp_path / "layout/index.json").write_bytes(descriptors.make_index((entry,)).raw)
        ((name, target),) = OciFolder(tmp_path / "layout").names()
        assert (wanted, manifest.descriptor) == (name.familiar if name else None, target)
        assert {} == target.annotations


def test_a_bare_tag_resolves_for_any_repository(folder: OciFolder, tmp_path: Path) -> None:
    manifest = put_image(folder, BASE)
    entry = Descriptor(
        MediaType.OCI_MANIFEST, manifest.descriptor.digest, manifest.descriptor.size,
        {"org.opencontainers.image.ref.name": "v1"},
    )  # fmt: skip
    (tmp_path / "layout/index.json").write_bytes(descriptors.make_index((entry,)).raw)
    assert manifest.descriptor == folder.resolve(reference.parse("anything:v1"))
    assert manifest.descriptor == folder.resolve(reference.parse(f"x@{manifest.descriptor.digest}"))
    with pytest.raises(errors.ImageNotFound):
        folder.resolve(reference.parse("anything:v2"))


def test_a_name_moves_and_the_old_image_stays(folder: OciFolder) -> None:
    first = put_image(folder, BASE, names=("a:1", "b:1"))
    second = put_image(folder, TOP, names=("a:1",))
    assert second.descriptor == folder.resolve(reference.parse("a:1"))
    assert first.descriptor == folder.resolve(reference.parse("b:1"))
    assert 2 == len(folder.names())


def test_a_blob_that_does_not_match_leaves_nothing(folder: OciFolder, tmp_path: Path) -> None:
    wrong = Descriptor(MediaType.OCI_LAYER, digests.of_bytes(b"right"), 5)
    for data in (b"wrong", b"longer than five", b"s"):
        with pytest.raises(errors.Corrupt):
            folder.put(wrong, io.BytesIO(data), Job())
    assert not folder.has(wrong)
    assert [] == os.listdir(tmp_path / "layout/blobs/sha256")


def test_many_writers_lose_no_name(folder: OciFolder, tmp_path: Path) -> None:
    manifest = put_image(folder, BASE)

    def tag(number: int) -> None:
        for turn in range(5):
            OciFolder(tmp_path / "layout").tag(reference.parse(f"app:{number}-{turn}"), manifest.descriptor)

    threads = [threading.Thread(target=tag, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 20 == len(folder.names())


@pytest.mark.parametrize(("name", "data"), [
    ("oci-layout", b"{}"), ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'), ("oci-layout", b"\xff"),
    ("index.json", b"{"), ("index.json", b'{"manifests":[{}]}'), ("index.json", b'{"manifests":[{"digest":"x","size":1,"mediaType":"y"}]}'),
    ("index.json", b'{"schemaVersion":2,"config":{}}'),
])  # fmt: skip
def test_a_malformed_layout_is_refused(name: str, data: bytes, folder: OciFolder, tmp_path: Path) -> None:
    put_image(folder, BASE, names=NAMES)
    (tmp_path / "layout" / name).write_bytes(data)
    with pytest.raises(errors.InvalidArchive):
        content(tmp_path / "layout")


def test_a_layout_with_a_damaged_manifest_is_refused(folder: OciFolder, tmp_path: Path) -> None:
    manifest = put_image(folder, BASE, names=NAMES)
    path = tmp_path / "layout/blobs/sha256" / manifest.descriptor.digest.hex
    path.write_bytes(path.read_bytes().replace(b"config", b"Config"))
    with pytest.raises(errors.InvalidArchive, match="damaged"):
        content(tmp_path / "layout")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(errors.InvalidArchive):
        content(tmp_path / "layout")


def test_an_attestation_is_no_image(folder: OciFolder, tmp_path: Path) -> None:
    manifest = put_image(folder, BASE)
    entry = Descriptor(
        MediaType.OCI_MANIFEST, manifest.descriptor.digest, manifest.descriptor.size,
        {"vnd.docker.reference.type": "attestation-manifest"},
    )  # fmt: skip
    (tmp_path / "layout/index.json").write_bytes(descriptors.make_index((entry,)).raw)
    assert () == folder.names()


# Writing.


def test_a_blob_of_another_size_spoils_the_archive_and_says_so(tmp_path: Path, folder: OciFolder) -> None:
    manifest = put_image(folder, BASE, names=NAMES)
    blob = tmp_path / "layout/blobs/sha256" / manifest.layers[0].digest.hex
    blob.write_bytes(blob.read_bytes()[:-1])
    (tmp_path / "out.tar").write_text("old")
    with pytest.raises((errors.Corrupt, errors.InvalidArchive)), images.replacing(tmp_path / "out.tar") as out:
        images.write(out, folder, folder.names(), "docker", Job())
    assert "old" == (tmp_path / "out.tar").read_text()
    assert {"layout", "out.tar"} == set(os.listdir(tmp_path))


def test_an_unknown_form_is_refused(folder: OciFolder) -> None:
    with pytest.raises(errors.Invalid):
        images.write(io.BytesIO(), folder, (), "zip", Job())


def test_writing_where_nobody_may_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.OrlopError), images.replacing(tmp_path / "no/such/out.tar"):
        pass
