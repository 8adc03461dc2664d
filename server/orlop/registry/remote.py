"""A repository at a registry and its mirrors, as a source that images are copied from."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable
from typing import IO, TypeVar, cast

import attrs

from orlop.core import errors, mediatype
from orlop.core.content import Partials
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.registry import failures, listing, manifests
from orlop.registry.blobs import BlobStream
from orlop.registry.broken import Broken
from orlop.registry.failures import Asked
from orlop.registry.manifests import Place
from orlop.registry.transport import Endpoint, Transport
from orlop.registry.wire import Answer

# Smaller blobs are fetched anew rather than kept.
_WORTH_KEEPING = 1 << 20
_TAGS_TO_LIKEN = 1000
_Result = TypeVar("_Result")


class Remote:
    """Implements `core.content.Reader` for one repository. Thread-safe; one object for one operation.

    Every question goes to the mirrors in turn, and to the registry itself when none of them has an answer.
    """

    over_network = True

    def __init__(
        self, transport: Transport, reference: Reference, job: Job, *, partials: Partials | None = None
    ) -> None:
        self._transport = transport
        self._reference = reference
        self._job = job
        self._partials = partials
        asked = Asked(action="pull", subject=reference.familiar, domain=reference.domain, repository=reference.path)
        own = Place(transport.endpoint(reference.domain), reference.path, asked)
        mirrors = (attrs.evolve(own, endpoint=one, patient=False) for one in transport.mirrors(reference.domain))
        self._places = (*mirrors, own)
        self._dead: set[Endpoint] = set()
        self._guard = threading.Lock()
        self._documents: dict[Digest, tuple[bytes, str]] = {}

    def resolve(self, reference: Reference) -> Descriptor:
        """What a tag or a digest of this repository names; raises `ManifestUnknown` with tags that look alike."""
        if reference.repository != self._reference.repository:
            raise errors.Invalid(f"cannot look up {reference.familiar} in {self._reference.familiar_repository}")
        name = str(reference.digest) if reference.digest else reference.or_latest().tag or ""
        try:
            found, raw = self._anywhere(lambda place: manifests.resolve(self._transport, place, name, self._job))
        except errors.ManifestUnknown as error:
            raise self._with_likes(error, reference) from error
        if raw is not None:
            with self._guard:
                self._documents[found.digest] = (raw, found.media_type)
        return found

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index, verified; fetched at most once."""
        with self._guard:
            known = self._documents.get(descriptor.digest)
        if known is None:
            name = str(descriptor.digest)
            known = self._anywhere(lambda place: manifests.get(self._transport, place, name, self._job))
            with self._guard:
                self._documents[descriptor.digest] = known
        return manifests.parse(*known)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the registry has the blob or manifest."""
        place = self._places[-1]
        name = str(descriptor.digest)
        if mediatype.is_index(descriptor.media_type) or mediatype.is_manifest(descriptor.media_type):
            return manifests.exists(self._transport, place, name, self._job)
        with self._transport.request(
            "HEAD", place.endpoint, f"/v2/{place.path}/blobs/{name}", asked=place.asked, job=self._job,
            scopes=place.scopes, good=(200, 404),
        ) as answer:  # fmt: skip
            return answer.status == 200

    def open(self, descriptor: Descriptor, job: Job) -> IO[bytes]:
        """The blob's bytes from the start; the caller verifies while reading, and closes.

        What came earlier, in any process, is read from the partial download; the rest is asked for by range.
        """
        partial = None
        if self._partials is not None and descriptor.size >= _WORTH_KEEPING:
            partial = self._partials.open(descriptor, job)
        places = tuple(place for place in self._places if place.endpoint not in self._dead)
        fetch = _Fetch(self._transport, places, descriptor, job)
        return cast("IO[bytes]", BlobStream(fetch, descriptor, job, self._transport.policy, partial))

    def _anywhere(self, ask: Callable[[Place], _Result]) -> _Result:
        """What the first place answers that can; whatever a mirror does wrong sends on to the next."""
        for place in self._places[:-1]:
            if place.endpoint in self._dead:
                continue
            try:
                return ask(place)
            except errors.Cancelled:
                raise
            except errors.OrlopError as error:
                self._pass_over(place.endpoint, error)
        return ask(self._places[-1])

    def _pass_over(self, mirror: Endpoint, error: errors.OrlopError) -> None:
        """Say why, unless the mirror just does not have it; one that cannot be reached is not asked again."""
        if isinstance(error, errors.Unreachable):
            self._dead.add(mirror)
        if not isinstance(error, errors.ManifestUnknown):
            self._job.note(f"mirror {mirror.netloc}{mirror.prefix} is passed over: {error.message}", "warning")

    def _with_likes(self, error: errors.ManifestUnknown, reference: Reference) -> errors.ManifestUnknown:
        """The same error, naming tags that the repository has."""
        if reference.digest is not None:
            return error
        try:
            page = listing.tags(self._transport, self._places[-1], self._job, limit=_TAGS_TO_LIKEN)
        except errors.RegistryError:
            return error
        tag = reference.or_latest().tag or ""
        likes = difflib.get_close_matches(tag, page.items, n=3, cutoff=0.5) or sorted(page.items)[:3]
        if not likes:
            return error
        names = ", ".join(reference.with_tag(like).familiar for like in likes)
        return errors.ManifestUnknown(
            f"cannot pull {reference.familiar}: the repository has no tag {tag}",
            hint=f"Use one of its tags, for example {names}.",
            detail=error.detail,
        )


class _Fetch:
    """Asks for one blob: at the mirrors, at the registry, and last at the addresses that its descriptor names."""

    def __init__(self, transport: Transport, places: tuple[Place, ...], descriptor: Descriptor, job: Job) -> None:
        self._transport = transport
        self._descriptor = descriptor
        self._job = job
        own = f"/v2/{places[0].path}/blobs/{descriptor.digest}"
        self._sources = [(place, own) for place in places]
        if mediatype.is_foreign(descriptor.media_type):
            # Asked without authorization, as they are not of the registry's own origin (CVE-2020-15157).
            self._sources += [(places[-1], url) for url in descriptor.urls if url.startswith(("https://", "http://"))]
        self._now = 0

    def __call__(self, first: int) -> Answer:
        """The answer for the bytes from `first` on, of the first source that has any."""
        headers = {"Range": f"bytes={first}-"} if first else {}
        while True:
            place, path = self._sources[self._now]
            try:
                return self._transport.request(
                    "GET", place.endpoint, path, asked=self._asked(place), job=self._job, scopes=place.scopes,
                    headers=headers, good=(200, 206, 416) if first else (200,), retry=place.patient,
                )  # fmt: skip
            except errors.RegistryError:
                if not self.next():
                    raise

    def next(self) -> bool:
        """Go on at the next source."""
        if self._now + 1 == len(self._sources):
            return False
        self._now += 1
        return True

    def broken(self, reason: str) -> errors.RegistryError:
        """The error for a transfer that broke too often."""
        place = self._sources[self._now][0]
        return failures.from_broken(Broken("dropped", reason), place.endpoint.netloc, self._asked(place))

    def _asked(self, place: Place) -> Asked:
        return attrs.evolve(place.asked, subject=f"layer {self._descriptor.digest.short} of {place.asked.subject}")
