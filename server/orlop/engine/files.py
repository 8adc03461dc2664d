"""Single files of a container as an editor reads and writes them: whether it runs or not, whatever its image has."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Literal

import attrs

from orlop.core.job import Job
from orlop.engine import copies
from orlop.rootfs.workshop import Workshop
from orlop.runtime.container import Container
from orlop.runtime.manager import Manager

# As VS Code itself: larger files are no text that anybody edits.
LARGEST = 50 << 20

Side = Literal["container", "image"]


@attrs.frozen(kw_only=True)
class FileEntry:
    """A file: `kind` is that of what a link leads to, `target` where a link points; bytes, nanoseconds since 1970."""

    name: str
    kind: Literal["file", "directory", "other"]
    target: str | None
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int


class Files:
    """Paths are absolute and mean what they mean in the container; links never lead out of it.

    Everything raises `ContainerNotFound`, and `NotFound` for a path that is not there. The `image` side is what the
    container began with; it cannot be written.
    """

    def __init__(self, workshop: Workshop, manager: Manager) -> None:
        self._workshop = workshop
        self._manager = manager

    def status(self, name: str, path: str, job: Job, *, side: Side = "container") -> FileEntry:
        """What is at `path`."""
        return FileEntry(**self._do(name, "status", path, job, side=side)["entry"])

    def list(self, name: str, path: str, job: Job, *, side: Side = "container") -> tuple[FileEntry, ...]:
        """What is in the directory `path`, by name; names that are no UTF-8 are left out, nothing here can say them."""
        rows = self._do(name, "list", path, job, side=side)["entries"]
        return tuple(FileEntry(**row) for row in rows if _is_text(row["name"]))

    def read(self, name: str, path: str, job: Job, *, side: Side = "container") -> bytes:
        """The content of a file; raises `Invalid` for directories, devices, and above `LARGEST` bytes."""
        with _in_memory(b"") as content:
            self._do(name, "read", path, job, side=side, content=content, limit=LARGEST)
            size = os.fstat(content).st_size
            return os.pread(content, size, 0)

    def write(
        self, name: str, path: str, data: bytes, job: Job, *, create: bool = True, overwrite: bool = True
    ) -> None:
        """Give a file this content at once: it is the old one or the new one, whoever looks. Raises `Conflict`."""
        with _in_memory(data) as content:
            self._do(name, "write", path, job, content=content, create=create, overwrite=overwrite)

    def make_directory(self, name: str, path: str, job: Job) -> None:
        """Make one directory; raises `Conflict` when something is there."""
        self._do(name, "make", path, job)

    def remove(self, name: str, path: str, job: Job, *, recursive: bool = False) -> None:
        """Remove a file, a link or a directory; one that is not empty is a `Conflict` unless `recursive`."""
        self._do(name, "remove", path, job, recursive=recursive)

    def rename(self, name: str, path: str, target: str, job: Job, *, overwrite: bool = False) -> None:
        """Move it to another path of the same container."""
        self._do(name, "rename", path, job, target=target, overwrite=overwrite)

    def _do(
        self, name: str, action: str, path: str, job: Job, *, side: Side = "container", content: int | None = None,
        **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        found = self._manager.inspect(name)
        writing = action not in ("status", "list", "read")
        view = _image(found) if side == "image" else copies.opened(self._manager, found, writing=writing, job=job)
        with view as (place, root):
            params = {"do": action, "path": path, "place": place, "running": bool(root), **more}
            fds = root if content is None else (*root, content)
            return self._workshop.call("file", params, job, fds=fds)


@contextlib.contextmanager
def _image(found: Container) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
    """The layers that the container stands on, without what it wrote and mounted."""
    yield {**copies.layers(found, writing=False), "lowers": list(found.spec.rootfs.lowers), "mounts": []}, ()


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    fd = os.memfd_create("content", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
