"""Wire types of images: list, inspect, history, tag, remove, prune, save, load, pull, push."""

from __future__ import annotations

from typing import Literal

import attrs

from orlop.protocol.common import Note, Token


@attrs.frozen(kw_only=True)
class ImageListParams:
    """Which images: all of them, or those whose reference matches."""

    filter: str | None = None
    limit: int = 1000
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class ImageTag:
    """One name of an image; people copy `full_tag`, the tree shows `repository` (`docker.io/user/name`)."""

    reference: str
    full_tag: str
    repository: str
    tag: str


@attrs.frozen(kw_only=True)
class ImageSummary:
    """One image as lists show it; sizes in bytes, `created` RFC 3339 or null."""

    id: str
    short_id: str
    tags: list[ImageTag]
    repo_digests: list[str]
    created: str | None
    size: int
    platform: str
    labels: dict[str, str]
    exposed_ports: list[str]
    containers: int


@attrs.frozen(kw_only=True)
class ImageListResult:
    """Newest first; `cursor` continues a list that was cut."""

    images: list[ImageSummary]
    cursor: str | None
    revision: int


@attrs.frozen(kw_only=True)
class ImageNameParams:
    """An image by reference, ID or unique ID prefix."""

    image: str


@attrs.frozen(kw_only=True)
class ImageInspectResult:
    """Docker's inspect document as JSON text."""

    id: str
    json: str


@attrs.frozen(kw_only=True)
class HistoryRow:
    """One row of the history, newest first; `id` is null where Docker prints `<missing>`."""

    id: str | None
    created: str | None
    created_by: str
    size: int
    comment: str
    empty_layer: bool


@attrs.frozen(kw_only=True)
class ImageHistoryResult:
    """All rows."""

    id: str
    rows: list[HistoryRow]


@attrs.frozen(kw_only=True)
class ImageTagParams:
    """Give `image` the further name `target`."""

    image: str
    target: str


@attrs.frozen(kw_only=True)
class ImageTagResult:
    """The canonical name that was given."""

    reference: str
    id: str


@attrs.frozen(kw_only=True)
class ImageRemoveParams:
    """Untag by name, or delete by ID; `dry_run` only tells what would happen."""

    images: list[str]
    force: bool = False
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class ImageRemoveResult:
    """What went (or would go), in order, and the bytes it gives back."""

    untagged: list[str]
    deleted: list[str]
    reclaimed: int


@attrs.frozen(kw_only=True)
class ImageSaveParams:
    """Write images into an archive at `path` on the server's host."""

    images: list[str]
    path: str
    format: Literal["docker", "oci"] = "docker"
    work_done_token: Token | None = None


@attrs.frozen(kw_only=True)
class ImageLoadParams:
    """Read an image archive (docker-archive, OCI archive or OCI layout folder) at `path`."""

    path: str
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class ImageLoadResult:
    """The names that were loaded; IDs of nameless ones."""

    loaded: list[str]


@attrs.frozen(kw_only=True)
class LayerProgress:
    """Bytes of one layer that moved; `total` is 0 when unknown."""

    kind: Literal["layer"] = "layer"
    digest: str
    phase: str
    done: int
    total: int


TransferEvent = LayerProgress | Note

PullPolicy = Literal["missing", "always", "never"]


@attrs.frozen(kw_only=True)
class ImagePullParams:
    """Pull a name, for this machine's platform unless another is named; `all_tags` pulls the whole repository."""

    reference: str
    platform: str | None = None
    all_tags: bool = False
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class PulledImage:
    """One name; `digest` is what it means at the registry, `up-to-date` that nothing had to change here."""

    reference: str
    id: str
    digest: str
    status: Literal["newer", "up-to-date"]


@attrs.frozen(kw_only=True)
class ImagePullResult:
    """In the order in which they were pulled."""

    pulled: list[PulledImage]


@attrs.frozen(kw_only=True)
class ImagePushParams:
    """Push a name, or under the name `target` (which the image need not have here); `all_tags` pushes every tag."""

    reference: str
    all_tags: bool = False
    target: str | None = None
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class PushedImage:
    """What the registry has now; `size` is that of the manifest in bytes."""

    reference: str
    digest: str
    size: int


@attrs.frozen(kw_only=True)
class ImagePushResult:
    """In the order in which they were pushed."""

    pushed: list[PushedImage]


@attrs.frozen(kw_only=True)
class ImagePushPlanParams:
    """The push to plan: see `ImagePushParams`."""

    reference: str
    target: str | None = None


@attrs.frozen(kw_only=True)
class PlannedLayer:
    """One layer; `exists` tells that the registry has it."""

    digest: str
    size: int
    exists: bool


@attrs.frozen(kw_only=True)
class ImagePushPlanResult:
    """What a push would do; `upload` are the bytes that would travel, at most so many unless `exact`."""

    reference: str
    registry: str
    account: str | None
    size: int
    upload: int
    exact: bool
    layers: list[PlannedLayer]


@attrs.frozen(kw_only=True)
class ImagePruneParams:
    """Remove nameless images, with `all` every one that no container uses; `dry_run` only tells what would go.

    `filters` are Docker's, such as `until=24h` or `label=stage=test`. Answers as `image/remove` does.
    """

    all: bool = False
    filters: list[str] = attrs.field(factory=list)
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class ValidateReferenceParams:
    """A name as it stands in an input box."""

    text: str


@attrs.frozen(kw_only=True)
class ValidateReferenceResult:
    """Null `problem` means the name is good."""

    problem: str | None
    hint: str | None
    canonical: str | None
