"""Registries: search, pull, push, log in and out, look around, copy and delete there."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Hashable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import attrs

from orlop.core import digest as digests
from orlop.core import errors, imageconfig, mediatype, platform
from orlop.core import reference as references
from orlop.core.descriptor import MAX_DOCUMENT, Index, Manifest
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.platform import Platform
from orlop.core.reference import HUB, Reference
from orlop.engine import pulling, pushing
from orlop.engine.pulling import Pulled
from orlop.engine.pushing import Plan, Pushed
from orlop.engine.settings import Settings
from orlop.registry.configuration import domain_of
from orlop.registry.credentials import Credential, Memory, Secret
from orlop.registry.listing import Page
from orlop.registry.registries import Registries as Clients
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.transfer.copy import Copied, copy

if TYPE_CHECKING:
    from orlop.registry.hub import SearchResult
    from orlop.registry.ratelimit import RateLimit

Remember = Literal["memory", "file"]
_MEMORY = "memory"
_PAGE = 100


@attrs.frozen
class Known:
    """A registry that has a login or settings here; `username` is empty without a login, `source` tells where it is."""

    host: str
    username: str
    source: str
    kept: Literal["", "memory", "file"]


@attrs.frozen
class LoginResult:
    """The account that a registry took, and where it is kept; both empty when it was only asked whether it answers."""

    host: str
    username: str
    source: str


@attrs.frozen
class RemoteImage:
    """What a name stands for at its registry; `size` in bytes is None for several platforms, `raw` the document."""

    reference: Reference
    digest: Digest
    media_type: str
    size: int | None
    platforms: tuple[Platform, ...]
    created: str | None
    raw: bytes


@attrs.frozen
class DeletedTag:
    """The tags that went (or would go), and those of the same image that stay."""

    reference: Reference
    digest: Digest
    deleted: tuple[str, ...]
    kept: tuple[str, ...]


class Registries:
    """The use-cases of registries. Thread-safe."""

    def __init__(self, store: Store, workshop: Workshop, settings: Settings) -> None:
        self._store = store
        self._workshop = workshop
        self._settings = settings
        self._file = settings.registry_credentials(self._note)
        self._memory = Memory(self._file, _MEMORY)
        self._guard = threading.Lock()
        self._listening: list[Job] = []
        self._flights: dict[Hashable, threading.Lock] = {}

    @cached_property
    def clients(self) -> Clients:
        """The registry client; raises `Invalid` for settings that are wrong."""
        return Clients(self._settings.registry_config(), self._memory)

    def pull(self, reference: Reference, wanted: Platform | None, job: Job) -> Pulled:
        """Pull a name; whoever pulls the same at the same time waits, and finds it here. See `pulling.pull`."""
        with self._told(job), self._alone(("pull", reference.or_latest(), wanted), job):
            return pulling.pull(self._store, self._workshop, self.clients, reference, wanted, job)

    def pull_all(self, repository: Reference, wanted: Platform | None, job: Job) -> Iterator[Pulled]:
        """Pull every tag of a repository, one after the other."""
        for tag in self.all_tags(repository, job):
            yield self.pull(repository.with_tag(tag), wanted, job)

    def all_tags(self, repository: Reference, job: Job) -> Iterator[str]:
        """Every tag that a repository has at its registry; raises `Invalid` for a name that has a tag itself."""
        if repository.tag or repository.digest:
            raise errors.Invalid(
                f"cannot pull all tags of {repository.familiar}: it names one",
                hint=f"Name the repository alone: {repository.familiar_repository}.",
            )
        cursor, seen = "", set[str]()
        while True:
            page = self.tags(repository, job, cursor=cursor, limit=1000)
            for tag in page.items:
                if tag not in seen:
                    seen.add(tag)
                    yield tag
            if not page.next or page.next == cursor:
                return
            cursor = page.next

    def ensure(self, text: str, job: Job, wanted: Platform | None = None) -> Image:
        """The newest image of a name, pulled; that of an ID as it is here. Raises what `pull` does, `ImageNotFound`."""
        name = self.pullable(text)
        if name is None:
            return self._store.images.find(text)
        return self.pull(name, wanted, job).image

    def pullable(self, text: str) -> Reference | None:
        """The name to pull; None where `text` is the ID of an image that is here."""
        with contextlib.suppress(errors.ImageNotFound, errors.InvalidReference):
            image = self._store.images.find(text)
            if text.startswith("sha256:"):
                return None
            name = references.parse(text).or_latest()
            # Hex digits may be the start of an ID.
            return name if name in (*image.references, *image.repo_digests) else None
        return references.parse(text).or_latest()

    def push(self, reference: Reference, job: Job, *, target: Reference | None = None) -> Pushed:
        """Push a name, or its image under the name `target`; see `pushing.push`."""
        image = self._store.images.find(str(reference.or_latest())) if target is not None else None
        name = (target or reference).or_latest()
        with self._told(job), self._alone(("push", name), job):
            return pushing.push(self._store, self._workshop, self.clients, name, job, image=image)

    def push_all(self, repository: Reference, job: Job) -> Iterator[Pushed]:
        """Push every name of a repository that is here; raises `ImageNotFound` when there is none."""
        for name in self.local_names(repository):
            yield self.push(name, job)

    def local_names(self, repository: Reference) -> tuple[Reference, ...]:
        """The names that images here have in a repository; raises `ImageNotFound` when there is none."""
        names = sorted(
            name for image in self._store.images.list() for name in image.references
            if name.repository == repository.repository
        )  # fmt: skip
        if not names:
            raise errors.ImageNotFound(
                f"no image of repository {repository.familiar_repository} is here",
                hint=f"Give one that name with `orlop tag IMAGE {repository.familiar_repository}`.",
            )
        return tuple(names)

    def push_plan(self, reference: Reference, job: Job, *, target: Reference | None = None) -> Plan:
        """What a push would do, after asking the registry whether it may."""
        image = self._store.images.find(str(reference.or_latest())) if target is not None else None
        with self._told(job):
            return pushing.plan(self._store, self._workshop, self.clients, target or reference, job, image=image)

    def search(
        self, term: str, limit: int, job: Job, *, official: bool | None = None, stars: int = 0
    ) -> tuple[SearchResult, ...]:
        """Search Docker Hub; `limit` is what the index is asked for, the filters choose among that, as Docker does."""
        from orlop.registry import hub  # noqa: PLC0415

        with self._told(job):
            found = hub.search(self.clients, term, limit, job)
        return tuple(item for item in found if item.stars >= stars and (official is None or item.official == official))

    def login(
        self, host: str, username: str, secret: str, job: Job, *, remember: Remember = "file", check: bool = True
    ) -> LoginResult:
        """Try an account, and keep it only if the registry takes it; without a user name only ask whether it answers.

        Raises `Unauthorized`, `Unreachable`, and `Invalid` without a secret.
        """
        host = host_of(host)
        with self._told(job):
            if not username:
                self.clients.ping(host, job)
                return LoginResult(host, "", "")
            if not secret:
                raise errors.Invalid(f"cannot log in to {host}: there is no password", hint="Give a password or token.")
            credential = Credential(username, Secret(secret))
            if check:
                credential = self.clients.login(host, credential, job)
            keeper = self._memory if remember == _MEMORY else self._file
            source = keeper.save(host, credential)
            if remember != _MEMORY and self._memory.source(host) == _MEMORY:
                self._memory.save(host, credential)
            self.clients.forget(host)
        return LoginResult(host, username, source)

    def check_login(self, host: str, job: Job) -> LoginResult:
        """Try the account that is kept; raises `Unauthorized` when it is not taken any more, or there is none."""
        host = host_of(host)
        with self._told(job):
            credential = self._memory.get(host)
            if credential is None:
                raise errors.Unauthorized(f"not logged in to {host}", hint=f"Log in with `orlop login {host}`.")
            self.clients.login(host, credential, job)
        return LoginResult(host, credential.username, self._memory.source(host))

    def saved(self, host: str) -> str:
        """The user name that is kept for a registry; empty for none."""
        credential = self._memory.get(host_of(host))
        return credential.username if credential is not None else ""

    def logout(self, host: str, *, kept: Remember | None = None) -> bool:
        """Forget the login of a registry, or only the one that is kept there; False when there was none."""
        host = host_of(host)
        gone = self._memory.drop(host) if kept == _MEMORY else (self._file if kept else self._memory).erase(host)
        self.clients.forget(host)
        return gone

    def list(self) -> tuple[Known, ...]:
        """Docker Hub, then every registry with a login or settings of its own."""
        logins = {login.host: login for login in self._memory.list()}
        hosts = dict.fromkeys((HUB, *sorted({*logins, *self.clients.config.hosts} - {HUB})))
        known = []
        for host in hosts:
            login = logins.get(host)
            if login is None:
                known.append(Known(host, "", "", ""))
            else:
                known.append(Known(host, login.username, login.source, "memory" if login.source == _MEMORY else "file"))
        return tuple(known)

    def repositories(
        self, host: str, job: Job, *, namespace: str | None = None, cursor: str = "", limit: int = _PAGE
    ) -> Page:
        """One page of repositories with their host; at Docker Hub those of a namespace, the account's by default."""
        host = host_of(host)
        with self._told(job):
            if host == HUB:
                page = self._hub_repositories(namespace, job, cursor, limit)
            else:
                page = self.clients.repositories(host, job, cursor=cursor, limit=limit)
        wanted = f"{namespace}/" if namespace and host != HUB else ""
        return Page(tuple(f"{host}/{item}" for item in page.items if item.startswith(wanted)), page.next)

    def tags(self, repository: Reference, job: Job, *, cursor: str = "", limit: int = _PAGE) -> Page:
        """One page of the tags of a repository."""
        with self._told(job):
            return self.clients.tags(repository, job, cursor=cursor, limit=limit)

    def manifest(self, reference: Reference, job: Job) -> RemoteImage:
        """What a name stands for at its registry, without pulling it."""
        name = reference.or_latest()
        with self._told(job):
            remote = self.clients.reader(name, job=job)
            resolved = remote.resolve(name)
            document = remote.document(resolved)
            created: str | None = None
            size: int | None = None
            platforms: tuple[Platform, ...]
            if isinstance(document, Index):
                platforms = _platforms(document)
            else:
                size = document.config.size + sum(layer.size for layer in document.layers)
                created, platforms = self._described(remote, document, job)
        return RemoteImage(name, resolved.digest, resolved.media_type, size, platforms, created, document.raw)

    def copy(self, source: Reference, target: Reference, job: Job) -> tuple[Reference, Copied]:
        """Copy an image, all its platforms, between registries; at one registry nothing travels that can be mounted."""
        source, target = source.or_latest(), target.or_latest()
        if target.digest is not None:
            raise errors.InvalidReference(
                f"cannot copy to {target.familiar}: a copy gives a name, not a digest", hint="Write name[:tag]."
            )
        mounts = (source.path,) if source.domain == target.domain else ()
        with self._told(job):
            reader = self.clients.reader(source, job=job)
            writer = self.clients.writer(target, job=job, mount_from=lambda _: mounts)
            try:
                writer.check_push(job)
                return target, copy(reader, writer, source, target, job)
            finally:
                writer.close()

    def remove_tag(self, reference: Reference, job: Job, *, force: bool = False, dry_run: bool = False) -> DeletedTag:
        """Delete a tag at its registry; `Conflict` names other tags that would go with it, unless forced."""
        name = reference.or_latest()
        with self._told(job):
            gone = self.clients.delete(name, job, force=force, dry_run=dry_run)
            kept: tuple[str, ...] = ()
            if not gone.manifest:
                left = self.clients.tags_of_digest(name, gone.digest, job)
                kept = tuple(tag for tag in left if tag not in gone.tags)
        return DeletedTag(name, gone.digest, gone.tags, kept)

    def create_repository(self, repository: Reference, description: str, job: Job, *, private: bool) -> Reference:
        """Create a repository at Docker Hub; raises `Unauthorized`, `Conflict`, and `Invalid` for other registries."""
        if repository.domain != HUB:
            raise errors.Invalid(
                f"cannot create repository {repository.repository}: only Docker Hub wants that",
                hint="Push to it: other registries create a repository with its first image.",
            )
        from orlop.registry import hub  # noqa: PLC0415

        namespace, _, name = repository.path.partition("/")
        with self._told(job):
            hub.create_repository(self.clients, namespace, name, description, job, private=private)
        return Reference(repository.domain, repository.path)

    def rate_limit(self, host: str) -> RateLimit | None:
        """How much a registry still allows, as it said last."""
        return self.clients.rate_limit(host_of(host))

    def close(self) -> None:
        """Close the connections."""
        if "clients" in self.__dict__:
            self.clients.close()

    def _hub_repositories(self, namespace: str | None, job: Job, cursor: str, limit: int) -> Page:
        from orlop.registry import hub  # noqa: PLC0415

        chosen = namespace or self.saved(HUB)
        if not chosen:
            raise errors.Unauthorized(
                "cannot list the repositories of docker.io: it lists only those of an account",
                hint="Log in with `orlop login`, or name an account.",
            )
        return hub.repositories(self.clients, chosen, job, cursor=cursor, limit=limit)

    def _described(self, remote: Any, document: Manifest, job: Job) -> tuple[str | None, tuple[Platform, ...]]:
        if document.config.media_type not in mediatype.CONFIGS or document.config.size > MAX_DOCUMENT:
            return None, ()
        with remote.open(document.config, job) as file:
            what = f"image configuration {document.config.digest}"
            raw = b"".join(digests.verified(file, document.config.digest, document.config.size, what))
        config = imageconfig.parse(raw)
        return config.created, (config.platform,)

    def _note(self, message: str) -> None:
        """Something about logins that whoever waits now should hear."""
        with self._guard:
            jobs = tuple(self._listening)
        for job in jobs:
            job.note(message, "warning")

    @contextlib.contextmanager
    def _told(self, job: Job) -> Iterator[None]:
        with self._guard:
            self._listening.append(job)
        try:
            yield
        finally:
            with self._guard:
                self._listening.remove(job)

    @contextlib.contextmanager
    def _alone(self, key: Hashable, job: Job) -> Iterator[None]:
        """One at a time of those with the same key; waiting wakes with `Cancelled`."""
        with self._guard:
            lock = self._flights.setdefault(key, threading.Lock())
        while not lock.acquire(timeout=0.05):
            job.checkpoint()
        try:
            yield
        finally:
            lock.release()


def host_of(text: str) -> str:
    """The registry that a person names: scheme and path go, nothing at all is Docker Hub; raises `Invalid`."""
    bare = text.strip().removeprefix("https://").removeprefix("http://").partition("/")[0]
    if not bare:
        return HUB
    host = domain_of(bare)
    if any(character.isspace() or character in "@?#\\" for character in host):
        raise errors.Invalid(f"invalid registry {text!r}", hint="Write its host, such as registry.example.com:5000.")
    return host


def parse_platform(text: str | None) -> Platform | None:
    """The platform that a person names; None for this machine's."""
    return platform.parse(text) if text else None


def document_text(raw: bytes) -> str:
    """A manifest or index as people read it."""
    return json.dumps(json.loads(raw), indent=3, ensure_ascii=False)


def _platforms(index: Index) -> tuple[Platform, ...]:
    """Those that an index has images for, attestations left out."""
    found = [entry.platform for entry in index.manifests if entry.platform is not None and not entry.is_attestation]
    return tuple(dict.fromkeys(one for one in found if one.os != "unknown"))
