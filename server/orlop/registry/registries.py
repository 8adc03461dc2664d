"""Registries: the one object through which an engine talks to every registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orlop.core.content import Partials
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.registry import listing
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Credential, Credentials
from orlop.registry.failures import Asked
from orlop.registry.listing import MOST, Page
from orlop.registry.manifests import Place
from orlop.registry.ratelimit import RateLimit
from orlop.registry.remote import Remote
from orlop.registry.transport import Transport

# What few verbs use is imported when they do.
if TYPE_CHECKING:
    from orlop.registry.deletion import Deleted
    from orlop.registry.login import Ping
    from orlop.registry.writer import RemoteWriter


class Registries:
    """Makes readers and writers, lists, logs in. Thread-safe; one for an engine, whose connections it keeps.

    Nothing is asked, and `requests` not even imported, before the first call that needs a registry. Hosts are named as
    in references: `docker.io` for Hub.
    """

    def __init__(self, config: RegistryConfig, credentials: Credentials) -> None:
        self.config = config
        self.credentials = credentials
        self.transport = Transport(config, credentials)

    def reader(self, reference: Reference, *, partials: Partials | None = None, job: Job | None = None) -> Remote:
        """A source of the images of one repository: its mirrors first, then the registry itself."""
        return Remote(self.transport, reference, job or Job(), partials=partials)

    def writer(
        self,
        reference: Reference,
        *,
        job: Job | None = None,
        mount_from: Callable[[Digest], tuple[str, ...]] = lambda _: (),
        not_there: Callable[[Digest, str], None] = lambda _, __: None,
    ) -> RemoteWriter:
        """A destination: the repository of `reference`, at the registry itself. To be closed; see `RemoteWriter`."""
        from orlop.registry.writer import RemoteWriter  # noqa: PLC0415

        return RemoteWriter(self.transport, reference, job or Job(), mount_from=mount_from, not_there=not_there)

    def inspect(self, reference: Reference, job: Job) -> tuple[Descriptor, Manifest | Index]:
        """What a name stands for at its registry, and that document."""
        remote = self.reader(reference, job=job)
        descriptor = remote.resolve(reference)
        return descriptor, remote.document(descriptor)

    def tags(self, repository: Reference, job: Job, *, cursor: str = "", limit: int = MOST) -> Page:
        """One page of the tags of a repository; `cursor` is `Page.next` of the page before."""
        return listing.tags(
            self.transport, self._place(repository, "list the tags of"), job, cursor=cursor, limit=limit
        )

    def repositories(self, host: str, job: Job, *, cursor: str = "", limit: int = MOST) -> Page:
        """One page of the repositories of a registry, where it lists them."""
        return listing.repositories(self.transport, self.transport.endpoint(host), job, cursor=cursor, limit=limit)

    def tags_of_digest(self, repository: Reference, digest: Digest, job: Job) -> tuple[str, ...]:
        """The tags that name a manifest; asks for each tag of the repository."""
        from orlop.registry import deletion  # noqa: PLC0415

        return deletion.tags_of(self.transport, self._place(repository, "list the tags of"), digest, job)

    def delete(self, reference: Reference, job: Job, *, force: bool = False, dry_run: bool = False) -> Deleted:
        """Delete a tag, or by digest a manifest; `Conflict` names other tags that would go too, unless forced."""
        from orlop.registry import deletion  # noqa: PLC0415

        place = self._place(reference, "delete")
        return deletion.delete(self.transport, place, reference, job, force=force, dry_run=dry_run)

    def ping(self, host: str, job: Job) -> Ping:
        """Whether a registry answers, and how it wants to be asked."""
        from orlop.registry import login  # noqa: PLC0415

        return login.ping(self.transport, host, job)

    def login(self, host: str, credential: Credential, job: Job) -> Credential:
        """Try an account; what to keep of it. Raises `Unauthorized`. Keeps nothing: see `credentials.save`."""
        from orlop.registry import login  # noqa: PLC0415

        return login.login(self.transport, host, credential, job)

    def account(self, host: str) -> str:
        """The user name that a registry would be shown; empty for none."""
        return self.transport.account(host)

    def forget(self, host: str) -> None:
        """Drop tokens of a registry: after a login or logout."""
        self.transport.authorizer.forget(host)

    def rate_limit(self, host: str) -> RateLimit | None:
        """How much a registry still allows, as it said last."""
        return self.transport.rate_limit(host)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def _place(self, reference: Reference, action: str) -> Place:
        asked = Asked(action=action, subject=reference.familiar, domain=reference.domain, repository=reference.path)
        return Place(self.transport.endpoint(reference.domain), reference.path, asked)
