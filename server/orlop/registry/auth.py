"""Authorization: answers a registry's challenge with a password or with a token that its token service gives.

Distribution specification of tokens: GET with Basic first, since not every service has the OAuth2 form; that form
(POST) for identity tokens. Tokens are kept until shortly before they end, and fetched once however many threads ask.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlencode, urljoin, urlsplit

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.registry import failures, realms, retrying, tls
from orlop.registry.broken import Broken
from orlop.registry.challenge import Challenge, choose
from orlop.registry.credentials import Credential, Credentials
from orlop.registry.failures import Asked
from orlop.registry.wire import Answer, Body, Wire

_CLIENT = "orlop"
_LIMIT = 1 << 20
_SHORTEST = 60.0
_REDIRECTS = 5


@attrs.frozen
class Place:
    """Who is asked: the domain that credentials are for, and the origin (`https://host:port`) that may see them."""

    domain: str
    origin: str


@attrs.frozen(repr=False)
class Grant:
    """The `Authorization` header, for which account, and until when (`time.monotonic`) it can be used."""

    header: str
    account: str
    scopes: tuple[str, ...]
    ends: float
    # What came with a token when a lasting one was asked for.
    identity: str = ""


class Authorizer:
    """Keeps challenges and tokens of any number of registries. Thread-safe."""

    def __init__(
        self,
        credentials: Credentials,
        wire: Wire,
        policy: retrying.Policy,
        *,
        offline: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.credentials = credentials
        self._wire = wire
        self._policy = policy
        self._offline = offline
        self._now = now
        self._guard = threading.Lock()
        self._challenges: dict[Place, Challenge] = {}
        self._grants: dict[tuple[Place, tuple[str, ...]], Grant] = {}
        self._locks: dict[tuple[Place, tuple[str, ...]], threading.Lock] = {}

    def learn(self, place: Place, challenges: Iterable[Challenge]) -> Challenge | None:
        """Remember how a registry wants to be asked; None when it is in no way we know."""
        challenge = choose(challenges)
        if challenge is not None:
            with self._guard:
                self._challenges[place] = challenge
        return challenge

    def known(self, place: Place, scopes: tuple[str, ...], asked: Asked, job: Job) -> Grant | None:
        """What to show to a registry that has asked for it before; None for one that has not, or without account."""
        with self._guard:
            challenge = self._challenges.get(place)
        return None if challenge is None else self._grant(place, challenge, scopes, scopes, None, asked, job)

    def renew(
        self, place: Place, challenges: tuple[Challenge, ...], scopes: tuple[str, ...], refused: Grant | None,
        asked: Asked, job: Job, *, fresh: bool,
    ) -> Grant | None:  # fmt: skip
        """What to show instead of what was refused; None when there is nothing else to try.

        `fresh` tells that `refused` was made for this very request: then only a scope it lacks is worth another.
        """
        challenge = self.learn(place, challenges)
        if challenge is None:
            return None
        missing = tuple(
            scope for scope in challenge.scopes if not _covers(refused.scopes if refused else scopes, scope)
        )
        if refused is not None and fresh and not (missing and challenge.scheme == "bearer"):
            return None
        # Some services look only at the first scope.
        wanted = (*missing, *(scope for scope in scopes if scope not in missing))
        grant = self._grant(place, challenge, scopes, wanted, refused, asked, job)
        return None if grant is None or (refused is not None and grant.header == refused.header) else grant

    def forget(self, domain: str) -> None:
        """Drop what is kept of a registry, as after a login."""
        with self._guard:
            for key in [key for key in self._grants if key[0].domain == domain]:
                del self._grants[key]

    def _grant(
        self, place: Place, challenge: Challenge, scopes: tuple[str, ...], wanted: tuple[str, ...],
        refused: Grant | None, asked: Asked, job: Job,
    ) -> Grant | None:  # fmt: skip
        key = (place, () if challenge.scheme == "basic" else scopes)
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        while not lock.acquire(timeout=0.1):
            job.checkpoint()
        try:
            with self._guard:
                grant = self._grants.get(key)
            if grant is not None and grant != refused and grant.ends > self._now():
                return grant
            grant = self._make(place, challenge, wanted, asked, job)
            with self._guard:
                if grant is None:
                    self._grants.pop(key, None)
                else:
                    self._grants[key] = grant
            return grant
        finally:
            lock.release()

    def _make(
        self, place: Place, challenge: Challenge, scopes: tuple[str, ...], asked: Asked, job: Job
    ) -> Grant | None:
        credential = self.credentials.get(place.domain, asked.repository)
        if credential is not None and credential.registry_token:
            return Grant(f"Bearer {credential.secret.value}", credential.username, scopes, float("inf"))
        if challenge.scheme == "basic":
            if credential is None:
                return None
            return Grant(_basic(credential), credential.username, (), self._now() + 300)
        if credential is not None:
            asked = attrs.evolve(asked, account=credential.username, source=self.credentials.source(place.domain))
        data = self._token(place, challenge, scopes, credential, asked, job)
        token = data.get("token") or data.get("access_token")
        if not isinstance(token, str) or not token or not token.isprintable() or " " in token:
            raise errors.RegistryError(
                f"cannot {asked}: the token service of {place.domain} gave no token",
                hint="Try again later; the fault lies with the registry.",
            )
        lasts = data.get("expires_in")
        seconds = max(_SHORTEST, float(lasts)) if isinstance(lasts, int | float) else _SHORTEST
        identity = data.get("refresh_token")
        return Grant(
            f"Bearer {token}",
            credential.username if credential is not None else "",
            scopes,
            self._now() + seconds - min(30.0, seconds / 4),
            identity if isinstance(identity, str) else "",
        )

    def _token(
        self, place: Place, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None,
        asked: Asked, job: Job,
    ) -> dict[str, object]:  # fmt: skip
        realms.check(challenge.realm, place, asked)
        get = _get_url(challenge, scopes, credential, offline=self._offline)
        basic = {} if credential is None else {"Authorization": _basic(credential)}
        form = None if credential is None else _form(challenge, scopes, credential, offline=self._offline)
        tries: list[tuple[str, str, dict[str, str], bytes | None]] = [("GET", get, basic, None)]
        if form is not None:
            tries.append(("POST", challenge.realm, {}, form))
        if credential is not None and credential.identity_token:
            tries.reverse()
        raw = b""
        for number, (method, url, headers, body) in enumerate(tries, 1):
            with self._ask(method, url, headers, body, place, asked, job) as answer:
                # Not every token service knows both ways.
                if answer.status in (404, 405) and number < len(tries):
                    continue
                raw = answer.read_all(_LIMIT)
                if answer.status != 200:
                    raise failures.from_answer(answer.status, answer.headers, raw, asked)
                break
        try:
            data = json.loads(raw)
        except (ValueError, RecursionError):
            data = None
        return data if isinstance(data, dict) else {}

    def _ask(
        self, method: str, url: str, headers: dict[str, str], form: bytes | None, place: Place, asked: Asked, job: Job
    ) -> Answer:
        """Ask the token service, with patience; redirects are followed for GET, without the password elsewhere."""
        attempt = redirects = 0
        sent = {"Accept": "application/json", **headers}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        while True:
            attempt += 1
            netloc = urlsplit(url).netloc
            try:
                answer = self._wire.send(
                    method, url, sent, job,
                    body=None if form is None else bytes_body(form),
                    verify=tls.verifies(self._wire.config, netloc),
                )  # fmt: skip
            except Broken as broken:
                wait = self._policy.wait(attempt) if broken.kind in ("timeout", "dropped", "connect") else None
                if wait is None:
                    raise failures.from_broken(broken, netloc, asked) from broken
            else:
                target = answer.headers.get("Location", "")
                if answer.status in (301, 302, 303, 307, 308) and method == "GET" and target and redirects < _REDIRECTS:
                    answer.close()
                    redirects += 1
                    attempt -= 1
                    url, before = urljoin(url, target), url
                    realms.check(url, place, asked)
                    if origin_of(url) != origin_of(before):
                        sent.pop("Authorization", None)
                    continue
                wait = self._policy.wait(attempt, answer.headers) if answer.status in retrying.STATUSES else None
                if wait is None:
                    return answer
                answer.close()
            if job.token.wait(wait):
                job.checkpoint()


def bytes_body(data: bytes) -> Body:
    """A body that is in memory."""
    return Body(len(data), lambda: iter((data,)))


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, the default port left out."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.secret.value}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _get_url(challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None, *, offline: bool) -> str:
    query: list[tuple[str, str]] = [("service", challenge.service)] if challenge.service else []
    query += [("scope", scope) for scope in scopes]
    query.append(("client_id", _CLIENT))
    if credential is not None:
        query.append(("account", credential.username))
        if offline:
            query.append(("offline_token", "true"))
    joint = "&" if urlsplit(challenge.realm).query else "?"
    return f"{challenge.realm}{joint}{urlencode(query, quote_via=quote, safe=':/,')}"


def _form(challenge: Challenge, scopes: tuple[str, ...], credential: Credential, *, offline: bool) -> bytes:
    fields = {"service": challenge.service, "client_id": _CLIENT, "scope": " ".join(scopes)}
    if credential.identity_token:
        fields |= {"grant_type": "refresh_token", "refresh_token": credential.secret.value}
    else:
        fields |= {"grant_type": "password", "username": credential.username, "password": credential.secret.value}
        if offline:
            fields["access_type"] = "offline"
    return urlencode({name: value for name, value in fields.items() if value}).encode()


def _covers(scopes: tuple[str, ...], wanted: str) -> bool:
    """Whether one of the scopes allows all that `wanted` does (`repository:x:pull,push` covers `…:pull`)."""
    name, _, actions = wanted.rpartition(":")
    for scope in scopes:
        own, _, allowed = scope.rpartition(":")
        if own == name and (allowed == "*" or set(actions.split(",")) <= set(allowed.split(","))):
            return True
    return False
