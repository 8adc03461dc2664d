"""Manifests: asks a registry what a name stands for, and for documents, whose bytes are kept as they came.

Distribution specification, "Pulling manifests". HEAD first, since it is not counted by rate limits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import attrs

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, mediatype
from orlop.core.descriptor import MAX_DOCUMENT, Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.registry.broken import Broken
from orlop.registry.failures import Asked
from orlop.registry.transport import Endpoint, Transport
from orlop.registry.wire import Answer

# Without the OCI types some registries say that a manifest they have is unknown.
_TYPES = (MediaType.OCI_INDEX, MediaType.OCI_MANIFEST, MediaType.DOCKER_INDEX, MediaType.DOCKER_MANIFEST)
ACCEPT = ", ".join((*_TYPES, "*/*"))
_VAGUE = frozenset({"", "application/json", "text/plain", MediaType.OCTET_STREAM})
_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+"


@attrs.frozen
class Place:
    """A repository at one endpoint, and what is wanted of it."""

    endpoint: Endpoint
    path: str
    asked: Asked
    # Where there is another place to ask, no attempt is repeated.
    patient: bool = True

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token must allow."""
        return (f"repository:{self.path}:pull",)


def resolve(transport: Transport, place: Place, name: str, job: Job) -> tuple[Descriptor, bytes | None]:
    """What a tag or digest names, and its document if it had to be fetched; raises `ManifestUnknown` and others."""
    found = None if ":" in name else _head(transport, place, name, job)
    if found is not None:
        return found, None
    raw, media_type = get(transport, place, name, job)
    return Descriptor(media_type, _named_digest(raw, name), len(raw)), raw


def get(transport: Transport, place: Place, name: str, job: Job) -> tuple[bytes, str]:
    """A document's bytes, verified when `name` is a digest, and the media type it has.

    Raises `Corrupt`, `Invalid` for what is no manifest or an outdated one, and registry errors.
    """
    raw, headers = _whole(transport, place, name, job)
    media_type = _media_type(headers)
    if media_type.startswith(_SCHEMA1):
        raise errors.Invalid(
            f"cannot {place.asked}: the image has the outdated manifest schema 1",
            hint="Push it again with a tool of this decade, and pull that.",
        )
    # Not before: the digest of a signed schema 1 is that of a part of it.
    _check_digest(raw, name, headers.get("Docker-Content-Digest", ""))
    document = descriptors.parse_document(raw, None if media_type in _VAGUE else media_type)
    return raw, document.media_type


def parse(raw: bytes, media_type: str) -> Manifest | Index:
    """The document of bytes that `get` gave."""
    return descriptors.parse_document(raw, media_type)


def exists(transport: Transport, place: Place, name: str, job: Job) -> bool:
    """Whether the repository has a manifest of that tag or digest."""
    with _asked(transport, place, "HEAD", name, job, good=(200, 404)) as answer:
        return answer.status == 200


def check_image(manifest: Manifest, subject: str) -> None:
    """Raise `Invalid` for an artifact (a chart, a signature, …) that has a manifest but cannot be run."""
    if manifest.config.media_type not in mediatype.CONFIGS:
        raise errors.Invalid(
            f"cannot use {subject} as an image: it is an artifact of type {manifest.config.media_type}",
            hint="Fetch it with the tool that it is made for; it can only be copied between registries.",
        )


def _whole(transport: Transport, place: Place, name: str, job: Job) -> tuple[bytes, Mapping[str, str]]:
    """A document and the headers it came with; asked for again when the connection breaks in the middle."""
    attempt = 0
    while True:
        attempt += 1
        with _asked(transport, place, "GET", name, job) as answer:
            try:
                return answer.read_all(MAX_DOCUMENT), answer.headers
            except Broken as broken:
                wait = transport.policy.wait(attempt) if place.patient else None
                if wait is None:
                    raise errors.Unreachable(
                        f"cannot {place.asked}: the manifest did not come whole: {broken.text}",
                        hint=f"Check the network to {place.endpoint.netloc}, and try again.",
                    ) from broken
        if job.token.wait(wait):
            job.checkpoint()


def _head(transport: Transport, place: Place, name: str, job: Job) -> Descriptor | None:
    """What HEAD tells; None when that is not enough, or no: then GET gives a reason."""
    with _asked(transport, place, "HEAD", name, job, good=(200, 400, 401, 403, 404, 405, 501)) as answer:
        if answer.status != 200:
            return None
        length = answer.headers.get("Content-Length", "")
        media_type = _media_type(answer.headers)
        try:
            digest = digests.parse(answer.headers.get("Docker-Content-Digest", ""))
        except errors.Invalid:
            return None
    known = mediatype.is_index(media_type) or mediatype.is_manifest(media_type)
    if not known or not length.isdigit() or not 0 < int(length) <= MAX_DOCUMENT:
        return None
    return Descriptor(media_type, digest, int(length))


def _check_digest(raw: bytes, name: str, announced: str) -> None:
    for text in filter(None, (name if ":" in name else "", announced)):
        try:
            expected = digests.parse(text)
        except errors.Invalid:
            continue
        actual = Digest(expected.algorithm, hashlib.new(expected.algorithm, raw).hexdigest())
        if actual != expected:
            raise errors.Corrupt(
                f"manifest {expected} came with digest {actual}",
                hint="Try again; if it stays so, the registry or a proxy before it changes what it passes on.",
            )


def _named_digest(raw: bytes, name: str) -> Digest:
    return digests.parse(name) if ":" in name else digests.of_bytes(raw)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _asked(
    transport: Transport, place: Place, method: str, name: str, job: Job, *, good: tuple[int, ...] = (200,)
) -> Answer:
    return transport.request(
        method,
        place.endpoint,
        f"/v2/{place.path}/manifests/{name}",
        asked=place.asked,
        job=job,
        scopes=place.scopes,
        headers={"Accept": ACCEPT},
        good=good,
        retry=place.patient,
    )
