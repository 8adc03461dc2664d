"""Wire types of a container's files, as an editor's file system asks for them."""

from __future__ import annotations

from typing import Literal

import attrs

Side = Literal["container", "image"]


@attrs.frozen(kw_only=True)
class FileEntry:
    """A file of a container.

    `kind` is that of what a link leads to, `target` is where a link points and null for anything else. Bytes; the time
    is in milliseconds since 1970.
    """

    name: str
    kind: Literal["file", "directory", "other"]
    target: str | None
    size: int
    mode: int
    uid: int
    gid: int
    mtime: float


@attrs.frozen(kw_only=True)
class FilePathParams:
    """An absolute path in a container, or (`side`) in the image that it began with."""

    container: str
    path: str
    side: Side = "container"


@attrs.frozen(kw_only=True)
class FileStatResult:
    """What is there."""

    entry: FileEntry


@attrs.frozen(kw_only=True)
class FileListResult:
    """A directory, sorted by name."""

    entries: list[FileEntry]


@attrs.frozen(kw_only=True)
class FileReadResult:
    """The bytes of a file in base64."""

    data: str


@attrs.frozen(kw_only=True)
class FileWriteParams:
    """Give a file these bytes (base64), at once; it keeps its owner and mode."""

    container: str
    path: str
    data: str
    create: bool = True
    overwrite: bool = True


@attrs.frozen(kw_only=True)
class FileMakeDirectoryParams:
    """Make one directory."""

    container: str
    path: str


@attrs.frozen(kw_only=True)
class FileRemoveParams:
    """Remove a file, or a directory with all that is in it if `recursive`."""

    container: str
    path: str
    recursive: bool = False


@attrs.frozen(kw_only=True)
class FileRenameParams:
    """Move a file within a container."""

    container: str
    path: str
    target: str
    overwrite: bool = False


@attrs.frozen(kw_only=True)
class FileCopyParams:
    """Copy between a path of a container and one of the server's host, files and whole directories (`docker cp`)."""

    container: str
    path: str
    host_path: str
    direction: Literal["download", "upload"]
