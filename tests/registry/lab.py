"""A store, a registry behind a line that can be disturbed, and what a push told."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

from orlop.core import digest as digests
from orlop.core import reference as references
from orlop.core.job import Job, Note
from orlop.core.reference import Reference
from orlop.engine import pushing
from orlop.engine.images import Images
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Credential, Memory, Secret
from orlop.registry.registries import Registries
from orlop.store.images import Image
from registry.pushlab import Proxy, skopeo
from rootfs.shop import Shop, Tree, archive, file, folder

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
