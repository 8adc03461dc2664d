"""Descriptors and the two documents made of them; raw bytes are kept, since the digest depends on them.

OCI image-spec: descriptor.md, manifest.md, image-index.md; Docker's schema 2 has the same shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from orlop.core import digest as digests
from orlop.core import errors, mediatype, platform
from orlop.core.digest import Digest
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform

MAX_DOCUMENT = 8 << 20
_EMPTY: Mapping[str, str] = {}


@attrs.frozen(slots=True)
class Descriptor:
    """What a piece of content is, its digest, its size in bytes, and what is said of it."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = attrs.field(default=_EMPTY, eq=False)
    platform: Platform | None = attrs.field(default=None, eq=False)
    urls: tuple[str, ...] = attrs.field(default=(), eq=False)

    @property
    def is_attestation(self) -> bool:
        """Whether it is build provenance riding in an index, never an image to run."""
        return self.annotations.get("vnd.docker.reference.type") == "attestation-manifest"


@attrs.frozen(slots=True)
class Manifest:
    """One image: its config and its layers, lowest first. `raw` is the document as it was received."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = _EMPTY

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the document itself."""
        return Descriptor(self.media_type, digests.of_bytes(self.raw), len(self.raw))


@attrs.frozen(slots=True)
class Index:
    """A list of manifests, one a platform, or of further indexes."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = _EMPTY

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the document itself."""
        return Descriptor(self.media_type, digests.of_bytes(self.raw), len(self.raw))


def parse_document(raw: bytes, media_type: str | None = None) -> Manifest | Index:
    """Read a manifest or an index; raises `Invalid` on anything else.

    A document must not say two things (CVE-2021-41190): its own `mediaType`, if any, must equal the one it was
    served as, and it must not have both `manifests` and `layers`.
    """
    if len(raw) > MAX_DOCUMENT:
        raise errors.Invalid(f"manifest of {len(raw)} bytes is larger than the limit of {MAX_DOCUMENT}")
    data = _object(raw)
    own = data.get("mediaType")
    if own and media_type and own != media_type:
        raise errors.Invalid(f"manifest says it is {own!r} but was served as {media_type!r}")
    if "manifests" in data and ("layers" in data or "config" in data):
        raise errors.Invalid("manifest claims to be an index and an image at once")
    kind = str(own or media_type or (MediaType.OCI_INDEX if "manifests" in data else MediaType.OCI_MANIFEST))
    if data.get("schemaVersion") == 1:
        raise errors.Invalid("manifest has the old schema 1", hint="Push the image again with a current tool.")
    try:
        annotations = dict(data.get("annotations") or {})
        if mediatype.is_index(kind) and "manifests" in data:
            return Index(raw, kind, tuple(map(read, data["manifests"] or ())), annotations)
        if mediatype.is_manifest(kind) and "config" in data:
            return Manifest(raw, kind, read(data["config"]), tuple(map(read, data.get("layers") or ())), annotations)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.Invalid(f"malformed manifest: {error}") from error
    raise errors.Invalid(f"not an image manifest: {kind}", hint="Name an image; this is another kind of artifact.")


def read(data: Mapping[str, Any]) -> Descriptor:
    """A descriptor from its JSON object; `KeyError`, `TypeError` or `Invalid` when it is malformed."""
    size = data["size"]
    if not isinstance(size, int) or size < 0:
        raise errors.Invalid(f"descriptor has size {size!r}")
    where = data.get("platform")
    return Descriptor(
        str(data["mediaType"]),
        digests.parse(data["digest"]),
        size,
        dict(data.get("annotations") or {}),
        platform.normalize(where["os"], where["architecture"], where.get("variant", "")) if where else None,
        tuple(data.get("urls") or ()),
    )


def write(descriptor: Descriptor) -> dict[str, Any]:
    """The JSON object of a descriptor."""
    data: dict[str, Any] = {
        "mediaType": str(descriptor.media_type),
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.urls:
        data["urls"] = list(descriptor.urls)
    if descriptor.annotations:
        data["annotations"] = dict(descriptor.annotations)
    if descriptor.platform:
        data["platform"] = {"os": descriptor.platform.os, "architecture": descriptor.platform.architecture}
        if descriptor.platform.variant:
            data["platform"]["variant"] = descriptor.platform.variant
    return data


def make_manifest(
    config: Descriptor,
    layers: tuple[Descriptor, ...],
    media_type: str = MediaType.OCI_MANIFEST,
    annotations: Mapping[str, str] = _EMPTY,
) -> Manifest:
    """A new manifest document; the same arguments give the same bytes."""
    data: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": str(media_type),
        "config": write(config),
        "layers": [write(layer) for layer in layers],
    }
    if annotations:
        data["annotations"] = dict(annotations)
    return Manifest(encode(data), str(media_type), config, layers, annotations)


def make_index(
    manifests: tuple[Descriptor, ...],
    media_type: str = MediaType.OCI_INDEX,
    annotations: Mapping[str, str] = _EMPTY,
) -> Index:
    """A new index document; the same arguments give the same bytes."""
    data: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": str(media_type),
        "manifests": [write(manifest) for manifest in manifests],
    }
    if annotations:
        data["annotations"] = dict(annotations)
    return Index(encode(data), str(media_type), manifests, annotations)


def encode(data: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON in insertion order, the form every document of ours has."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise errors.Invalid("manifest is not JSON") from error
    if not isinstance(data, dict):
        raise errors.Invalid("manifest is not a JSON object")
    return data
