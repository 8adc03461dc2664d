"""Pulling: an image from a registry into the store, of which only what is missing here travels."""

from __future__ import annotations

import os
from typing import Literal

import attrs

from orlop.core import errors, mediatype, platform
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job, TransferProgress
from orlop.core.platform import Platform
from orlop.core.reference import Reference
from orlop.registry import manifests
from orlop.registry.registries import Registries
from orlop.registry.remote import Remote
from orlop.rootfs.content import StoreContent
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.transfer.copy import copy
from orlop.transfer.select import select

Status = Literal["newer", "up-to-date"]
# A compressed layer is kept and unpacked: its tree takes at least as much again.
_SPACE_FACTOR = 2
_WAITING = "waiting"


@attrs.frozen
class Pulled:
    """What a pull brought; `digest` is what the name means at the registry, the index of a multi-platform image."""

    reference: Reference
    image: Image
    digest: Digest
    status: Status


def host_platform() -> Platform:
    """The platform of this machine."""
    return platform.of_machine(os.uname().machine)


def pull(
    store: Store, workshop: Workshop, registries: Registries, reference: Reference, wanted: Platform | None, job: Job
) -> Pulled:
    """Pull a name (`latest` unless said) for a platform, this machine's if None, and name the image so here.

    Where the registry has what is here already, one HEAD request tells. Raises registry errors, `NotFound` when there
    is no image for the platform, `Invalid` for artifacts, `DiskFull` before anything travels, `Cancelled`; what came
    of large layers is kept for the next attempt.
    """
    name = reference.or_latest()
    with store.leases.hold("pull"):
        remote = registries.reader(name, partials=store.partials, job=job)
        resolved = remote.resolve(name)
        before = _local(store, name)
        known = _known(store, name, resolved, wanted)
        if known is not None:
            _name(store, name, resolved, known)
            same = before is not None and before.id == known.id
            return Pulled(name, store.images.get(known.id), resolved.digest, "up-to-date" if same else "newer")
        image, manifest = _fetch(store, workshop, remote, name, resolved, wanted, job)
        _name(store, name, resolved, image)
    blobs = (manifest.config.digest, *(layer.digest for layer in manifest.layers))
    store.origins.note(name.domain, name.path, blobs)
    same = before is not None and before.id == image.id and not before.missing
    return Pulled(name, store.images.get(image.id), resolved.digest, "up-to-date" if same else "newer")


def _fetch(
    store: Store, workshop: Workshop, remote: Remote, name: Reference, resolved: Descriptor, wanted: Platform | None,
    job: Job,
) -> tuple[Image, Manifest]:  # fmt: skip
    document = remote.document(resolved)
    target = resolved
    if isinstance(document, Index):
        target, document = select(remote, document, wanted or host_platform(), job)
    manifests.check_image(document, name.familiar)
    content = StoreContent(store, workshop)
    _check_space(store, content, document, name)
    for layer in document.layers:
        job.tell(TransferProgress(str(layer.digest), _WAITING, 0, layer.size))
    copy(remote, content, target, None, job, platform=wanted or host_platform())
    image = store.images.by_manifest(target.digest)
    if image is None:
        raise errors.Corrupt(f"image {target.digest} went missing while it was pulled", hint="Pull it again.")
    return image, document


def _known(store: Store, name: Reference, resolved: Descriptor, wanted: Platform | None) -> Image | None:
    """The whole image that this repository is known to have under that digest, if it is for the platform."""
    image = _local(store, name.with_digest(resolved.digest))
    if image is None or image.missing:
        return None
    if mediatype.is_index(resolved.media_type):
        offered = image.config.platform
        fits = offered == wanted if wanted else offered.architecture == host_platform().architecture
        return image if fits else None
    return image


def _local(store: Store, name: Reference) -> Image | None:
    try:
        image = store.images.find(str(name))
    except errors.NotFound:
        return None
    return image if name in (*image.references, *image.repo_digests) else None


def _name(store: Store, name: Reference, resolved: Descriptor, image: Image) -> None:
    """Give the image its tag and its repository digest in one step, unless it has both."""
    full = attrs.evolve(name, digest=resolved.digest)
    tagged = name.tag is None or attrs.evolve(name, digest=None) in image.references
    if not (tagged and name.with_digest(resolved.digest) in image.repo_digests):
        store.images.tag(full, image.id)


def _check_space(store: Store, content: StoreContent, manifest: Manifest, name: Reference) -> None:
    """Refuse what cannot fit before a byte travels; the guess is the least that the layers need."""
    missing = {layer.digest: layer.size for layer in manifest.layers if not _is_here(store, content, layer)}
    need = sum(missing.values()) * _SPACE_FACTOR
    status = os.statvfs(store.root)
    free = status.f_bavail * status.f_frsize
    if need > free:
        raise errors.DiskFull(
            f"cannot pull {name.familiar}: it needs at least {_megabytes(need)}, {store.root} has {_megabytes(free)}",
            hint="Free space, for example with `orlop system prune`, or move the store with ORLOP_ROOT.",
        )


def _is_here(store: Store, content: StoreContent, layer: Descriptor) -> bool:
    diff_id = store.layers.uncompressed(layer.digest)
    return content.has(layer) or (diff_id is not None and content.has_layer(diff_id))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
