"""Media types of manifests, configs and layers, and the questions asked about them (OCI image-spec, media-types.md)."""

from __future__ import annotations

from enum import StrEnum


class MediaType(StrEnum):
    """Every media type the engine reads or writes."""

    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    DOCKER_FOREIGN_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    OCTET_STREAM = "application/octet-stream"


INDEXES = frozenset({MediaType.OCI_INDEX, MediaType.DOCKER_INDEX})
MANIFESTS = frozenset({MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST})
CONFIGS = frozenset({MediaType.OCI_CONFIG, MediaType.DOCKER_CONFIG})


def is_index(media_type: str) -> bool:
    """Whether it lists manifests."""
    return media_type in INDEXES


def is_manifest(media_type: str) -> bool:
    """Whether it is the manifest of one image."""
    return media_type in MANIFESTS


def is_layer(media_type: str) -> bool:
    """Whether it is a file system layer, distributable or not."""
    return media_type.startswith(
        (
            "application/vnd.oci.image.layer.",
            "application/vnd.docker.image.rootfs.diff.",
            "application/vnd.docker.image.rootfs.foreign.",
        )
    )


def is_foreign(media_type: str) -> bool:
    """Whether the layer must not be pushed (non-distributable)."""
    return ".foreign." in media_type or ".nondistributable." in media_type
