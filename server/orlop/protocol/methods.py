"""THE table: every request and notification between the editor and the engine.

A row is the documentation of a method: its name, what goes in, what comes out, the lane it runs in
(`quick`: answers at once; `long`: may take minutes, can be cancelled; `stream`: lives as long as its terminal),
and the type of the events that travel by `$/progress` under its `partialResultToken`.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from orlop.protocol import builds, containers, files, images, registries, sessions, system
from orlop.protocol.common import Empty

Lane = Literal["quick", "long", "stream"]


@attrs.frozen
class Request:
    """A method that answers."""

    name: str
    params: type
    result: type
    lane: Lane = attrs.field(default="quick", kw_only=True)
    stream: Any = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Notification:
    """A message without an answer; `sender` says who sends it."""

    name: str
    params: type
    sender: Literal["client", "server"] = attrs.field(kw_only=True)


SERVER_INFO = Request("server/info", Empty, system.ServerInfoResult)
SERVER_USAGE = Request("server/usage", Empty, system.ServerUsageResult)
SERVER_DOCTOR = Request("server/doctor", Empty, system.ServerDoctorResult, lane="long")

IMAGE_LIST = Request("image/list", images.ImageListParams, images.ImageListResult)
IMAGE_INSPECT = Request("image/inspect", images.ImageNameParams, images.ImageInspectResult)
IMAGE_HISTORY = Request("image/history", images.ImageNameParams, images.ImageHistoryResult)
IMAGE_TAG = Request("image/tag", images.ImageTagParams, images.ImageTagResult)
IMAGE_REMOVE = Request("image/remove", images.ImageRemoveParams, images.ImageRemoveResult)
IMAGE_SAVE = Request("image/save", images.ImageSaveParams, Empty, lane="long")
IMAGE_LOAD = Request(
    "image/load", images.ImageLoadParams, images.ImageLoadResult, lane="long", stream=images.TransferEvent
)
IMAGE_BUILD = Request("image/build", builds.BuildParams, builds.BuildResult, lane="long", stream=builds.BuildEvent)
IMAGE_PULL = Request(
    "image/pull", images.ImagePullParams, images.ImagePullResult, lane="long", stream=images.TransferEvent
)
IMAGE_PUSH = Request(
    "image/push", images.ImagePushParams, images.ImagePushResult, lane="long", stream=images.TransferEvent
)
IMAGE_PUSH_PLAN = Request("image/pushPlan", images.ImagePushPlanParams, images.ImagePushPlanResult, lane="long")
IMAGE_PRUNE = Request("image/prune", images.ImagePruneParams, images.ImageRemoveResult, lane="long")
IMAGE_VALIDATE_REFERENCE = Request(
    "image/validateReference", images.ValidateReferenceParams, images.ValidateReferenceResult
)

DOCKERFILE_DESCRIBE = Request("dockerfile/describe", builds.DockerfileDescribeParams, builds.DockerfileDescribeResult)

CONTAINER_LIST = Request("container/list", containers.ContainerListParams, containers.ContainerListResult)
CONTAINER_INSPECT = Request("container/inspect", containers.ContainerNameParams, containers.ContainerInspectResult)
CONTAINER_RUN = Request(
    "container/run",
    containers.ContainerRunParams,
    containers.ContainerRunResult,
    lane="stream",
    stream=sessions.SessionEvent,
)
CONTAINER_START = Request("container/start", containers.ContainerStartParams, Empty, lane="long")
CONTAINER_RESTART = Request("container/restart", containers.ContainerRestartParams, Empty, lane="long")
CONTAINER_COMMIT = Request(
    "container/commit", containers.ContainerCommitParams, containers.ContainerCommitResult, lane="long"
)
CONTAINER_DIFF = Request("container/diff", containers.ContainerNameParams, containers.ContainerDiffResult, lane="long")
CONTAINER_STOP = Request("container/stop", containers.ContainerStopParams, Empty, lane="long")
CONTAINER_KILL = Request("container/kill", containers.ContainerKillParams, Empty)
CONTAINER_REMOVE = Request(
    "container/remove", containers.ContainerRemoveParams, containers.ContainerRemoveResult, lane="long"
)
CONTAINER_PAUSE = Request("container/pause", containers.ContainerNameParams, Empty)
CONTAINER_UNPAUSE = Request("container/unpause", containers.ContainerNameParams, Empty)
CONTAINER_RENAME = Request("container/rename", containers.ContainerRenameParams, Empty)
CONTAINER_PRUNE = Request(
    "container/prune", containers.ContainerPruneParams, containers.ContainerPruneResult, lane="long"
)
CONTAINER_LOGS = Request(
    "container/logs",
    sessions.ContainerLogsParams,
    sessions.SessionResult,
    lane="stream",
    stream=sessions.SessionEvent,
)
CONTAINER_STATS = Request(
    "container/stats",
    containers.ContainerStatsParams,
    Empty,
    lane="stream",
    stream=containers.ContainerUse,
)
SESSION_EXEC = Request(
    "session/exec", sessions.SessionExecParams, sessions.SessionResult, lane="stream", stream=sessions.SessionEvent
)
SESSION_ATTACH = Request(
    "session/attach", sessions.SessionAttachParams, sessions.SessionResult, lane="stream", stream=sessions.SessionEvent
)

FILE_STAT = Request("file/stat", files.FilePathParams, files.FileStatResult)
FILE_LIST = Request("file/list", files.FilePathParams, files.FileListResult)
FILE_READ = Request("file/read", files.FilePathParams, files.FileReadResult, lane="long")
FILE_WRITE = Request("file/write", files.FileWriteParams, Empty, lane="long")
FILE_MAKE_DIRECTORY = Request("file/makeDirectory", files.FileMakeDirectoryParams, Empty)
FILE_REMOVE = Request("file/remove", files.FileRemoveParams, Empty, lane="long")
FILE_RENAME = Request("file/rename", files.FileRenameParams, Empty)
FILE_COPY = Request("file/copy", files.FileCopyParams, Empty, lane="long")

REGISTRY_LIST = Request("registry/list", Empty, registries.RegistryListResult)
REGISTRY_LOGIN = Request("registry/login", registries.RegistryLoginParams, registries.RegistryLoginResult, lane="long")
REGISTRY_LOGOUT = Request("registry/logout", registries.RegistryLogoutParams, registries.RegistryLogoutResult)
REGISTRY_SEARCH = Request(
    "registry/search", registries.RegistrySearchParams, registries.RegistrySearchResult, lane="long"
)
REGISTRY_REPOSITORIES = Request(
    "registry/repositories",
    registries.RegistryRepositoriesParams,
    registries.RegistryRepositoriesResult,
    lane="long",
)
REGISTRY_TAGS = Request("registry/tags", registries.RegistryTagsParams, registries.RegistryTagsResult, lane="long")
REGISTRY_MANIFEST = Request(
    "registry/manifest", registries.RegistryManifestParams, registries.RegistryManifestResult, lane="long"
)
REGISTRY_DELETE_TAG = Request(
    "registry/deleteTag", registries.RegistryDeleteTagParams, registries.RegistryDeleteTagResult, lane="long"
)
REGISTRY_CREATE_REPOSITORY = Request(
    "registry/createRepository",
    registries.RegistryCreateRepositoryParams,
    registries.RegistryCreateRepositoryResult,
    lane="long",
)
REGISTRY_COPY = Request(
    "registry/copy",
    registries.RegistryCopyParams,
    registries.RegistryCopyResult,
    lane="long",
    stream=images.TransferEvent,
)

SESSION_INPUT = Notification("session/input", sessions.SessionInput, sender="client")
SESSION_RESIZE = Notification("session/resize", sessions.SessionResize, sender="client")
STREAM_ACK = Notification("stream/ack", sessions.StreamAck, sender="client")

STORE_DID_CHANGE = Notification("store/didChange", system.StoreDidChange, sender="server")
CONTAINER_DID_EXIT = Notification("container/didExit", containers.ContainerDidExit, sender="server")
SERVER_DID_LOG = Notification("server/didLog", system.ServerDidLog, sender="server")

REQUESTS: tuple[Request, ...] = tuple(row for row in list(globals().values()) if isinstance(row, Request))
NOTIFICATIONS: tuple[Notification, ...] = tuple(
    row for row in list(globals().values()) if isinstance(row, Notification)
)
