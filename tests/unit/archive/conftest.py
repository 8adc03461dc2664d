"""Helpers of the archive tests: make a tar from entries, unpack one, describe a tree completely."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from orlop.archive import apply, overlay
from orlop.archive.entry import Entry
from orlop.archive.tarstream import TarWriter

Member = Entry | tuple[Entry, bytes]


def make_tar(*members: Member) -> bytes:
    out = io.BytesIO()
    writer = TarWriter(out.write)
    for member in members:
        entry, data = member if isinstance(member, tuple) else (member, b"")
        entry.size = len(data)
        writer.add(entry, io.BytesIO(data))
    writer.finish()
    return out.getvalue()


def describe(root: str | os.PathLike[str]) -> dict[bytes, tuple[object, ...]]:
    """Everything a layer's tree says, by relative path; overlay marks included, the root's own time left out."""
    base = os.fsencode(root)
    found: dict[bytes, tuple[object, ...]] = {}
    links: dict[tuple[int, int], list[bytes]] = {}
    pending = [b""]
    while pending:
        path = pending.pop()
        full = os.path.join(base, path) if path else base
        status = os.lstat(full)
        same = links.setdefault((status.st_dev, status.st_ino), [])
        same.append(path)
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = Path(os.fsdecode(full)).read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(full)
        elif stat.S_ISDIR(status.st_mode):
            content = overlay.is_opaque(os.fsdecode(full))
            pending.extend(os.path.join(path, name) for name in os.listdir(full))
        elif not stat.S_ISFIFO(status.st_mode):
            content = status.st_rdev
        whiteout = overlay.is_whiteout(status)
        xattrs = tuple(
            (name, os.getxattr(full, name, follow_symlinks=False))
            for name in sorted(os.listxattr(full, follow_symlinks=False))
            if overlay.is_content(os.fsencode(name))
        )
        found[path] = (
            stat.S_IFMT(status.st_mode),
            0 if whiteout else stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            0 if whiteout or not path else status.st_mtime_ns,
            content,
            xattrs,
            same,
        )
    for same in links.values():
        same.sort()
    return found


class Unpacked:
    """A directory a tar was applied to, and what `apply` said of it."""

    def __init__(self, root: Path, result: apply.Applied) -> None:
        self.root = root
        self.result = result

    def names(self) -> set[str]:
        return {os.fsdecode(name) for name in describe(self.root) if name}

    def is_opaque(self, name: str) -> bool:
        return overlay.is_opaque(str(self.root / name))

    def is_whiteout(self, name: str) -> bool:
        return overlay.is_whiteout(os.lstat(self.root / name))


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., Unpacked]:
    """Apply members, or the bytes of a tar, to a fresh directory that has a guarded neighbor."""
    count = 0

    def run(*members: Member | bytes, **options: object) -> Unpacked:
        nonlocal count
        count += 1
        root = tmp_path / f"jail{count}" / "root"
        root.mkdir(parents=True)
        data = members[0] if len(members) == 1 and isinstance(members[0], bytes) else make_tar(*members)  # type: ignore[arg-type]
        assert isinstance(data, bytes)
        result = apply.apply(io.BytesIO(data), str(root), apply.ApplyOptions(**options))  # type: ignore[arg-type]
        return Unpacked(root, result)

    return run


@pytest.fixture(scope="session")
def tar() -> Callable[..., bytes]:
    return make_tar


@pytest.fixture
def tree() -> Callable[[str | os.PathLike[str]], dict[bytes, tuple[object, ...]]]:
    return describe


@pytest.fixture
def in_user_namespace(tmp_path: Path) -> Iterable[Callable[[str], str]]:
    """Run Python source as root of a user namespace that an ordinary account made, with its range of IDs."""
    if shutil.which("newuidmap") is None or shutil.which("unshare") is None:
        pytest.skip("newuidmap or unshare is not installed")
    command = ["unshare", "--map-root-user", "--map-auto", "--", sys.executable, "-c"]
    work = tmp_path / "rootless"
    work.mkdir()
    if os.geteuid() == 0:
        if subprocess.run(["id", "orloptest"], capture_output=True, check=False).returncode:
            pytest.skip("there is no ordinary account orloptest to be rootless with")
        command = ["runuser", "-u", "orloptest", "--", *command]
        shutil.chown(work, "orloptest", "orloptest")
        for parent in [tmp_path, *tmp_path.parents][:3]:
            parent.chmod(parent.stat().st_mode | 0o111)

    def run(source: str) -> str:
        done = subprocess.run([*command, source], capture_output=True, text=True, check=False, cwd=work)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    if os.geteuid() == 0:
        shutil.rmtree(work, ignore_errors=True)
