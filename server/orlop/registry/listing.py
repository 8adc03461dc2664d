"""Listing: the tags of a repository and the repositories of a registry, page by page.

Distribution specification, "Listing tags"; Docker's `_catalog`. Pages follow `Link` headers; a registry that gives
everything at once is cut into pages here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.registry.auth import origin_of
from orlop.registry.broken import Broken
from orlop.registry.failures import Asked
from orlop.registry.manifests import Place
from orlop.registry.transport import Endpoint, Transport
from orlop.registry.wire import Answer

# More than one registry accepts (ECR).
MOST = 1000
_LIMIT = 32 << 20
_PAGES = 10_000
_LINK = re.compile(r'<([^>]*)>\s*((?:;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,"]+)\s*)*)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"next"|next\b)', re.IGNORECASE)
_AFTER = "after:"


@attrs.frozen
class Page:
    """Some items, in the registry's order, and the cursor of the next page (empty: this is the last)."""

    items: tuple[str, ...]
    next: str = ""


def tags(transport: Transport, place: Place, job: Job, *, cursor: str = "", limit: int = MOST) -> Page:
    """One page of a repository's tags; raises registry errors."""
    asked = attrs.evolve(place.asked, action="list the tags of", subject=f"{place.asked.domain}/{place.path}")
    return _page(
        transport, place.endpoint, f"/v2/{place.path}/tags/list", "tags", place.scopes, asked, job, cursor, limit
    )


def all_tags(transport: Transport, place: Place, job: Job) -> Iterator[str]:
    """Every tag of a repository, once."""
    seen: set[str] = set()
    cursors: set[str] = set()
    cursor = ""
    for _ in range(_PAGES):
        page = tags(transport, place, job, cursor=cursor)
        for tag in page.items:
            if tag not in seen:
                seen.add(tag)
                yield tag
        cursor = page.next
        # Some registries point at the same page for ever.
        if not cursor or cursor in cursors:
            return
        cursors.add(cursor)


def repositories(transport: Transport, endpoint: Endpoint, job: Job, *, cursor: str = "", limit: int = MOST) -> Page:
    """One page of a registry's repositories; many registries refuse to list them."""
    asked = Asked(action="list the repositories of", subject=endpoint.domain, domain=endpoint.domain)
    try:
        return _page(
            transport, endpoint, "/v2/_catalog", "repositories", ("registry:catalog:*",), asked, job, cursor, limit
        )
    except errors.ManifestUnknown as error:
        raise errors.RegistryError(
            f"cannot {asked}: it does not list them", hint="Name a repository of it instead.", detail=error.detail
        ) from error


def _page(
    transport: Transport, endpoint: Endpoint, path: str, key: str, scopes: tuple[str, ...], asked: Asked, job: Job,
    cursor: str, limit: int,
) -> Page:  # fmt: skip
    limit = max(1, min(limit, MOST))
    after = cursor.removeprefix(_AFTER) if cursor.startswith(_AFTER) else ""
    if cursor and not after:
        if not cursor.startswith("/") or cursor.startswith("//") or path not in urlsplit(cursor).path:
            raise errors.Invalid(f"invalid page {cursor!r}", hint="List from the beginning again.")
        target = f"{_origin(transport, endpoint, job)}{cursor}"
    else:
        target = f"{path}?n={limit}" + (f"&last={quote(after, safe='')}" if after else "")
    with transport.request("GET", endpoint, target, asked=asked, job=job, scopes=scopes) as answer:
        try:
            raw = answer.read_all(_LIMIT)
        except Broken as broken:
            raise errors.Unreachable(
                f"cannot {asked}: the list did not come whole: {broken.text}", hint="Try again."
            ) from broken
        following = _next(answer)
    return _cut(_items(raw, key, asked), after, limit, following)


def _cut(items: tuple[str, ...], after: str, limit: int, following: str) -> Page:
    if following or len(items) <= limit:
        # A registry that does not know `last` gives everything each time.
        kept = tuple(item for item in items if item > after) if after and after in items else items
        return Page(kept, following)
    ordered = sorted(item for item in items if item > after)
    return Page(tuple(ordered[:limit]), f"{_AFTER}{ordered[limit - 1]}" if len(ordered) > limit else "")


def _items(raw: bytes, key: str, asked: Asked) -> tuple[str, ...]:
    try:
        items = json.loads(raw)[key] or ()
        return tuple(item for item in items if isinstance(item, str))
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise errors.RegistryError(
            f"cannot {asked}: the answer is not a list", hint="Check that this address is a registry."
        ) from error


def _next(answer: Answer) -> str:
    """Path and query of the next page, which must be at the same origin."""
    for line in answer.header_lines("Link"):
        for target, parameters in _LINK.findall(line):
            if _REL.search(parameters):
                url = answer.resolve(target)
                if origin_of(url) != origin_of(answer.url):
                    return ""
                parts = urlsplit(url)
                return f"{parts.path}?{parts.query}" if parts.query else parts.path
    return ""


def _origin(transport: Transport, endpoint: Endpoint, job: Job) -> str:
    try:
        return transport.origin(endpoint, job)
    except Broken as broken:
        raise errors.Unreachable(
            f"cannot reach {endpoint.netloc}: {broken.text}", hint="Check the network, and try again."
        ) from broken
