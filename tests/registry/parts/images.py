"""Small images of every kind, made and pushed by hand: nothing here knows our own client or store."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import attrs

from .tokens import key_id, signature, url64

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
EVERY = f"{OCI}, {OCI_INDEX}, {DOCKER}, {DOCKER_LIST}, */*"


@attrs.frozen
class Blob:
    """Bytes with a media type."""

    data: bytes = attrs.field(repr=False)
    media_type: str

    @property
    def digest(self) -> str:
        """Its SHA-256 digest."""
        return digest(self.data)

    @property
    def descriptor(self) -> dict[str, Any]:
        """As manifests refer to it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@attrs.frozen
class Image:
    """All blobs and documents (manifests; an index last) of what one name stands for."""

    documents: tuple[Blob, ...]
    blobs: tuple[Blob, ...]

    @property
    def top(self) -> Blob:
        """The document that a tag names."""
        return self.documents[-1]

    @property
    def digest(self) -> str:
        """The top's digest."""
        return self.top.digest

    @property
    def id(self) -> str:
        """Docker's image ID: the digest of the only platform's configuration."""
        return str(json.loads(self.documents[0].data)["config"]["digest"])

    @property
    def sizes(self) -> dict[str, int]:
        """Digest to size of every blob."""
        return {blob.digest: len(blob.data) for blob in self.blobs}


@attrs.frozen
class Layer:
    """A layer's tar and how it is stored."""

    tar: bytes = attrs.field(repr=False)
    stored: bytes = attrs.field(repr=False)
    form: str

    def blob(self, kind: str) -> Blob:
        """As a blob of a Docker or an OCI image."""
        if kind == DOCKER:
            return Blob(self.stored, f"application/vnd.docker.image.rootfs.diff.tar{'.gzip' if self.form else ''}")
        return Blob(self.stored, f"application/vnd.oci.image.layer.v1.tar{f'+{self.form}' if self.form else ''}")


def digest(data: bytes) -> str:
    """The SHA-256 digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(files: Mapping[str, bytes], form: str = "gzip") -> Layer:
    """A layer with these files; stored as `gzip`, `members` (a gzip of several members), `zstd` or `plain`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), 1_700_000_000, 0o644
            tar.addfile(entry, io.BytesIO(data))
    raw = buffer.getvalue()
    if form == "zstd":
        return Layer(
            raw, subprocess.run(["zstd", "-q", "-c"], input=raw, check=True, capture_output=True).stdout, "zstd"
        )
    if form == "members":
        half = len(raw) // 2
        return Layer(raw, b"".join(gzip.compress(part, 6, mtime=0) for part in (raw[:half], raw[half:])), "gzip")
    return Layer(raw, gzip.compress(raw, 6, mtime=0), "gzip") if form == "gzip" else Layer(raw, raw, "")


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same ones each time."""
    return random.Random(seed).randbytes(size)


def image(
    *layers: Layer, kind: str = OCI, architecture: str = "amd64", os: str = "linux", variant: str = "",
    config: Mapping[str, Any] | None = None,
) -> Image:  # fmt: skip
    """An image of one platform."""
    settings: dict[str, Any] = {
        "architecture": architecture, "os": os, "config": {"Cmd": ["/bin/sh"], "Env": ["A=b"], **(config or {})},
        "created": "2024-01-02T03:04:05Z", "rootfs": {"type": "layers", "diff_ids": [digest(one.tar) for one in layers]},
        "history": [{"created": "2024-01-02T03:04:05Z", "created_by": f"layer {number}"} for number in range(len(layers))],
    }  # fmt: skip
    if variant:
        settings["variant"] = variant
    family = (
        "application/vnd.docker.container.image.v1+json"
        if kind == DOCKER
        else "application/vnd.oci.image.config.v1+json"
    )
    about = Blob(json.dumps(settings).encode(), family)
    blobs = [one.blob(kind) for one in layers]
    manifest = {
        "schemaVersion": 2, "mediaType": kind, "config": about.descriptor, "layers": [one.descriptor for one in blobs],
    }  # fmt: skip
    return Image((Blob(json.dumps(manifest).encode(), kind),), (*blobs, about))


def index(images: Mapping[str, Image], kind: str = OCI_INDEX, *, attested: bool = False) -> Image:
    """An index of images by platform (`linux/arm64/v8`); `attested` adds to each what BuildKit adds."""
    entries, documents, blobs = [], [], []
    for platform, one in images.items():
        names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        entries.append({**one.top.descriptor, "platform": names})
        documents.append(one.top)
        blobs += one.blobs
    for one in tuple(images.values()) if attested else ():
        note = attestation(one)
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": one.digest}
        unknown = {"os": "unknown", "architecture": "unknown"}
        entries.append({**note.top.descriptor, "platform": unknown, "annotations": about})
        documents.append(note.top)
        blobs += note.blobs
    top = Blob(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode(), kind)
    return Image((*documents, top), tuple({blob.digest: blob for blob in blobs}.values()))


def attestation(of: Image) -> Image:
    """What BuildKit puts beside an image to tell where it comes from."""
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": {"sha256": of.digest[7:]}}]}
    note = Blob(json.dumps(statement).encode(), "application/vnd.in-toto+json")
    settings = {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [note.digest]},
    }
    about = Blob(json.dumps(settings).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": OCI, "config": about.descriptor, "layers": [note.descriptor]}
    return Image((Blob(json.dumps(manifest).encode(), OCI),), (note, about))


def artifact() -> Image:
    """Something in a registry that is no image."""
    about = Blob(b"{}", "application/vnd.oci.empty.v1+json")
    chart = Blob(b"name: chart\n", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    manifest = {
        "schemaVersion": 2, "mediaType": OCI, "artifactType": "application/vnd.cncf.helm.chart.v1",
        "config": about.descriptor, "layers": [chart.descriptor],
    }  # fmt: skip
    return Image((Blob(json.dumps(manifest).encode(), OCI),), (chart, about))


def schema1(repository: str, tag: str, only: Layer) -> Image:
    """An image of the form that Docker wrote before 2016, signed as registries demand."""
    history = {
        "id": hashlib.sha256(only.tar).hexdigest(),
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"]},
    }
    blob = Blob(only.stored, "application/octet-stream")
    manifest = {
        "schemaVersion": 1, "name": repository, "tag": tag, "architecture": "amd64",
        "fsLayers": [{"blobSum": blob.digest}], "history": [{"v1Compatibility": json.dumps(history)}],
    }  # fmt: skip
    text = json.dumps(manifest, indent=3)
    body = text.removesuffix("\n}")
    protected = url64(
        json.dumps({"formatLength": len(body), "formatTail": url64(b"\n}"), "time": "2016-01-02T03:04:05Z"}).encode()
    )
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        words = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key)]
        subprocess.run(words, check=True, capture_output=True)
        public = subprocess.run(
            ["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"], check=True, capture_output=True
        ).stdout
        mark = signature(key, f"{protected}.{url64(text.encode())}".encode(), "ES256")
    # The point stands at the end of the DER form: 0x04, x, y.
    jwk = {"crv": "P-256", "kid": key_id(public), "kty": "EC", "x": url64(public[-64:-32]), "y": url64(public[-32:])}
    signed = {"header": {"jwk": jwk, "alg": "ES256"}, "signature": url64(mark), "protected": protected}
    document = f'{body},\n   "signatures": {json.dumps([signed])}\n}}'
    return Image((Blob(document.encode(), SCHEMA1),), (blob,))


def big_layer(size: int = 120_000_000, count: int = 4_900) -> Layer:
    """A layer for measuring: `count` files of about `size` bytes in all, half of which compress away."""
    each = size // count
    files = {
        f"usr/share/d{number % 70:02}/f{number}": noise(each // 2, number) + b"words of a kind " * (each // 32)
        for number in range(count)
    }
    return layer(files)


class Pen:
    """Reads and writes one repository by plain HTTP; `authorization` is a ready header."""

    def __init__(self, url: str, repository: str, authorization: str = "") -> None:
        self.repository = repository
        self._base = f"{url}/v2/{repository}/"
        self._authorization = authorization

    def push(self, what: Image, *tags: str) -> Image:
        """Push all of it; the top under tags too."""
        for blob in what.blobs:
            self.put_blob(blob.data)
        for document in what.documents:
            if document.media_type != SCHEMA1:
                self._ask("PUT", f"manifests/{document.digest}", document.data, document.media_type)
        for tag in tags:
            self._ask("PUT", f"manifests/{tag}", what.top.data, what.top.media_type)
        return what

    def put_blob(self, data: bytes) -> None:
        """Upload a blob in one piece."""
        _, headers, _ = self._ask("POST", "blobs/uploads/", b"")
        location = urljoin(self._base, headers["location"])
        self._ask("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest(data)}", data)

    def manifest(self, name: str) -> Blob:
        """A document by tag or digest."""
        _, headers, body = self._ask("GET", f"manifests/{name}")
        return Blob(body, headers["content-type"])

    def blob(self, name: str) -> bytes:
        """A blob's bytes."""
        return self._ask("GET", f"blobs/{name}")[2]

    def has(self, what: str) -> bool:
        """Whether there is such a path, `manifests/1` or `blobs/sha256:…`."""
        try:
            return self._ask("HEAD", what)[0] == 200
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def whole(self, name: str) -> Image:
        """All that a name stands for, every digest checked: what another client would get."""
        top = self.manifest(name)
        parsed = json.loads(top.data)
        if "manifests" in parsed:
            parts = [self.whole(entry["digest"]) for entry in parsed["manifests"]]
            documents = (*(one.top for one in parts), top)
            return Image(documents, tuple(blob for one in parts for blob in one.blobs))
        blobs = []
        for entry in (*parsed["layers"], parsed["config"]):
            data = self.blob(entry["digest"])
            assert (digest(data), len(data)) == (entry["digest"], entry["size"])
            blobs.append(Blob(data, entry["mediaType"]))
        return Image((top,), tuple(blobs))

    def tags(self) -> Sequence[str]:
        """The repository's tags; none where there is no repository."""
        try:
            return json.loads(self._ask("GET", "tags/list")[2])["tags"] or ()
        except urllib.error.HTTPError as error:
            error.close()
            return ()

    def _ask(
        self, method: str, path: str, body: bytes | None = None, media_type: str = "application/octet-stream"
    ) -> Any:
        headers = {"Accept": EVERY, "Content-Type": media_type}
        if self._authorization:
            headers["Authorization"] = self._authorization
        request = urllib.request.Request(urljoin(self._base, path), body, headers, method=method)
        with _OPENER.open(request, timeout=60) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()


# No proxy of the environment stands between the tests and this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
