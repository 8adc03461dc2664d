"""What of an image two builders must agree on: its configuration, its history and its flattened tree."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

Tree = dict[str, dict[str, Any]]

CONFIG = (
    "Env", "Cmd", "Entrypoint", "User", "WorkingDir", "ExposedPorts", "Volumes", "Labels", "StopSignal", "Healthcheck",
    "OnBuild", "Shell",
)  # fmt: skip
KINDS = {
    tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.FIFOTYPE: "fifo", tarfile.CHRTYPE: "character",
    tarfile.BLKTYPE: "block",
}  # fmt: skip
WHITEOUT = ".wh."


def outcome(saved: bytes, base: Tree | None = None) -> dict[str, Any]:
    """An archive of one image in Docker's form, as fields that can be compared and kept as JSON.

    The tree holds what differs from `base`, where a path that is gone is None.
    """
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        manifest = json.load(_member(archive, "manifest.json"))[0]
        image = json.load(_member(archive, manifest["Config"]))
        tree = flatten(archive, manifest["Layers"])
    config = image["config"]
    found: dict[str, Any] = {key: config.get(key) or None for key in CONFIG}
    found["layers"] = len(manifest["Layers"])
    found["history"] = [
        [step.get("created_by", ""), bool(step.get("empty_layer", False))] for step in image.get("history", ())
    ]
    before = (base or {}) if found["layers"] and _starts_alike(tree, base or {}) else {}
    found["tree"] = {path: entry for path, entry in sorted(tree.items()) if before.get(path) != entry} | {
        path: None for path in sorted(before) if path not in tree
    }
    return found


def whole_tree(saved: bytes) -> Tree:
    """The flattened tree of the only image of an archive."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        return flatten(archive, json.load(_member(archive, "manifest.json"))[0]["Layers"])


def flatten(archive: tarfile.TarFile, layers: list[str]) -> Tree:
    """Apply layers upon each other as the image specification's "Layer" says."""
    tree: Tree = {}
    groups: dict[str, str] = {}
    for number, layer in enumerate(layers):
        with tarfile.open(fileobj=io.BytesIO(_member(archive, layer).read())) as tar:
            members = [(member.name.removeprefix("./").strip("/"), member) for member in tar]
            _erase(tree, groups, (path for path, _ in members))
            for path, member in members:
                if path in {"", "."} or path.rpartition("/")[2].startswith(WHITEOUT):
                    continue
                if member.islnk():
                    first = member.linkname.removeprefix("./").strip("/")
                    tree[path] = tree[first]
                    groups.setdefault(first, f"{number}:{first}")
                    groups[path] = groups[first]
                    continue
                if path in tree and tree[path]["type"] == "directory" and not member.isdir():
                    _remove_below(tree, groups, path)
                groups.pop(path, None)
                tree[path] = _described(tar, member)
    return {path: entry | _links(path, groups) for path, entry in tree.items()}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """For each field that differs, both values."""
    found: dict[str, str] = {}
    for field in theirs:
        mine, other = ours[field], theirs[field]
        if field == "tree":
            paths = [path for path in sorted({*mine, *other}) if mine.get(path, 0) != other.get(path, 0)]
            if paths:
                found[field] = "\n".join(f"{p}: {mine.get(p, 'as base')} != {other.get(p, 'as base')}" for p in paths)
        elif mine != other:
            found[field] = f"{mine} != {other}"
    return found


def _starts_alike(tree: Tree, base: Tree) -> bool:
    """Whether the image was built upon the base: the base's program is in it."""
    return any(path in tree and tree[path] == entry for path, entry in base.items() if path.startswith("bin/"))


def _erase(tree: Tree, groups: dict[str, str], paths: Iterator[str]) -> None:
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            _remove_below(tree, groups, folder)
        elif name.startswith(WHITEOUT) and not name.startswith(".wh..wh."):
            gone = f"{folder}/{name[len(WHITEOUT) :]}".lstrip("/")
            _remove_below(tree, groups, gone)
            tree.pop(gone, None)
            groups.pop(gone, None)


def _remove_below(tree: Tree, groups: dict[str, str], folder: str) -> None:
    for path in [path for path in tree if path.startswith(f"{folder}/")]:
        del tree[path]
        groups.pop(path, None)


def _described(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": KINDS.get(member.type, "file"), "mode": f"{member.mode & 0o7777:04o}", "uid": member.uid,
        "gid": member.gid,
    }  # fmt: skip
    if member.issym():
        entry |= {"mode": "0777", "target": member.linkname}
    elif member.ischr() or member.isblk():
        entry["device"] = [member.devmajor, member.devminor]
    elif member.isreg():
        content = tar.extractfile(member)
        assert content is not None
        entry |= {"size": member.size, "sha256": hashlib.sha256(content.read()).hexdigest()}
    return entry


def _links(path: str, groups: Mapping[str, str]) -> dict[str, Any]:
    if path not in groups:
        return {}
    others = sorted(other for other, group in groups.items() if group == groups[path] and other != path)
    return {"links": others} if others else {}


def _member(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.getmember(name)
    while member.issym():
        folder = name.rpartition("/")[0].split("/")
        for part in member.linkname.split("/"):
            folder = folder[:-1] if part == ".." else [*folder, part]
        name = "/".join(folder)
        member = archive.getmember(name)
    return archive.extractfile(member)
