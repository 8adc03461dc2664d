"""Wire types of registries: list, login, logout, search, repositories, tags, manifest, deletion, creation, copy."""

from __future__ import annotations

from typing import Literal

import attrs

from orlop.protocol.common import Token

Remember = Literal["memory", "file"]


@attrs.frozen(kw_only=True)
class RegistryInfo:
    """One registry; `username` is null without a login, `source` tells people where the login is kept."""

    host: str
    username: str | None
    source: str
    kept: Literal["", "memory", "file"]


@attrs.frozen(kw_only=True)
class RegistryListResult:
    """Docker Hub first, then every registry with a login or settings of its own."""

    registries: list[RegistryInfo]


@attrs.frozen(kw_only=True)
class RegistryLoginParams:
    """An account of a registry; an empty `username` only asks whether the registry answers.

    `memory` holds it until the server ends, `file` keeps it as Docker does. Without `check` the registry is not asked.
    """

    host: str
    username: str
    secret: str
    remember: Remember = "memory"
    check: bool = True


@attrs.frozen(kw_only=True)
class RegistryLoginResult:
    """What the registry took, and where it is kept."""

    host: str
    username: str
    source: str


@attrs.frozen(kw_only=True)
class RegistryLogoutParams:
    """A registry by its host; with `kept` only the login that is held there is forgotten, null means every one."""

    host: str
    kept: Remember | None = None


@attrs.frozen(kw_only=True)
class RegistryLogoutResult:
    """Whether there was a login to forget."""

    host: str
    forgotten: bool


@attrs.frozen(kw_only=True)
class RegistrySearchParams:
    """Search Docker Hub; `official` null means either kind, `stars` the least number of them."""

    term: str
    limit: int = 25
    official: bool | None = None
    stars: int = 0


@attrs.frozen(kw_only=True)
class SearchHit:
    """One repository that was found."""

    name: str
    description: str
    stars: int
    official: bool


@attrs.frozen(kw_only=True)
class RegistrySearchResult:
    """In the order of the index."""

    results: list[SearchHit]


@attrs.frozen(kw_only=True)
class RegistryRepositoriesParams:
    """The repositories of a registry; at Docker Hub those of `namespace`, by default of the account."""

    host: str
    namespace: str | None = None
    cursor: str | None = None
    limit: int = 100


@attrs.frozen(kw_only=True)
class RegistryRepositoriesResult:
    """Full names, host included; `cursor` continues a list that was cut."""

    repositories: list[str]
    cursor: str | None


@attrs.frozen(kw_only=True)
class RegistryTagsParams:
    """The tags of a repository (`docker.io/user/name`)."""

    repository: str
    cursor: str | None = None
    limit: int = 100


@attrs.frozen(kw_only=True)
class RegistryTagsResult:
    """Tags in the registry's order; `cursor` continues a list that was cut."""

    tags: list[str]
    cursor: str | None


@attrs.frozen(kw_only=True)
class RegistryManifestParams:
    """A tag or digest at its registry."""

    reference: str


@attrs.frozen(kw_only=True)
class RegistryManifestResult:
    """What a name stands for; `json` is the document.

    `size` is what a pull brings at most, null for several platforms.
    """

    reference: str
    digest: str
    media_type: str
    size: int | None
    platforms: list[str]
    created: str | None
    json: str


@attrs.frozen(kw_only=True)
class RegistryDeleteTagParams:
    """Delete a tag; `force` also where other tags would go with it, `dry_run` only tells what would happen."""

    reference: str
    force: bool = False
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class RegistryDeleteTagResult:
    """The tags that went (or would go), and those of the same image that stay."""

    reference: str
    digest: str
    deleted: list[str]
    kept: list[str]


@attrs.frozen(kw_only=True)
class RegistryCreateRepositoryParams:
    """A new repository at Docker Hub, as `user/name`."""

    name: str
    description: str = ""
    private: bool = False


@attrs.frozen(kw_only=True)
class RegistryCreateRepositoryResult:
    """Its full name."""

    repository: str


@attrs.frozen(kw_only=True)
class RegistryCopyParams:
    """Copy an image, all its platforms, from one registry name to another."""

    source: str
    target: str
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class RegistryCopyResult:
    """What the target names now; `copied` parts travelled, `skipped` ones were there."""

    reference: str
    digest: str
    copied: int
    skipped: int
