"""What steps do, as values: every word is expanded and every default filled in, so nothing is looked up later."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from orlop.core.errors import Location
from orlop.core.reference import Reference


@attrs.frozen(slots=True)
class InlineFile:
    """A file whose content stands in the Dockerfile (a heredoc)."""

    name: str
    data: bytes


@attrs.frozen(slots=True)
class RunOp:
    """Run a process.

    `argv` has the shell in front for the shell form. `environment` is the image's variables and the declared ARGs, in
    the order of their last definition; `proxies` are added where it does not say otherwise, and are no part of the
    cache key. `script` is placed at `/dev/pipes/NAME`. `network` is `default`, `none` or `host`.
    """

    argv: tuple[str, ...]
    environment: tuple[str, ...]
    user: str
    working_dir: str
    network: str
    hostname: str
    script: InlineFile | None = None
    proxies: Mapping[str, str] = attrs.field(factory=dict, eq=False)


@attrs.frozen(slots=True)
class ContextOrigin:
    """Sources come from the build context."""


@attrs.frozen(slots=True)
class StageOrigin:
    """Sources come from another stage's result."""

    index: int


@attrs.frozen(slots=True)
class ImageOrigin:
    """Sources come from an image."""

    reference: Reference


Origin = ContextOrigin | StageOrigin | ImageOrigin


@attrs.frozen(slots=True)
class CopyOp:
    """Copy files in; `unpack` is ADD's way with local archives.

    `sources` are cleaned and relative to their root (`""` is the root itself); `destination` is absolute and keeps a
    trailing slash, which means a directory. `chown` and `chmod` are as written, names are resolved in the image.
    """

    sources: tuple[str, ...]
    destination: str
    origin: Origin
    inline: tuple[InlineFile, ...] = ()
    chown: str | None = None
    chmod: str | None = None
    excludes: tuple[str, ...] = ()
    unpack: bool = False


@attrs.frozen(slots=True)
class WorkdirOp:
    """Create a directory and its missing parents, owned by `user` (empty: root)."""

    path: str
    user: str


Operation = RunOp | CopyOp | WorkdirOp


@attrs.frozen(slots=True)
class Step:
    """One operation of a stage, as people see it.

    `id` counts over the whole plan from 1, `index` of `total` within the stage; `name` reads `[build 2/5] RUN x`;
    `created_by` is its history entry; `location` is the instruction.
    """

    id: int
    index: int
    total: int
    name: str
    operation: Operation
    created_by: str
    location: Location

    @property
    def source_stage(self) -> int | None:
        """The stage that the step copies from, if it does."""
        origin = self.operation.origin if isinstance(self.operation, CopyOp) else None
        return origin.index if isinstance(origin, StageOrigin) else None
