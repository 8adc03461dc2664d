"""Docker Hub beyond the registry protocol: search, the repositories of an account, new repositories.

Search is the index's `GET /v1/search`, the rest Hub's API (`/v2/auth/token`, `/v2/namespaces/…`). Mirrors of docker.io
have neither, so they are never asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.core.reference import HUB
from orlop.registry import failures, tls
from orlop.registry.auth import bytes_body
from orlop.registry.broken import Broken
from orlop.registry.credentials import Credential
from orlop.registry.failures import Asked
from orlop.registry.listing import Page
from orlop.registry.registries import Registries
from orlop.registry.transport import Endpoint
from orlop.registry.wire import Answer

# What the index accepts for `n`, and what it takes when nothing is said.
MOST_RESULTS, USUAL_RESULTS = 100, 25
_PAGE = 100
_LIMIT = 16 << 20


@attrs.frozen
class SearchResult:
    """One repository that a search found; the official ones have no `library/`."""

    name: str
    description: str
    stars: int
    official: bool
    automated: bool = False


def search(registries: Registries, term: str, limit: int, job: Job) -> tuple[SearchResult, ...]:
    """Repositories that fit `term`, in the index's order, at most `limit` (1 to 100) of them."""
    if not 1 <= limit <= MOST_RESULTS:
        raise errors.Invalid(
            f"limit {limit} is outside the range of [1, {MOST_RESULTS}]", hint=f"Ask for 1 to {MOST_RESULTS} results."
        )
    asked = Asked(action="search", subject="Docker Hub", domain=HUB)
    index = urlsplit(registries.config.hub_index)
    endpoint = Endpoint(HUB, index.netloc, index.path, index.scheme)
    path = f"/v1/search?{urlencode({'q': _term(term), 'n': limit})}"
    with registries.transport.request("GET", endpoint, path, asked=asked, job=job) as answer:
        data = _read(answer, asked)
    found = data.get("results")
    if not isinstance(found, list):
        raise _not_hub(asked)
    return tuple(_result(item) for item in found if isinstance(item, dict) and item.get("name"))[:limit]


def repositories(registries: Registries, namespace: str, job: Job, *, cursor: str = "", limit: int = _PAGE) -> Page:
    """One page of the repositories of an account or organization, as `namespace/name`; private ones with a login."""
    asked = Asked(action="list the repositories of", subject=f"{HUB}/{namespace}", domain=HUB)
    page = int(cursor) if cursor.isdigit() else 1
    query = urlencode({"page": page, "page_size": max(1, min(limit, _PAGE))})
    token = _token(registries, asked, job, needed=False)
    data = _call(
        registries, "GET", f"/v2/namespaces/{quote(namespace, safe='')}/repositories?{query}", asked, token, job
    )
    found = data.get("results")
    if not isinstance(found, list):
        raise _not_hub(asked)
    names = tuple(f"{namespace}/{item['name']}" for item in found if isinstance(item, dict) and item.get("name"))
    return Page(names, _page_after(data.get("next")))


def create_repository(
    registries: Registries, namespace: str, name: str, description: str, job: Job, *, private: bool
) -> None:
    """Create `namespace/name`; raises `Unauthorized` without a login, `Conflict` when it is there already."""
    asked = Asked(action="create", subject=f"{HUB}/{namespace}/{name}", domain=HUB, repository=f"{namespace}/{name}")
    token = _token(registries, asked, job, needed=True)
    body = {
        "namespace": namespace, "name": name, "description": description, "registry": "docker", "is_private": private,
    }  # fmt: skip
    _call(registries, "POST", _repositories(namespace), asked, token, job, body=body)


def _repositories(namespace: str) -> str:
    return f"/v2/namespaces/{quote(namespace, safe='')}/repositories"


def _token(registries: Registries, asked: Asked, job: Job, *, needed: bool) -> str:
    """A short-lived token of Hub's API for the account that is logged in; empty for nobody."""
    credential = registries.credentials.get(HUB)
    if credential is None or not credential.username or credential.identity_token or credential.registry_token:
        if not needed:
            return ""
        raise errors.Unauthorized(
            f"cannot {asked}: it needs a login with user name and password or access token",
            hint="Log in with `orlop login`, then try again.",
        )
    return _exchange(registries, credential, asked, job)


def _exchange(registries: Registries, credential: Credential, asked: Asked, job: Job) -> str:
    body = {"identifier": credential.username, "secret": credential.secret.value}
    known = attrs.evolve(asked, account=credential.username, source=registries.credentials.source(HUB))
    data = _call(registries, "POST", "/v2/auth/token", known, "", job, body=body)
    token = data.get("access_token")
    if not isinstance(token, str) or not token:
        raise _not_hub(asked)
    return token


def _call(
    registries: Registries, method: str, path: str, asked: Asked, token: str, job: Job,
    *, body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One call of Hub's API; redirects are not followed, for the token is for Hub alone."""
    url = f"{registries.config.hub_api}{path}"
    netloc = urlsplit(url).netloc
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
        asked = attrs.evolve(asked, account=registries.account(HUB), source=registries.credentials.source(HUB))
    if body is not None:
        headers["Content-Type"] = "application/json"
    payload = bytes_body(json.dumps(body).encode()) if body is not None else None
    try:
        answer = registries.transport.wire.send(
            method, url, headers, job, body=payload, verify=tls.verifies(registries.config, netloc)
        )
    except Broken as broken:
        raise failures.from_broken(broken, netloc, asked) from broken
    with answer:
        if answer.status in (200, 201):
            return _read(answer, asked)
        try:
            raw = answer.read_all(_LIMIT)
        except Broken:
            raw = b""
    said = failures.read(raw, answer.headers.get("Content-Type", "")).text
    if answer.status == 409 or (answer.status == 400 and "already exist" in said.lower()):
        raise errors.Conflict(
            f"cannot {asked}: it exists already", hint="Push to it, or choose another name.", detail=said or None
        )
    raise failures.from_answer(answer.status, answer.headers, raw, asked)


def _read(answer: Answer, asked: Asked) -> dict[str, Any]:
    try:
        data = json.loads(answer.read_all(_LIMIT))
    except Broken as broken:
        raise errors.Unreachable(
            f"cannot {asked}: the answer did not come whole: {broken.text}", hint="Try again."
        ) from broken
    except (ValueError, RecursionError) as error:
        raise _not_hub(asked) from error
    if not isinstance(data, dict):
        raise _not_hub(asked)
    return data


def _result(item: Mapping[str, Any]) -> SearchResult:
    stars = item.get("star_count")
    return SearchResult(
        name=str(item["name"]).removeprefix("library/"),
        description=str(item.get("description") or ""),
        stars=stars if isinstance(stars, int) else 0,
        official=item.get("is_official") is True,
        automated=item.get("is_automated") is True,
    )


def _term(term: str) -> str:
    """The index wants a bare name: `docker.io/` before it is dropped."""
    for host in (f"{HUB}/", "index.docker.io/"):
        term = term.removeprefix(host)
    return term.removeprefix("library/")


def _page_after(url: Any) -> str:
    if not isinstance(url, str):
        return ""
    pages = parse_qs(urlsplit(url).query).get("page", [])
    return pages[0] if pages and pages[0].isdigit() else ""


def _not_hub(asked: Asked) -> errors.RegistryError:
    return errors.RegistryError(
        f"cannot {asked}: the answer is not that of Docker Hub",
        hint="Check hub-index and hub-api in [registries] of config.toml, and the proxy settings.",
    )
