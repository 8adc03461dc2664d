"""A store with a workshop for tests: layers from small tables, and what a step left behind as a table again."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from orlop.core import digest as digests
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.rootfs import layers, snapshots
from orlop.rootfs.workshop import Workshop
from orlop.store.layers import Layer
from orlop.store.store import Store

# The kinds of a tar member, as the tables call them.
FILE, LINK, HARD, DIR, FIFO, CHAR = "file", "link", "hard", "dir", "fifo", "char"
_TYPES = {
    FILE: tarfile.REGTYPE, LINK: tarfile.SYMTYPE, HARD: tarfile.LNKTYPE, DIR: tarfile.DIRTYPE, FIFO: tarfile.FIFOTYPE,
    CHAR: tarfile.CHRTYPE,
}  # fmt: skip
_KINDS = {value: key for key, value in _TYPES.items()}
MTIME = 1_600_000_000


@attrs.frozen
class Node:
    """One member: `data` are a file's bytes or a link's target; time in seconds."""

    kind: str = FILE
    data: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float | None = attrs.field(default=MTIME, eq=False)
    xattrs: dict[str, str] = attrs.field(factory=dict)


def file(data: str = "", mode: int = 0o644, uid: int = 0, gid: int = 0, **more: Any) -> Node:
    return Node(FILE, data, mode, uid, gid, **more)


def folder(mode: int = 0o755, uid: int = 0, gid: int = 0, **more: Any) -> Node:
    return Node(DIR, "", mode, uid, gid, **more)


def link(target: str, uid: int = 0, gid: int = 0) -> Node:
    return Node(LINK, target, 0o777, uid, gid)


def hard(target: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Node:
    return Node(HARD, target, mode, uid, gid)


Tree = dict[str, Node]
PASSWD = file(
    "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www:/var/www:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n"
)
GROUP = file("root:x:0:\nlp:x:7:\nwww-data:x:33:\napp:x:1001:\n")


def archive(tree: Tree) -> bytes:
    """A tar of a table, in its order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, node in tree.items():
            info = tarfile.TarInfo(name)
            info.type = _TYPES[node.kind]
            info.mode, info.uid, info.gid = node.mode, node.uid, node.gid
            info.mtime = node.mtime or 0
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in node.xattrs.items()}
            data = b""
            if node.kind == FILE:
                data = node.data.encode()
                info.size = len(data)
            elif node.kind in (LINK, HARD):
                info.linkname = node.data
            elif node.kind == CHAR:
                info.devmajor, info.devminor = map(int, node.data.split(":"))
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def table(raw: bytes) -> Tree:
    """The table of a tar."""
    found: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for info in tar:
            data = info.linkname
            if info.isreg():
                opened = tar.extractfile(info)
                assert opened is not None
                data = opened.read().decode()
            elif info.ischr():
                data = f"{info.devmajor}:{info.devminor}"
            xattrs = {
                key.removeprefix("SCHILY.xattr."): value
                for key, value in info.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            found[info.name] = Node(_KINDS[info.type], data, info.mode, info.uid, info.gid, info.mtime, xattrs)
    return found


class Shop:
    """Everything a test works with."""

    def __init__(self, root: Path, workshop: Workshop) -> None:
        self.root = root
        self.workshop = workshop
        self.store = Store(root / "store", remove_tree=self.workshop.remove_tree)
        self.job = Job()
        self.warnings: list[str] = []

    def close(self) -> None:
        self.store.close()
        self.workshop.remove_tree(self.root / "store")

    def layer(self, tree: Tree) -> Layer:
        """A received layer."""
        raw = archive(tree)
        descriptor = Descriptor(MediaType.OCI_LAYER, digests.of_bytes(raw), len(raw))
        return layers.receive(self.store, self.workshop, io.BytesIO(raw), descriptor, self.job)

    def base(self) -> Layer:
        return self.layer({"etc": folder(), "etc/passwd": PASSWD, "etc/group": GROUP})

    def context(self, tree: Tree, name: str = "context") -> str:
        """Files of a host directory, owned by whoever runs the test."""
        root = self.root / name
        root.mkdir(exist_ok=True)
        for path, node in tree.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if node.kind == DIR:
                place.mkdir(exist_ok=True)
            elif node.kind == FILE:
                place.write_text(node.data)
            elif node.kind == LINK:
                place.symlink_to(node.data)
            elif node.kind == HARD:
                os.link(root / node.data, place)
            elif node.kind == FIFO:
                os.mkfifo(place)
        for path, node in reversed(tree.items()):
            place = root / path
            if node.kind != LINK:
                place.chmod(node.mode)
                for key, value in node.xattrs.items():
                    os.setxattr(place, key, value.encode())
            os.utime(place, (node.mtime or 0, node.mtime or 0), follow_symlinks=False)
        return str(root)

    @contextlib.contextmanager
    def writing(self, base: Sequence[Layer]) -> Iterator[dict[str, Any]]:
        with self.store.layers.new() as pending:
            yield snapshots.target(self.store, base, pending)

    def copy(self, base: Sequence[Layer] = (), destination: str = "/", **params: Any) -> Layer:
        """A layer made by the task `copy`, with the parameters a builder gives."""
        asked: dict[str, Any] = {
            "destination": destination, "context": None, "matches": [], "source": None, "sources": [], "excludes": [],
            "inline": [], "chown": None, "chmod": None,
        }  # fmt: skip
        asked.update(params)
        return self.step("copy", base, asked)

    def copy_context(
        self, base: Sequence[Layer], sources: Sequence[str], destination: str, context: str, **params: Any
    ) -> Layer:
        return self.copy(
            base, destination, context=context, matches=[match(context, source) for source in sources], **params
        )

    def copy_from(
        self, base: Sequence[Layer], source: Sequence[Layer], sources: Sequence[str], destination: str, **params: Any
    ) -> Layer:
        return self.copy(
            base, destination, source=snapshots.lowers(self.store, source), sources=list(sources), **params
        )

    def step(self, task: str, base: Sequence[Layer], params: dict[str, Any]) -> Layer:
        with self.store.layers.new() as pending:
            target = snapshots.target(self.store, base, pending)
            result = self.workshop.call(task, {**params, "target": target}, self.job, on_event=self._hear)
            return pending.commit(size=result["size"])

    def table(self, layer: Layer) -> Tree:
        """What is in a layer."""
        sealed = layers.seal(self.store, self.workshop, layer, self.job)
        with layers.open_tar(self.store, self.workshop, sealed, self.job) as file:
            return table(file.read())

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "warning":
            self.warnings.append(event["message"])


def match(context: str, source: str) -> dict[str, Any]:
    """What a builder says of one source: everything below it."""
    root = os.path.join(context, source) if source else context
    entries: list[str] = []
    for here, directories, files in os.walk(root):
        directories.sort()
        below = os.path.relpath(here, root)
        entries += [os.path.normpath(os.path.join(below, name)) for name in sorted([*directories, *files])]
    is_directory = os.path.isdir(root)
    return {
        "path": source, "name": os.path.basename(source), "dir": is_directory, "unpack": False,
        "entries": sorted(entries, key=lambda entry: entry.split("/")) if is_directory else [],
    }  # fmt: skip
