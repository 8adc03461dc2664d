"""Other tools read what we save, and we read what they save."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orlop.archive import entry as entries
from orlop.archive import images
from orlop.archive.entry import Entry
from orlop.archive.ocilayout import OciFolder
from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import imageconfig, reference
from orlop.core.descriptor import Descriptor
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform

pytestmark = [pytest.mark.peer, pytest.mark.skipif(os.geteuid() != 0, reason="the other tools run as root here")]

NAMES = ("docker.io/library/orlop-peer:1", "example.com/team/app:v2")


def run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | (env or {}))
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


class Example:
    """A layout with one image of two layers and two names, and archives of it."""

    def __init__(self, root: Path, tar: Callable[..., bytes]) -> None:
        self.layers = (
            tar(Entry(b"bin", entries.DIRECTORY, 0o755), (Entry(b"bin/tool", mode=0o4755, mtime_ns=1_600_000_000_123_456_789), b"#!")),
            tar(Entry(b"etc", entries.DIRECTORY, 0o755), (Entry(b"etc/motd", uid=33, gid=44), b"hi\n"), Entry(b"bin/.wh.tool")),
        )  # fmt: skip
        self.layout = root / "layout"
        folder = OciFolder(self.layout)
        job = Job()

        def put(media_type: str, data: bytes) -> Descriptor:
            descriptor = Descriptor(media_type, digests.of_bytes(data), len(data))
            folder.put(descriptor, io.BytesIO(data), job)
            return descriptor

        config = ImageConfig(
            Platform("linux", "amd64"),
            diff_ids=tuple(map(digests.of_bytes, self.layers)),
            created="2020-01-01T00:00:00Z",
        )
        manifest = descriptors.make_manifest(
            put(MediaType.OCI_CONFIG, imageconfig.encode(config)),
            (
                put(MediaType.OCI_LAYER_GZIP, gzip.compress(self.layers[0], mtime=0)),
                put(MediaType.OCI_LAYER, self.layers[1]),
            ),
        )
        folder.put_document(manifest, job)
        for name in NAMES:
            folder.tag(reference.parse(name), manifest.descriptor)
        self.id = str(manifest.config.digest)
        self.diff_ids = [str(digests.of_bytes(layer)) for layer in self.layers]
        self.docker, self.oci = root / "docker.tar", root / "oci.tar"
        for path, form, wanted in ((self.docker, "docker", folder.names()), (self.oci, "oci", folder.names()[:1])):
            with images.replacing(path) as out:
                images.write(out, folder, wanted, form, job)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, tar: Callable[..., bytes]) -> Example:
    return Example(tmp_path_factory.mktemp("example"), tar)


def loaded(path: Path) -> list[tuple[str | None, str, list[str]]]:
    """Names, IDs and diff IDs of the images in an archive, each blob verified."""
    found = []
    with images.open_archive(path) as archive:
        for name, target in archive.names():
            manifest = archive.document(target)
            assert isinstance(manifest, descriptors.Manifest)
            for blob in (manifest.config, *manifest.layers):
                with archive.open(blob, Job()) as file:
                    assert (blob.digest, blob.size) == digests.of_file(file)
            with archive.open(manifest.config, Job()) as file:
                config = imageconfig.parse(file.read())
            found.append((str(name) if name else None, str(manifest.config.digest), list(map(str, config.diff_ids))))
    return found


class Docker:
    """A daemon of its own in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.socket = f"unix://{root}/docker.sock"
        self._root = root
        self._log = (root / "log").open("wb")
        flags = ["--iptables=false", "--bridge=none", "--data-root", f"{root}/data", "--exec-root", f"{root}/exec"]
        self._daemon = subprocess.Popen(
            ["dockerd", *flags, "-H", self.socket, "--pidfile", f"{root}/pid"], stdout=self._log, stderr=self._log
        )

    def ready(self) -> bool:
        for _ in range(150):
            if self._daemon.poll() is not None:
                return False
            if not subprocess.run(
                ["docker", "-H", self.socket, "version"], capture_output=True, check=False
            ).returncode:
                return True
            time.sleep(0.2)
        return False

    def __call__(self, *arguments: str) -> str:
        return run("docker", "-H", self.socket, *arguments)

    def stop(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(30)
        self._log.close()
        subprocess.run(["umount", "-R", f"{self._root}/data"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    needs("dockerd")
    needs("docker")
    daemon = Docker(tmp_path_factory.mktemp("docker"))
    try:
        if not daemon.ready():
            pytest.skip("dockerd does not start on this machine")
        yield daemon
    finally:
        daemon.stop()


def test_docker_loads_ours_and_we_load_dockers(docker: Docker, example: Example, tmp_path: Path) -> None:
    said = docker("load", "-i", str(example.docker))
    assert "Loaded image: orlop-peer:1" in said
    assert "Loaded image: example.com/team/app:v2" in said
    (inspected,) = json.loads(docker("image", "inspect", "orlop-peer:1"))
    assert (example.id, example.diff_ids) == (inspected["Id"], inspected["RootFS"]["Layers"])
    docker("save", "-o", str(tmp_path / "saved.tar"), "orlop-peer:1", "example.com/team/app:v2")
    assert {(name, example.id, tuple(example.diff_ids)) for name in NAMES} == {
        (name, image, tuple(diff_ids)) for name, image, diff_ids in loaded(tmp_path / "saved.tar")
    }


@pytest.fixture
def podman_root() -> Iterator[Path]:
    """Podman wants short paths."""
    needs("podman")
    root = Path(tempfile.mkdtemp(prefix="pm-"))
    yield root
    podman(root, "rmi", "-a", "-f")
    subprocess.run(["umount", "-R", f"{root}/root/overlay"], capture_output=True, check=False)
    shutil.rmtree(root)


def podman(root: Path, *arguments: str) -> str:
    return run(
        "podman", "--root", f"{root}/root", "--runroot", f"{root}/run", "--cgroup-manager", "cgroupfs", *arguments
    )


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_podman_loads_ours_and_we_load_podmans(form: str, example: Example, tmp_path: Path, podman_root: Path) -> None:
    podman(podman_root, "load", "-q", "-i", str(getattr(example, form)))
    name = NAMES[0] if form == "oci" else NAMES[1]
    (inspected,) = json.loads(podman(podman_root, "image", "inspect", name))
    assert (example.id, example.diff_ids) == (f"sha256:{inspected['Id']}", inspected["RootFS"]["Layers"])
    for saved in ("docker-archive", "oci-archive"):
        path = tmp_path / f"{saved}.tar"
        podman(podman_root, "save", "-q", "--format", saved, "-o", str(path), name)
        ((again, image, diff_ids),) = loaded(path)
        assert (name, example.diff_ids) == (again, diff_ids)
        # Its OCI form writes the configuration anew.
        assert saved == "oci-archive" or example.id == image


def test_skopeo_reads_ours_and_we_read_skopeos(example: Example, tmp_path: Path) -> None:
    needs("skopeo")
    for source in (
        f"docker-archive:{example.docker}:{NAMES[1]}", f"oci-archive:{example.oci}:{NAMES[0]}", f"oci:{example.layout}:{NAMES[1]}",
    ):  # fmt: skip
        config = json.loads(run("skopeo", "inspect", "--config", source))
        assert example.diff_ids == config["rootfs"]["diff_ids"]
    source = f"oci:{example.layout}:{NAMES[0]}"
    run("skopeo", "copy", "-q", source, f"docker-archive:{tmp_path}/d.tar:{NAMES[0]}")
    run("skopeo", "copy", "-q", source, f"oci-archive:{tmp_path}/o.tar:latest")
    run("skopeo", "copy", "-q", source, f"oci:{tmp_path}/folder:{NAMES[0]}")
    assert [(NAMES[0], example.id, example.diff_ids)] == loaded(tmp_path / "d.tar")
    assert [(None, example.id, example.diff_ids)] == loaded(tmp_path / "o.tar")
    assert [(NAMES[0], example.id, example.diff_ids)] == loaded(tmp_path / "folder")


def test_umoci_unpacks_ours(example: Example, tmp_path: Path) -> None:
    needs("umoci")
    run("umoci", "unpack", "--image", f"{example.layout}:{NAMES[0]}", str(tmp_path / "bundle"))
    root = tmp_path / "bundle/rootfs"
    assert "hi\n" == (root / "etc/motd").read_text()
    assert (33, 44) == ((root / "etc/motd").stat().st_uid, (root / "etc/motd").stat().st_gid)
    assert [] == os.listdir(root / "bin")
