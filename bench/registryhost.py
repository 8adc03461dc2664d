"""A registry on loopback, wiped whenever asked, and what the runs need of its protocol."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import requests
from payload import CONFIG, LAYER, MANIFEST, Image

_CONFIG = """version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Registry:
    """One process of Debian's docker-registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text(_CONFIG.format(root=folder / "data", port=port))
        self._process: subprocess.Popen[bytes] | None = None
        self.session = requests.Session()
        self.session.trust_env = False
        self.wipe()

    def wipe(self) -> None:
        """Begin anew, with nothing."""
        self.close()
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        with (self._folder / "log").open("ab") as log:
            words = ["docker-registry", "serve", str(self._folder / "config.yml")]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.session.get(f"http://{self.host}/v2/", timeout=1).raise_for_status()
            except requests.RequestException:
                time.sleep(0.02)
            else:
                return
        raise SystemExit(f"the registry does not start: {(self._folder / 'log').read_text()}")

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def upload(self, repository: str, image: Image, tag: str = "latest") -> str:
        """Put an image there by plain requests; its full name."""
        layers = [self._put(repository, layer.packed().read_bytes()) | {"mediaType": LAYER} for layer in image.layers]
        document = {
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": self._put(repository, image.config) | {"mediaType": CONFIG},
        }  # fmt: skip
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        self.session.put(url, json.dumps(document).encode(), headers={"Content-Type": MANIFEST}).raise_for_status()
        return f"{self.host}/{repository}:{tag}"

    def manifest(self, repository: str, tag: str = "latest") -> dict[str, Any]:
        """The manifest that was pushed."""
        kinds = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"
        answer = self.session.get(f"http://{self.host}/v2/{repository}/manifests/{tag}", headers={"Accept": kinds})
        answer.raise_for_status()
        return dict(answer.json())

    def check(self, repository: str, image: Image, tag: str = "latest") -> int:
        """Raise unless what was pushed is the image, byte for byte; the bytes of its layers as they are there."""
        document = self.manifest(repository, tag)
        if (found := document["config"]["digest"]) != image.id:
            config = self._blob(repository, found).json()
            # A tool may write the configuration anew, but never other layers.
            assert config["rootfs"]["diff_ids"] == image.diff_ids, f"{repository} is another image"
        assert len(document["layers"]) == len(image.layers)
        for described, layer in zip(document["layers"], image.layers, strict=True):
            data = self._blob(repository, described["digest"]).content
            assert len(data) == described["size"], "a layer has another size than its manifest says"
            tar = subprocess.run(["gzip", "-dc"], input=data, capture_output=True, check=True).stdout
            assert f"sha256:{hashlib.sha256(tar).hexdigest()}" == layer.diff_id, "a layer has another content"
        return sum(described["size"] for described in document["layers"])

    def _blob(self, repository: str, digest: str) -> requests.Response:
        answer = self.session.get(f"http://{self.host}/v2/{repository}/blobs/{digest}")
        answer.raise_for_status()
        return answer

    def _put(self, repository: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        start = self.session.post(f"http://{self.host}/v2/{repository}/blobs/uploads/")
        start.raise_for_status()
        place = start.headers["Location"]
        sign = "&" if "?" in place else "?"
        self.session.put(f"{place}{sign}digest={digest}", data).raise_for_status()
        return {"digest": digest, "size": len(data)}
