"""Content digests of what a COPY takes from the build context: one for the cache key, remembered file by file.

A file's hash is kept in the store under (device, inode, size, mtime, ctime): the kernel moves ctime with every change,
and nobody can set it back. Files that changed within the last moments are hashed again each time, since a second
change in the same tick of the file system's clock would not move it (git calls this a racy entry).
"""

from __future__ import annotations

import hashlib
import operator
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from orlop.builder.context import Match, unreadable
from orlop.core import errors
from orlop.core.job import Job

StatKey = tuple[int, int, int, int, int]

# Coarser than the clock of any file system that keeps sources (FAT counts in 2 seconds).
_RACY_SECONDS = 2.5
_CHUNK = 1 << 20
_key: Callable[[os.stat_result], StatKey] = operator.attrgetter(
    "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)


class HashMemory(Protocol):
    """Where hashes by stat are kept between builds (`store.files`)."""

    def get_many(self, keys: Iterable[StatKey]) -> dict[StatKey, str]:
        """The hashes that are known."""

    def put_many(self, hashes: Mapping[StatKey, str]) -> None:
        """Remember hashes."""


@attrs.frozen(slots=True)
class Selection:
    """All that one COPY or ADD takes: `digest` names it, `files` and `bytes` tell its size."""

    matches: tuple[Match, ...]
    digest: str
    files: int
    bytes: int


class ContextHasher:
    """Computes selections of one context directory."""

    def __init__(self, root: str, memory: HashMemory, now: Callable[[], float]) -> None:
        self._root = root
        self._memory = memory
        self._now = now
        self._hashes: dict[StatKey, str] = {}

    def select(self, matches: Sequence[Match], job: Job) -> Selection:
        """Name the content of `matches`; raises `Unavailable` for a file that cannot be read."""
        keys: dict[str, StatKey] = {}
        size = 0
        for match in matches:
            for path, status in match.files():
                keys[path] = _key(status)
                size += status.st_size
        self._learn(keys, job)
        hasher = hashlib.sha256()
        for match in matches:
            # The name of a directory never matters: its content is copied.
            name = "" if match.is_dir else match.name
            described = [self._describe(name, match.path, match.status, keys.get(match.path))]
            prefix = f"{match.path}/" if match.path else ""
            for path, status in match.entries:
                full = prefix + path
                described.append(self._describe(path, full, status, keys.get(full)))
            hasher.update(b"%d\0" % len(match.entries))
            hasher.update("\n".join(described).encode(errors="surrogateescape"))
        return Selection(tuple(matches), hasher.hexdigest(), len(keys), size)

    def changed(self, selection: Selection) -> str | None:
        """The first path that is no longer what it was when it was hashed, None when all are."""
        for match in selection.matches:
            for path, before in _entries(match):
                try:
                    after = os.lstat(f"{self._root}/{path}")
                except OSError:
                    return path
                if _key(before) != _key(after) or before.st_mode != after.st_mode:
                    if stat.S_ISDIR(before.st_mode) and stat.S_ISDIR(after.st_mode):
                        continue
                    return path
        return None

    def _describe(self, name: str, path: str, status: os.stat_result, key: StatKey | None) -> str:
        mode = status.st_mode
        if key is not None:
            content = self._hashes[key]
        elif stat.S_ISLNK(mode):
            try:
                content = os.readlink(f"{self._root}/{path}")
            except OSError as error:
                raise unreadable(path, error) from error
        elif stat.S_ISDIR(mode):
            content = _attributes(f"{self._root}/{path}")
        else:
            content = str(status.st_rdev) if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else ""
        return f"{name}\0{mode}\0{content}\0"

    def _learn(self, files: Mapping[str, StatKey], job: Job) -> None:
        """Know the hash of every file, by remembering or by reading."""
        wanted = {key: path for path, key in files.items() if key not in self._hashes}
        if not wanted:
            return
        known = self._memory.get_many(wanted)
        self._hashes.update(known)
        if len(known) == len(wanted):
            return
        fresh: dict[StatKey, str] = {}
        for key, path in wanted.items():
            if key in known:
                continue
            job.checkpoint()
            value, settled = self._hash(path, key, job)
            self._hashes[key] = value
            if settled:
                fresh[key] = value
        if fresh:
            self._memory.put_many(fresh)

    def _hash(self, path: str, key: StatKey, job: Job) -> tuple[str, bool]:
        """The hash, and whether the file has been at rest long enough to remember it."""
        full = f"{self._root}/{path}"
        try:
            descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            hasher = hashlib.sha256()
            while chunk := os.read(descriptor, _CHUNK):
                hasher.update(chunk)
                job.checkpoint()
            after = os.fstat(descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(descriptor)
        if _key(after) != key:
            raise errors.BuildFailed(
                f"cannot read {path!r} of the build context: it changed while it was read",
                hint="Build again once the program that writes it has finished, or list it in .dockerignore.",
            )
        settled = self._now() - after.st_ctime > _RACY_SECONDS
        attributes = _attributes(full)
        if attributes:
            hasher.update(attributes.encode(errors="surrogateescape"))
        return hasher.hexdigest(), settled


def _entries(match: Match) -> Iterable[tuple[str, os.stat_result]]:
    if not match.is_dir:
        return ((match.path, match.status),)
    prefix = f"{match.path}/" if match.path else ""
    return ((prefix + path, status) for path, status in match.entries)


def _attributes(path: str) -> str:
    """The extended attributes that travel into an image; those of security modules belong to the host."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        kept = sorted(name for name in names if not name.startswith("security.") or name == "security.capability")
        values = [(name, os.getxattr(path, name, follow_symlinks=False).hex()) for name in kept]
    except OSError:
        return ""
    return ";" + ";".join(f"{name}={value}" for name, value in values) if values else ""
