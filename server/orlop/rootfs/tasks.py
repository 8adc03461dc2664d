"""What the worker can be asked to do; each task gets its parameters, its descriptors and the way to tell events."""

from __future__ import annotations

import hashlib
import os

from orlop.archive import apply as applying
from orlop.archive import diff, removal
from orlop.archive import pack as packing
from orlop.archive import unpack as unpacker
from orlop.rootfs import changes, copying, files, inspecting, merged, mounting, people, placing, unpacking, visiting
from orlop.runtime import launch
from orlop.runtime.init import stubs
from orlop.runtime.linux import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from orlop.runtime.linux.channel import Channel

    Task = Callable[[dict[str, Any], list[int], Channel], dict[str, Any]]

_PIECE = 1 << 20


def ping(_: dict[str, Any], __: list[int], ___: Channel) -> dict[str, Any]:
    """Tell that the worker is there."""
    return {"pid": os.getpid()}


def apply(params: dict[str, Any], fds: list[int], _: Channel) -> dict[str, Any]:
    """Unpack the uncompressed tar on `fds[0]` into the directory `root`; hash it on the way.

    `same` tells whether the canonical tar of the result is, byte for byte, what the file `fds[1]` (if given) holds.
    """
    in_namespace = namespaces.in_user_namespace()
    options = applying.ApplyOptions(userxattr=in_namespace, devices=not in_namespace, owners=not namespaces.single_id())
    with open(fds[0], "rb", buffering=0, closefd=False) as raw:
        source = _Hashing(raw)
        applied = applying.apply(source, params["root"], options)  # type: ignore[arg-type]
    return {
        "size": applied.size,
        "entries": applied.entries,
        "digest": source.hexdigest(),
        "tar_size": source.size,
        "same": len(fds) > 1 and _gives(params["root"], fds[1]),
    }


def seal(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """Hash the canonical tar of the layer at `root`."""
    hasher = hashlib.sha256()
    size = 0

    def take(data: bytes) -> None:
        nonlocal size
        hasher.update(data)
        size += len(data)

    written = diff.write_layer(params["root"], take)
    return {"digest": hasher.hexdigest(), "tar_size": size, "size": written.size, "entries": written.entries}


def tar(params: dict[str, Any], fds: list[int], _: Channel) -> dict[str, Any]:
    """Write the canonical tar of the layer at `root` to `fds[0]`; `stubs` are mount points to leave out of it."""
    omit, times = stubs.traces(params["root"], params.get("stubs") or {})
    written = diff.write_layer(params["root"], lambda data: _send_all(fds[0], data), omit=omit, times=times)
    return {"size": written.size, "entries": written.entries}


def matches(params: dict[str, Any], fds: list[int], _: Channel) -> dict[str, Any]:
    """Whether the canonical tar of the layer at `root` is, byte for byte, what the file `fds[0]` holds."""
    return {"same": _gives(params["root"], fds[0])}


def remove(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """Remove the tree at `path`, whoever owns its files."""
    removal.remove_tree(params["path"])
    return {}


def measure(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """The bytes of regular files below `root`, hard links once."""
    return {"size": _measure(params["root"])}


def copy(params: dict[str, Any], _: list[int], channel: Channel) -> dict[str, Any]:
    """COPY or ADD into a snapshot: see `copying.copy`."""
    target = params["target"]

    def warn(text: str) -> None:
        channel.send({"event": "warning", "message": text})

    def unpack(archive: int, path: str, owner: tuple[int, int] | None) -> None:
        with mounting.writable(target) as root:
            unpacking.unpack(archive, root, path, owner, warn=warn)

    size = copying.copy(params, owners=not namespaces.single_id(), warn=warn, unpack=unpack)
    return {"size": _measure(target["upper"]) if size is None else size}


def make_directory(params: dict[str, Any], _: list[int], channel: Channel) -> dict[str, Any]:
    """WORKDIR: make `path` and its missing parents in a snapshot, owned by `user`."""
    target = params["target"]
    view = merged.View(target["lowers"], target["upper"])
    placing.take_root(target["upper"], view.root.lowers, owners=not namespaces.single_id())
    uid, gid, warnings = people.resolve(view.read, params["user"])
    for text in warnings:
        channel.send({"event": "warning", "message": text})
    placing.Placing(
        view, owner=(uid, gid), mode=None, owners=not namespaces.single_id(), warn=lambda _: None
    ).directory(params["path"])
    return {"size": 0}


def run(params: dict[str, Any], fds: list[int], channel: Channel) -> dict[str, Any]:
    """Run a container to its end; `fds` are its standard streams."""

    def attach(pid: int) -> dict[str, Any] | None:
        channel.send({"event": "network", "pid": pid})
        received = channel.receive()
        return received[0] if received is not None else None

    spec = params["spec"]
    rootfs = spec["rootfs"]
    upper = rootfs["upper"]
    rootfs["lowers"] = merged.visible(rootfs["lowers"])
    if upper and rootfs["lowers"]:
        placing.take_root(upper, rootfs["lowers"], owners=not namespaces.single_id())
    status = launch.launch(spec, launch.Stdio(*fds), attach_network=attach if params.get("attach") else None)
    status["size"] = _measure(upper) if upper and status["error"] is None else 0
    return status


def read(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """The text of a file inside a read-only snapshot of `lowers`, at most `limit` bytes; null when it is not there."""
    data = merged.View(params["lowers"]).read(params["path"], params.get("limit", _PIECE))
    return {"text": None if data is None else data.decode("utf-8", "replace")}


def listing(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """What `path` is in a snapshot of `lowers`, and what is in it if it is a directory: see `inspecting.describe`."""
    return inspecting.describe(merged.View(params["lowers"]), params["path"])


def changed(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """What the directory `upper` changes upon `lowers`: see `changes.changes`."""
    omit, _times = stubs.traces(params["upper"], params.get("stubs") or {})
    return {"rows": changes.changes(params["lowers"], params["upper"], omit)}


def locate(params: dict[str, Any], fds: list[int], _: Channel) -> dict[str, Any]:
    """What a copy to `path` in a container's file system meets: see `visiting`; `fds` may be [root]."""
    with visiting.visit(params["place"], fds[0] if fds else None) as root:
        return visiting.locate(root, params["path"])


def pack(params: dict[str, Any], fds: list[int], channel: Channel) -> dict[str, Any]:
    """Write a tar of `path` in a container's file system to `fds[0]`; `fds` may go on with its root.

    The event {"directory", "leaf", "mode", "uid", "gid"} comes first, and is answered with {"name"}: what it is called
    in the tar.
    """
    with visiting.visit(params["place"], fds[1] if len(fds) > 1 else None) as root:
        parent, leaf = visiting.split(root, params["path"], follow=params["follow"])
        try:
            status = os.stat(leaf, dir_fd=parent, follow_symlinks=False)
            directory = status.st_mode & 0o170000 == 0o040000
            facts = {"mode": status.st_mode & 0o7777, "uid": status.st_uid, "gid": status.st_gid}
            channel.send({"event": "found", "directory": directory, "leaf": os.fsdecode(leaf), **facts})
            received = channel.receive()
            if received is None:
                return {"size": 0, "entries": 0}
            name = os.fsencode(received[0]["name"])
            written = packing.pack(parent, leaf, name, lambda data: _send_all(fds[0], data))
        finally:
            os.close(parent)
    return {"size": written.size, "entries": written.entries}


def unpack(params: dict[str, Any], fds: list[int], _: Channel) -> dict[str, Any]:
    """Unpack the plain tar on `fds[0]` into the directory `path` of a container; `fds` may go on with its root.

    With `like` (mode, uid, gid) the root itself becomes like that, where the kernel lets it.
    """
    with (
        open(fds[0], "rb", buffering=0, closefd=False) as source,
        visiting.visit(params["place"], fds[1] if len(fds) > 1 else None) as root,
    ):
        owner = params["owner"]
        unpacked = unpacker.unpack(
            source,
            root,
            params["path"],
            owner=None if owner is None else (owner[0], owner[1]),
            devices=not namespaces.in_user_namespace(),
            owners=not namespaces.single_id(),
        )
        if params.get("like"):
            mode, uid, gid = params["like"]
            if not namespaces.single_id():
                os.fchown(root, uid, gid)
            os.fchmod(root, mode)
    return {"size": unpacked.size, "entries": unpacked.entries}


def file(params: dict[str, Any], fds: list[int], _: Channel) -> dict[str, Any]:
    """One action of `files` in a container's file system; `fds` may be [root], then the content if there is any."""
    passed = list(fds)
    root_fd = passed.pop(0) if params["running"] else None
    with visiting.visit(params["place"], root_fd) as root:
        return files.perform(root, params, passed[0] if passed else None)


def users(params: dict[str, Any], _: list[int], __: Channel) -> dict[str, Any]:
    """The ids that `user[:group]` stands for in a snapshot of `lowers`, with warnings for unknown names."""
    uid, gid, warnings = people.resolve(merged.View(params["lowers"]).read, params["user"])
    return {"uid": uid, "gid": gid, "warnings": warnings}


def leaves_no_trace(task: str, params: dict[str, Any]) -> bool:
    """Whether the process is as it was before the task: it has entered no namespace."""
    return task not in ("run", "locate", "pack", "unpack", "file") and not any(
        match.get("unpack") for match in params.get("matches", ())
    )


TASKS: dict[str, Task] = {
    "ping": ping,
    "apply": apply,
    "seal": seal,
    "tar": tar,
    "matches": matches,
    "remove": remove,
    "measure": measure,
    "copy": copy,
    "mkdir": make_directory,
    "run": run,
    "read": read,
    "list": listing,
    "users": users,
    "changed": changed,
    "locate": locate,
    "pack": pack,
    "unpack": unpack,
    "file": file,
}


def _send_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def _gives(root: str, file: int) -> bool:
    """Whether a file holds the canonical tar of a tree; stops at the first difference."""
    position = 0

    def compare(data: bytes) -> None:
        nonlocal position
        view = memoryview(data)
        while view:
            there = os.pread(file, len(view), position)
            if not there or there != bytes(view[: len(there)]):
                raise _DifferentError
            view = view[len(there) :]
            position += len(there)

    try:
        diff.write_layer(root, compare)
    except _DifferentError:
        return False
    return not os.pread(file, 1, position)


class _DifferentError(Exception):
    """Two tars differ; nothing more needs to be compared."""


class _Hashing:
    """A reader that hashes what passes through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._hasher = hashlib.sha256()
        self.size = 0

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the source has bytes."""
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]
        self._hasher.update(memoryview(buffer)[:count])
        self.size += count
        return count

    def read(self, count: int = _PIECE) -> bytes:
        """At most `count` bytes."""
        data = self._source.read(count)
        self._hasher.update(data)
        self.size += len(data)
        return data

    def hexdigest(self) -> str:
        """The sha256 of all that was read."""
        return self._hasher.hexdigest()


def _measure(root: str) -> int:
    size = 0
    seen: set[int] = set()
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as scan:
            for item in scan:
                status = item.stat(follow_symlinks=False)
                kind = status.st_mode & 0o170000
                if kind == 0o040000:
                    pending.append(item.path)
                elif kind == 0o100000 and status.st_ino not in seen:
                    size += status.st_size
                    if status.st_nlink > 1:
                        seen.add(status.st_ino)
    return size
