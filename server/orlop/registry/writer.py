"""A repository at a registry as a destination that images are copied to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import IO, Protocol, Self

from orlop.core import digest as digests
from orlop.core import errors, mediatype
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.registry import manifests, uploads
from orlop.registry.auth import bytes_body
from orlop.registry.failures import Asked
from orlop.registry.manifests import Place
from orlop.registry.transport import Transport
from orlop.registry.uploads import Counted, Session, Source, Target


class Stream(Protocol):
    """Bytes that are made while they go, anew for each `iter`; `descriptor` tells at the end what they were."""

    @property
    def descriptor(self) -> Descriptor | None:
        """None until all bytes have been given."""

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces."""


class RemoteWriter:
    """Implements `core.content.Writer` for one repository. Thread-safe; one object for one operation, to be closed.

    `mount_from` names other repositories of the registry that may have a blob, and `not_there` is told when one has it
    not: what they have need not travel.
    """

    def __init__(
        self,
        transport: Transport,
        reference: Reference,
        job: Job,
        *,
        mount_from: Callable[[Digest], tuple[str, ...]] = lambda _: (),
        not_there: Callable[[Digest, str], None] = lambda _, __: None,
    ) -> None:
        asked = Asked(action="push", subject=reference.familiar, domain=reference.domain, repository=reference.path)
        self._target = Target(transport, transport.endpoint(reference.domain), reference.path, asked)
        self._reference = reference
        self._job = job
        self._mount_from = mount_from
        self._not_there = not_there
        self._guard = threading.Lock()
        self._spare: list[Session] = []
        self._known: set[Digest] = set()
        self._documents: dict[Digest, Manifest | Index] = {}

    def check_push(self, job: Job) -> None:
        """Find out, before anything is prepared, whether we may push here; raises `Denied` or `Unauthorized`.

        The answer is an upload session, which the first blob then uses.
        """
        session = uploads.start(self._target, job)
        if session is not None:
            self._put_back(session)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the repository has the blob or manifest."""
        with self._guard:
            if descriptor.digest in self._known:
                return True
        document = mediatype.is_index(descriptor.media_type) or mediatype.is_manifest(descriptor.media_type)
        path = f"manifests/{descriptor.digest}" if document else f"blobs/{descriptor.digest}"
        headers = {"Accept": manifests.ACCEPT} if document else {}
        with self._target.request("HEAD", path, self._job, headers=headers, good=(200, 404)) as answer:
            found = answer.status == 200
        if found:
            self._note(descriptor)
        return found

    def mount(self, descriptor: Descriptor, job: Job) -> str | None:
        """Have the registry take the blob from another of its repositories; tells from which, None when from none."""
        for path in self._mount_from(descriptor.digest):
            if path == self._reference.path:
                continue
            try:
                session = uploads.start(self._target, job, mount=descriptor.digest, source=path)
            except (errors.Unauthorized, errors.Denied, errors.ManifestUnknown):
                # This account may not read there, or the registry does not do it.
                continue
            except errors.RegistryError as error:
                if error.status in (400, 405, 501):
                    return None
                raise
            if session is None:
                self._note(descriptor)
                return path
            self._put_back(session)
            self._not_there(descriptor.digest, path)
        return None

    def put(self, descriptor: Descriptor, source: IO[bytes], job: Job) -> None:
        """Take a blob from a stream. What was sent is lost when the connection breaks, unless `source` can seek."""
        if self.has(descriptor) or self.mount(descriptor, job):
            return
        start = source.tell() if source.seekable() else -1

        def opened() -> IO[bytes]:
            if start >= 0:
                source.seek(start)
            return _Lent(source)  # type: ignore[return-value]

        self._send(Source(descriptor.digest, descriptor.size, opened, replayable=start >= 0), descriptor, job)

    def put_from(
        self, descriptor: Descriptor, source: Callable[[], IO[bytes]], job: Job, count: Counted = lambda _: None
    ) -> None:
        """Take a blob that can be opened as often as needed; `count` is told how many bytes have gone."""
        self._send(Source(descriptor.digest, descriptor.size, source, count=count), descriptor, job)

    def put_stream(self, stream: Stream, job: Job) -> Descriptor:
        """Take a blob of unknown size and digest while it is made; returns what it was."""

        def digest() -> Digest:
            assert stream.descriptor is not None
            return stream.descriptor.digest

        def arrived() -> bool:
            return stream.descriptor is not None and self.has(stream.descriptor)

        uploads.send_stream(self._target, lambda: iter(stream), digest, job, arrived, self._take())
        assert stream.descriptor is not None
        self._note(stream.descriptor)
        return stream.descriptor

    def put_document(self, document: Manifest | Index, job: Job) -> None:
        """Take a manifest or index whose parts are all there."""
        digest = document.descriptor.digest
        self._put_document(str(digest), document, job)
        self._note(document.descriptor)
        with self._guard:
            self._documents[digest] = document

    def tag(self, reference: Reference, target: Descriptor) -> None:
        """Name a manifest of this repository."""
        name = reference.or_latest().tag
        if reference.repository != self._reference.repository or name is None:
            raise errors.Invalid(f"cannot name {reference.familiar} in {self._reference.familiar_repository}")
        with self._guard:
            document = self._documents.get(target.digest)
        if document is None:
            place = Place(self._target.endpoint, self._target.path, self._target.asked)
            document = manifests.parse(*manifests.get(self._target.transport, place, str(target.digest), self._job))
        self._put_document(name, document, self._job)

    def close(self) -> None:
        """Give up sessions that were not needed."""
        with self._guard:
            spare, self._spare = self._spare, []
        for session in spare:
            uploads.give_up(self._target, session)

    def _send(self, source: Source, descriptor: Descriptor, job: Job) -> None:
        uploads.send(self._target, source, job, lambda: self.has(descriptor), self._take())
        self._note(descriptor)

    def _put_document(self, name: str, document: Manifest | Index, job: Job) -> None:
        with self._target.request(
            "PUT", f"manifests/{name}", job, headers={"Content-Type": str(document.media_type)},
            body=bytes_body(document.raw), good=(201, 200, 202),
        ) as answer:  # fmt: skip
            told = answer.headers.get("Docker-Content-Digest", "")
        digest = document.descriptor.digest
        with contextlib.suppress(errors.Invalid):
            actual = digests.parse(told)
            if actual.algorithm == digest.algorithm and actual != digest:
                raise errors.Corrupt(
                    f"cannot {self._target.asked}: {self._target.asked.domain} keeps manifest {digest} as {actual}",
                    hint="The fault lies with the registry or a proxy before it, which changes what it takes.",
                )

    def _note(self, descriptor: Descriptor) -> None:
        with self._guard:
            self._known.add(descriptor.digest)

    def _take(self) -> Session | None:
        with self._guard:
            return self._spare.pop() if self._spare else None

    def _put_back(self, session: Session) -> None:
        with self._guard:
            self._spare.append(session)


class _Lent:
    """A stream that the caller closes."""

    def __init__(self, source: IO[bytes]) -> None:
        self.read = source.read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Leave it open."""
