"""Wire types of containers and of the terminals attached to them."""

from __future__ import annotations

from typing import Literal

import attrs

from orlop.protocol.common import Token


@attrs.frozen(kw_only=True)
class ContainerListParams:
    """Running containers, or all."""

    all: bool = False


@attrs.frozen(kw_only=True)
class ContainerPort:
    """A published port; `host` is "" for every address of this host."""

    host: str
    host_port: int
    container_port: int
    protocol: Literal["tcp", "udp"]


@attrs.frozen(kw_only=True)
class ContainerSummary:
    """One container; times are RFC 3339, `started` and `finished` those of the last run.

    `health` is null when nothing checks it.
    """

    id: str
    name: str
    image: str
    image_id: str
    command: str
    created: str
    started: str | None
    finished: str | None
    state: Literal["created", "running", "paused", "restarting", "exited", "dead"]
    status: str
    exit_code: int | None
    ports: list[ContainerPort]
    labels: dict[str, str]
    tty: bool
    interactive: bool
    auto_remove: bool
    health: Literal["starting", "healthy", "unhealthy"] | None


@attrs.frozen(kw_only=True)
class ContainerListResult:
    """Newest first."""

    containers: list[ContainerSummary]


@attrs.frozen(kw_only=True)
class ContainerNameParams:
    """A container by name, ID or unique ID prefix."""

    container: str


@attrs.frozen(kw_only=True)
class ContainerInspectResult:
    """Docker's inspect document as JSON text."""

    id: str
    json: str


@attrs.frozen(kw_only=True)
class ContainerRunParams:
    """Create and start a container.

    With `detach` the answer comes once it runs. Otherwise output streams as `SessionOutput` under
    `partial_result_token`, input comes by `session/input`, and the answer is the exit code.
    """

    image: str
    command: list[str] = attrs.field(factory=list)
    entrypoint: list[str] | None = None
    name: str | None = None
    env: dict[str, str] = attrs.field(factory=dict)
    working_dir: str | None = None
    user: str | None = None
    tty: bool = False
    interactive: bool = False
    remove: bool = False
    detach: bool = False
    network: str = "default"
    pull: Literal["missing", "always", "never"] = "missing"
    columns: int = 80
    rows: int = 24
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class ContainerRunResult:
    """`exit_code` is null for a detached container."""

    id: str
    name: str
    exit_code: int | None


@attrs.frozen(kw_only=True)
class ContainerStopParams:
    """Ask to stop, then kill after `timeout` seconds."""

    container: str
    timeout: float = 10


@attrs.frozen(kw_only=True)
class ContainerKillParams:
    """Send a signal by name or number."""

    container: str
    signal: str = "SIGKILL"


@attrs.frozen(kw_only=True)
class ContainerRemoveParams:
    """Remove containers; `force` kills running ones first."""

    containers: list[str]
    force: bool = False


@attrs.frozen(kw_only=True)
class ContainerRemoveResult:
    """IDs that are gone."""

    removed: list[str]


@attrs.frozen(kw_only=True)
class ContainerStartParams:
    """Start a container that was created or has ended; one that runs is left alone."""

    container: str


@attrs.frozen(kw_only=True)
class ContainerRestartParams:
    """Stop a container, by force after `timeout` seconds (null: as it was created with), and start it again."""

    container: str
    timeout: float | None = None


@attrs.frozen(kw_only=True)
class ContainerCommitParams:
    """Make an image of what a container has changed.

    `changes` are Dockerfile instructions for the image's configuration. The container is kept still meanwhile unless
    `pause` is false.
    """

    container: str
    reference: str | None = None
    message: str = ""
    author: str = ""
    changes: list[str] = attrs.field(factory=list)
    pause: bool = True


@attrs.frozen(kw_only=True)
class ContainerCommitResult:
    """The image's ID, the name it was given in familiar form, and what its new layer takes in bytes."""

    id: str
    reference: str | None
    size: int


@attrs.frozen(kw_only=True)
class ContainerChange:
    """One path that a container changed."""

    kind: Literal["added", "changed", "deleted"]
    path: str


@attrs.frozen(kw_only=True)
class ContainerDiffResult:
    """Sorted by path."""

    changes: list[ContainerChange]


@attrs.frozen(kw_only=True)
class ContainerRenameParams:
    """Give a container another name."""

    container: str
    name: str


@attrs.frozen(kw_only=True)
class ContainerPruneParams:
    """Remove the containers that do not run; with `dry_run` only tell which, `only` limits it to these IDs."""

    dry_run: bool = False
    only: list[str] | None = None


@attrs.frozen(kw_only=True)
class ContainerPruneResult:
    """Those that were, or would be, removed."""

    containers: list[ContainerSummary]


@attrs.frozen(kw_only=True)
class ContainerStatsParams:
    """What running containers use, all of them unless some are named: about once a second while any of them runs."""

    containers: list[str] = attrs.field(factory=list)
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class ContainerUse:
    """One look at one container.

    `cpu` is a share of one processor; `limit` is what it may take of memory; sizes in bytes, network and disk since its
    start.
    """

    kind: Literal["stats"] = "stats"
    id: str
    name: str
    cpu: float
    memory: int
    limit: int
    received: int
    sent: int
    read: int
    written: int
    processes: int


@attrs.frozen(kw_only=True)
class ContainerDidExit:
    """A container ended."""

    id: str
    exit_code: int
