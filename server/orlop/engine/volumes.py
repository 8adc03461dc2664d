"""Volumes: directories that outlive containers, by name, and filled from the image at first use."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.engine import wishes
from orlop.engine.copies import fill
from orlop.engine.wishes import MountWish
from orlop.rootfs import snapshots
from orlop.rootfs.workshop import Workshop
from orlop.runtime.container import Container
from orlop.runtime.spec import Mount
from orlop.store import durable, locks
from orlop.store.images import Image
from orlop.store.store import Store

_DATA, _FACTS = "_data", "volume.json"


@attrs.frozen(kw_only=True)
class Volume:
    """One volume: `path` is its directory, `created` RFC 3339; an anonymous one goes with its container."""

    name: str
    path: Path
    created: str
    labels: Mapping[str, str]
    anonymous: bool

    def document(self) -> dict[str, Any]:
        """Docker's inspect document."""
        return {
            "CreatedAt": self.created, "Driver": "local", "Labels": dict(self.labels) or None,
            "Mountpoint": str(self.path), "Name": self.name, "Options": None, "Scope": "local",
        }  # fmt: skip


class Volumes:
    """The use-cases of volumes, which live below the store; `containers` lists all containers."""

    def __init__(self, store: Store, workshop: Workshop, containers: Callable[[], Sequence[Container]]) -> None:
        self._store = store
        self._workshop = workshop
        self._containers = containers
        self._root = store.root / "volumes"
        self._lock = store.root / "locks" / "volumes"

    def list(self) -> tuple[Volume, ...]:
        """All, by name."""
        try:
            names = sorted(name for name in os.listdir(self._root) if not name.startswith("."))
        except FileNotFoundError:
            return ()
        return tuple(found for name in names if (found := self._read(name)) is not None)

    def find(self, name: str) -> Volume:
        """The volume of that name; raises `NotFound`."""
        found = self._read(name) if name and "/" not in name and not name.startswith(".") else None
        if found is None:
            raise errors.NotFound(f"no volume {name}", hint="List all volumes with `orlop volume ls`.")
        return found

    def create(self, name: str = "", labels: Mapping[str, str] | None = None, *, anonymous: bool = False) -> Volume:
        """Make a volume, or find the one that has the name; without a name it gets one."""
        chosen = wishes.volume_name(name) if name else os.urandom(32).hex()
        found = self._read(chosen)
        if found is not None:
            return found
        draft = self._root / f".new-{os.urandom(6).hex()}"
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        facts = {"created": created, "labels": dict(labels or {}), "anonymous": anonymous}
        try:
            (draft / _DATA).mkdir(parents=True, mode=0o755)
            os.chmod(draft / _DATA, 0o755)  # noqa: S103 - the container decides who may enter
            os.chmod(draft, 0o711)  # noqa: S103 - on the way to it
            durable.write_file(draft / _FACTS, json.dumps(facts).encode())
            with contextlib.suppress(FileExistsError, OSError):
                draft.rename(self._root / chosen)
        except OSError as error:
            raise errors.from_os(error, f"create volume {chosen}") from error
        if draft.exists():  # somebody else was faster
            self._workshop.remove_tree(draft)
        return self.find(chosen)

    def remove(self, name: str, job: Job) -> None:
        """Remove a volume; raises `Conflict` while a container has it."""
        found = self.find(name)
        with locks.exclusive(self._lock, job):
            users = [each.name for each in self._containers() if found.name in names_of(each, self._root)]
            if users:
                raise errors.Conflict(
                    f"cannot remove volume {found.name}: container {users[0]} uses it",
                    hint=f"Remove the container first (orlop rm {users[0]}).",
                )
            gone = self._root / f".gone-{os.urandom(6).hex()}"
            with contextlib.suppress(FileNotFoundError):
                (self._root / found.name).rename(gone)
        self._workshop.remove_tree(gone)

    def prune(self, job: Job, *, every: bool) -> tuple[str, ...]:
        """Remove the anonymous volumes, or all, that no container has; their names."""
        gone = []
        for each in self.list():
            if every or each.anonymous:
                with contextlib.suppress(errors.Conflict, errors.NotFound):
                    self.remove(each.name, job)
                    gone.append(each.name)
        return tuple(gone)

    def forget(self, container: Container, job: Job) -> None:
        """Remove the anonymous volumes of a container that is gone, unless another has them too."""
        for name in names_of(container, self._root):
            found = self._read(name)
            if found is not None and found.anonymous:
                with contextlib.suppress(errors.Conflict, errors.NotFound):
                    self.remove(name, job)

    @contextlib.contextmanager
    def mounts(self, wanted: Sequence[MountWish], image: Image, job: Job) -> Iterator[tuple[Mount, ...]]:
        """The mounts of a container to be, its volumes made and filled; none of them goes while the context is open."""
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        with locks.shared(self._lock):
            made = []
            for wish in sorted(wanted, key=lambda each: each.target.count("/")):
                job.checkpoint()
                made.append(self._mount(wish, image, job))
            yield tuple(made)

    def _mount(self, wish: MountWish, image: Image, job: Job) -> Mount:
        if wish.kind == "tmpfs":
            return Mount("tmpfs", "", wish.target, (*wish.options, *(("ro",) if wish.readonly else ())))
        source = wish.source
        if wish.kind == "bind":
            if wish.make and not os.path.exists(source):
                try:
                    os.makedirs(source, exist_ok=True)
                except OSError as error:
                    raise errors.from_os(error, f"make {source}") from error
            if not os.path.exists(source):
                raise errors.Invalid(
                    f"cannot mount {source}: no such file or directory", hint="Create it first, or check the spelling."
                )
        else:
            volume = self.create(wish.source, anonymous=not wish.source)
            source = str(volume.path)
            if wish.fill:
                lowers = snapshots.lowers(self._store, image.layers)
                fill(self._workshop, lowers, str(self._store.root / "skeleton"), wish.target, source, job)
        return Mount("bind", source, wish.target, ("ro",) if wish.readonly else ("rw",))

    def _read(self, name: str) -> Volume | None:
        try:
            facts = json.loads((self._root / name / _FACTS).read_bytes())
        except (OSError, ValueError):
            return None
        return Volume(
            name=name,
            path=self._root / name / _DATA,
            created=facts.get("created", ""),
            labels=facts.get("labels", {}),
            anonymous=bool(facts.get("anonymous")),
        )


def names_of(container: Container, root: Path) -> tuple[str, ...]:
    """The volumes that a container has mounted."""
    prefix = f"{root}/"
    return tuple(
        mount.source.removeprefix(prefix).partition("/")[0]
        for mount in container.spec.mounts
        if mount.source.startswith(prefix)
    )
