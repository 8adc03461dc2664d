"""Transport: one request to a registry, with authorization, retries, redirects and errors that say what to do."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.core.reference import HUB
from orlop.registry import challenge, configuration, failures, ratelimit, retrying, tls
from orlop.registry.auth import Authorizer, Grant, Place, origin_of
from orlop.registry.broken import Broken
from orlop.registry.challenge import Challenge
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Credentials
from orlop.registry.failures import Asked
from orlop.registry.ratelimit import RateLimit
from orlop.registry.wire import Answer, Body, Wire

WIRE_HUB = "registry-1.docker.io"
ERROR_LIMIT = 64 << 10
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 10
_RENEWALS = 2
# A reused connection may have been closed at the other end just now: that is worth a try at once.
_AT_ONCE = 0.05
_SOON = 0.3


@attrs.frozen
class Endpoint:
    """One place that serves a registry's content: itself or a mirror.

    `domain` is what credentials and settings go by; `netloc` and `prefix` are where it is; `scheme` is empty when it
    must be found out; `mirrored` is the domain that a mirror stands for.
    """

    domain: str
    netloc: str
    prefix: str = ""
    scheme: str = ""
    mirrored: str = ""


@attrs.frozen
class _Origin:
    url: str
    verify: bool


class Transport:
    """Talks to any number of registries. Thread-safe; one connection is kept for each thread that talks at once."""

    def __init__(
        self, config: RegistryConfig, credentials: Credentials, *, wire: Wire | None = None, offline: bool = False
    ) -> None:
        self.config = config
        self.wire = wire or Wire(config)
        self.policy = retrying.Policy(config.attempts, config.backoff)
        self.authorizer = Authorizer(credentials, self.wire, self.policy, offline=offline)
        self._guard = threading.Lock()
        self._origins: dict[Endpoint, _Origin] = {}
        self._limits: dict[str, RateLimit] = {}
        self._warned: set[str] = set()

    def endpoint(self, domain: str) -> Endpoint:
        """The registry of a domain itself."""
        host = self.config.host(domain)
        return Endpoint(domain, WIRE_HUB if domain == HUB else domain, host.path_prefix)

    def mirrors(self, domain: str) -> tuple[Endpoint, ...]:
        """The mirrors of a domain, in the order in which they are to be tried."""
        found = []
        for url in self.config.host(domain).mirrors:
            parts = urlsplit(url)
            found.append(
                Endpoint(configuration.domain_of(parts.netloc), parts.netloc, parts.path, parts.scheme, domain)
            )
        return tuple(found)

    def request(
        self,
        method: str,
        endpoint: Endpoint,
        path: str,
        *,
        asked: Asked,
        job: Job,
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        good: Collection[int] = (200,),
        retry: bool = True,
    ) -> Answer:
        """The answer, whose status is one of `good`; anything else raises the fitting `RegistryError`.

        `path` begins with `/v2/`, or is a whole URL (a `Location`): authorization goes to the registry's own origin
        only. Broken connections and the statuses that ask for patience are tried again unless `retry` is False or the
        body cannot be replayed.
        """
        attempt = 0
        while True:
            attempt += 1
            job.checkpoint()
            netloc = endpoint.netloc
            wait: float | None
            try:
                answer, grant = self._authorized(method, endpoint, path, asked, job, scopes, headers or {}, body)
            except Broken as broken:
                wait = self._patience(broken, attempt) if retry and (body is None or body.replayable) else None
                if wait is None:
                    raise failures.from_broken(broken, netloc, self._with_account(asked, endpoint, None)) from broken
                reason = broken.text
            else:
                self._take_notes(endpoint, answer, job)
                if answer.status in good:
                    # What a blob is called does not matter: its bytes are verified.
                    blob = method == "GET" and "/blobs/" in path
                    if not blob and failures.is_web_page(answer.status, answer.headers):
                        answer.close()
                        raise failures.web_page(netloc, asked)
                    return answer
                wait = None
                if answer.status in retrying.STATUSES and retry and (body is None or body.replayable):
                    wait = self.policy.wait(attempt, answer.headers)
                if wait is None:
                    raise self._failure(answer, self._with_account(asked, endpoint, grant))
                reason = f"status {answer.status}"
                answer.close()
            if wait >= 1:
                job.note(f"{netloc}: {reason}; trying again in {retrying.human(wait)}", "warning")
            if job.token.wait(wait):
                job.checkpoint()

    def account(self, domain: str) -> str:
        """The user name that a registry would be shown; empty for none."""
        credential = self.authorizer.credentials.get(domain)
        return credential.username if credential is not None else ""

    def rate_limit(self, domain: str) -> RateLimit | None:
        """What the registry said last about how much it still allows."""
        with self._guard:
            return self._limits.get(domain)

    def origin(self, endpoint: Endpoint, job: Job) -> str:
        """Scheme, host and port that the endpoint is asked at; raises `Broken`."""
        return self._origin(endpoint, job).url

    def close(self) -> None:
        """Close the idle connections."""
        self.wire.close()

    def _authorized(
        self, method: str, endpoint: Endpoint, path: str, asked: Asked, job: Job, scopes: tuple[str, ...],
        headers: Mapping[str, str], body: Body | None,
    ) -> tuple[Answer, Grant | None]:  # fmt: skip
        """Send with what we may show; a challenge is answered, an insufficient token widened once."""
        origin = self._origin(endpoint, job)
        place = Place(endpoint.domain, origin.url)
        url = path if "://" in path else f"{origin.url}{endpoint.prefix}{path}"
        if endpoint.mirrored and endpoint.mirrored != endpoint.domain and "://" not in path:
            url += f"{'&' if '?' in url else '?'}ns={endpoint.mirrored}"
        inside = origin_of(url) == origin.url
        grant = self.authorizer.known(place, scopes, asked, job) if inside else None
        fresh = False
        for renewal in range(_RENEWALS + 1):
            answer = self._followed(method, url, origin, endpoint, grant, headers, body, asked, job)
            challenges = _challenges(answer) if inside and answer.status in (401, 403) else ()
            if answer.status == 403 and not any(one.error == "insufficient_scope" for one in challenges):
                break
            if not challenges or renewal == _RENEWALS or origin_of(answer.url) != origin.url:
                break
            if body is not None and not body.replayable:
                break
            try:
                renewed = self.authorizer.renew(place, challenges, scopes, grant, asked, job, fresh=fresh)
            except BaseException:
                answer.close()
                raise
            if renewed is None:
                break
            answer.close()
            grant, fresh = renewed, True
        return answer, grant

    def _followed(
        self, method: str, url: str, origin: _Origin, endpoint: Endpoint, grant: Grant | None,
        headers: Mapping[str, str], body: Body | None, asked: Asked, job: Job,
    ) -> Answer:  # fmt: skip
        """Send, and follow redirects: what is ours alone stays at the registry's origin."""
        own = dict(self.config.host(endpoint.domain).headers)
        if grant is not None:
            own["Authorization"] = grant.header
        for _ in range(_MAX_REDIRECTS):
            inside = origin_of(url) == origin.url
            sent = {**headers, **own} if inside else dict(headers)
            verify = origin.verify if inside else tls.verifies(self.config, urlsplit(url).netloc)
            answer = self.wire.send(method, url, sent, job, body=body, verify=verify)
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not target:
                return answer
            if method not in ("GET", "HEAD") and (
                answer.status not in (307, 308) or (body is not None and not body.replayable)
            ):
                return answer
            following = answer.resolve(target)
            answer.close()
            self._check_redirect(url, following, asked)
            url = following
        raise errors.RegistryError(
            f"cannot {asked}: {endpoint.netloc} redirects without end", hint="The fault lies with the registry."
        )

    def _check_redirect(self, url: str, following: str, asked: Asked) -> None:
        before, after = urlsplit(url), urlsplit(following)
        if after.scheme == "https" or (after.scheme == "http" and before.scheme == "http"):
            return
        if after.scheme == "http" and (
            self.config.host(after.netloc).insecure or configuration.is_loopback(after.netloc)
        ):
            return
        raise errors.RegistryError(
            f"cannot {asked}: {before.netloc} redirects to {after.scheme}://{after.netloc}, which is not encrypted",
            hint=f'Set insecure = true in [registries.hosts."{after.netloc}"] of config.toml if that is intended.',
        )

    def _origin(self, endpoint: Endpoint, job: Job) -> _Origin:
        with self._guard:
            known = self._origins.get(endpoint)
        if known is None:
            known = self._find_origin(endpoint, job)
            with self._guard:
                self._origins[endpoint] = known
        return known

    def _find_origin(self, endpoint: Endpoint, job: Job) -> _Origin:
        """HTTPS, unless the place is this machine or said to be insecure: then what it really speaks."""
        host = self.config.host(endpoint.domain)
        if endpoint.scheme:
            return _Origin(_url(endpoint.scheme, endpoint.netloc), not host.insecure)
        if host.insecure:
            ways = (("https", False), ("http", True))
        elif configuration.is_loopback(endpoint.netloc) and not tls.has_own_authority(self.config, host):
            ways = (("http", True), ("https", False))
        else:
            return _Origin(_url("https", endpoint.netloc), verify=True)
        first: Broken | None = None
        for scheme, verify in ways:
            origin = _Origin(_url(scheme, endpoint.netloc), verify)
            try:
                with self.wire.send("GET", f"{origin.url}{endpoint.prefix}/v2/", {}, job, verify=verify) as answer:
                    if answer.status == 400 and scheme == "http" and b"HTTPS" in answer.read_all(ERROR_LIMIT):
                        continue
                    if answer.status == 401:
                        self.authorizer.learn(Place(endpoint.domain, origin.url), _challenges(answer))
                    return origin
            except Broken as broken:
                first = first or broken
        raise first or Broken("dropped", "it speaks neither HTTP nor HTTPS")

    def _patience(self, broken: Broken, attempt: int) -> float | None:
        """How long to wait before the next attempt: chance is given more of them than a closed door."""
        if broken.kind in ("dropped", "connect", "name") and attempt == 1 and self.policy.attempts > 1:
            return _AT_ONCE if broken.kind == "dropped" else _SOON
        return self.policy.wait(attempt) if broken.kind in ("dropped", "timeout") else None

    def _take_notes(self, endpoint: Endpoint, answer: Answer, job: Job) -> None:
        limit = ratelimit.read(answer.headers)
        if limit is not None:
            with self._guard:
                self._limits[endpoint.domain] = limit
        for warning in answer.header_lines("Warning"):
            code, _, rest = warning.partition(" ")
            text = rest.partition('"')[2].rpartition('"')[0]
            if code != "299" or not text:
                continue
            with self._guard:
                new = warning not in self._warned and len(self._warned) < 100
                self._warned.add(warning)
            if new:
                job.note(f"{endpoint.netloc} says: {text[:500]}", "warning")

    def _failure(self, answer: Answer, asked: Asked) -> errors.RegistryError:
        with answer:
            body = b""
            # A 416 may announce a length that never comes.
            if answer.status != 416 and answer.method != "HEAD":
                try:
                    body = answer.read_all(ERROR_LIMIT)
                except (Broken, errors.Invalid):
                    body = b""
            # A fresh token that does not reach: the login is right, the right is missing.
            short = asked.account and any(one.error == "insufficient_scope" for one in _challenges(answer))
            status = 403 if short and answer.status == 401 else answer.status
            error = failures.from_answer(status, answer.headers, body, asked)
            error.status = answer.status
            error.after = retrying.retry_after(answer.headers) or 0.0
            error.codes = failures.read(body, answer.headers.get("Content-Type", "")).codes
            return error

    def _with_account(self, asked: Asked, endpoint: Endpoint, grant: Grant | None) -> Asked:
        asked = attrs.evolve(asked, domain=endpoint.domain)
        if grant is None or not grant.account:
            return asked
        source = self.authorizer.credentials.source(endpoint.domain)
        return attrs.evolve(asked, account=grant.account, source=source)


def _challenges(answer: Answer) -> tuple[Challenge, ...]:
    return tuple(one for line in answer.header_lines("WWW-Authenticate") for one in challenge.parse(line))


def _url(scheme: str, netloc: str) -> str:
    return origin_of(f"{scheme}://{netloc}")
