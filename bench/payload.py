"""Images to measure with: layers of many files that compress to half, the same bytes in every run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import attrs

LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"


@attrs.frozen
class Layer:
    """One layer: its tar, how many regular files it has and their bytes."""

    tar: Path
    diff_id: str
    files: int
    size: int

    def packed(self) -> Path:
        """Its gzip, level 6 as registries have it; made once."""
        path = self.tar.with_suffix(".tar.gz")
        if not path.exists():
            with (
                self.tar.open("rb") as source,
                path.open("wb") as target,
                gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6, mtime=0) as packer,
            ):
                while block := source.read(1 << 20):
                    packer.write(block)
        return path


@attrs.frozen
class Image:
    """Layers, lowest first, and the configuration that names them."""

    layers: tuple[Layer, ...]
    config: bytes

    @property
    def files(self) -> int:
        """Regular files of all layers."""
        return sum(layer.files for layer in self.layers)

    @property
    def size(self) -> int:
        """Bytes of them."""
        return sum(layer.size for layer in self.layers)

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the tars."""
        return [layer.diff_id for layer in self.layers]

    @property
    def id(self) -> str:
        """The digest of the configuration."""
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"

    def save(self, path: Path, name: str) -> Path:
        """A docker-archive with that name."""
        with tarfile.open(path, "w") as archive:
            members = [(f"{self.id[7:]}.json", self.config)]
            for number, layer in enumerate(self.layers):
                archive.add(layer.tar, f"{number}/layer.tar")
            document = [
                {
                    "Config": members[0][0], "RepoTags": [name],
                    "Layers": [f"{number}/layer.tar" for number in range(len(self.layers))],
                }
            ]  # fmt: skip
            members.append(("manifest.json", json.dumps(document).encode()))
            for member, data in members:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path


def image(layers: tuple[Layer, ...]) -> Image:
    """An image of these layers."""
    config = {
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {"Cmd": ["/bin/true"]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": f"layer {n}"} for n, _ in enumerate(layers)],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }  # fmt: skip
    return Image(layers, json.dumps(config).encode())


def layer(path: Path, files: int, size: int, seed: int) -> Layer:
    """A tar of `files` files with `size` bytes together, many small and few large; half of the bytes are noise."""
    source = random.Random(seed)
    weights = [source.lognormvariate(0, 1.2) for _ in range(files)]
    scale = size / sum(weights)
    sizes = [max(1, round(weight * scale)) for weight in weights]
    digest = hashlib.sha256()
    with path.open("wb") as raw, tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        made: set[str] = set()
        for number, count in enumerate(sizes):
            folder = f"usr/lib/part{seed}/d{number % 97}"
            for parent in ("usr", "usr/lib", f"usr/lib/part{seed}", folder):
                if parent not in made:
                    made.add(parent)
                    info = tarfile.TarInfo(parent)
                    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1_700_000_000
                    archive.addfile(info)
            info = tarfile.TarInfo(f"{folder}/file{number}.bin")
            info.size, info.mode, info.mtime = count, 0o644, 1_700_000_000 + number
            archive.addfile(info, io.BytesIO(_content(source, count)))
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return Layer(path, f"sha256:{digest.hexdigest()}", files, sum(sizes))


def _content(source: random.Random, count: int) -> bytes:
    """Noise and text in turn, so that gzip halves it as it does programs."""
    pieces = []
    left = count
    while left > 0:
        noise = source.randbytes(min(left, 512))
        text = (b"value %d of the table\n" % source.randrange(10**6)) * 30
        pieces += [noise, text[: max(0, min(512, left - len(noise)))]]
        left -= 1024
    return b"".join(pieces)[:count]
