"""The directory of all containers: making bundles, finding them by name or ID, throwing them away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime import container, names
from orlop.runtime.container import Container, ImageOrigin
from orlop.runtime.shim import state
from orlop.runtime.spec import ContainerSpec, Mount

_SHORT = 12


class Bundles:
    """`root/<id>/` is one container; names beginning with a dot are our own. Any number of processes share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.from_os(error, f"create {root}") from error

    def create(
        self,
        spec: ContainerSpec,
        image: ImageOrigin,
        *,
        name: str | None,
        labels: Mapping[str, str],
        auto_remove: bool,
        prepare: Callable[[Path], None] | None,
        config: Mapping[str, Any],
    ) -> Container:
        """Make a bundle; `prepare` may put more into its directory before anybody can see it.

        The spec's root file system gets the bundle's own upper directory, and its hosts, hostname and resolv.conf.
        Raises `Conflict` when the name is taken.
        """
        identifier = os.urandom(32).hex()
        draft = self.root / f".new-{identifier}"
        try:
            with self._names_locked():
                taken = {each.name for each in self.list()}
                if name is not None and names.check(name) in taken:
                    raise errors.Conflict(
                        f"the container name {name} is in use",
                        hint=f"Choose another name, or remove that container with `orlop rm {name}`.",
                    )
                full = _completed(spec, self.root, identifier)
                document = {
                    "id": identifier,
                    "name": name or names.new(taken),
                    "image": attrs.asdict(image),
                    "spec": full.to_json(),
                    "created": time.time(),
                    "labels": dict(labels),
                    "auto_remove": auto_remove,
                    "config": dict(config),
                }
                draft.mkdir(mode=0o700)
                for directory in ("diff", "work"):
                    (draft / directory).mkdir(mode=0o755)
                for file in ("hosts", "hostname", "resolv.conf"):
                    (draft / file).touch(mode=0o644)
                    (draft / file).chmod(0o644)
                if prepare is not None:
                    prepare(draft)
                state.write(f"{draft}/{state.CONFIG}", document)
                draft.rename(self.root / identifier)
        except OSError as error:
            raise errors.from_os(error, "create a container") from error
        found = container.read(self.root / identifier)
        assert found is not None
        return found

    def list(self) -> tuple[Container, ...]:
        """All containers, newest first; broken bundles are left out."""
        found = []
        for entry in os.listdir(self.root):
            if not entry.startswith("."):
                with contextlib.suppress(errors.Corrupt):
                    each = container.read(self.root / entry)
                    if each is not None:
                        found.append(each)
        return tuple(sorted(found, key=lambda each: each.created, reverse=True))

    def find(self, text: str) -> Container:
        """By full ID, name, or an ID prefix that only one container has; raises `ContainerNotFound` or `Conflict`."""
        if text and "/" not in text and not text.startswith("."):
            exact = container.read(self.root / text)
            if exact is not None:
                return exact
        everything = self.list()
        for each in everything:
            if each.name == text:
                return each
        matches = [each for each in everything if text and each.id.startswith(text)]
        if len(matches) > 1:
            shown = ", ".join(each.id[:_SHORT] for each in matches[:4])
            raise errors.Conflict(f"the ID {text} is ambiguous: {shown}", hint="Give more of it.")
        if not matches:
            raise errors.ContainerNotFound(
                f"no container {text or '(empty name)'}", hint="List all containers with `orlop ps --all`."
            )
        return matches[0]

    def rename(self, bundle: Path, name: str) -> None:
        """Give a container, whose lock the caller holds, another name; raises `Conflict` when it is taken."""
        with self._names_locked():
            if names.check(name) in {each.name for each in self.list()}:
                raise errors.Conflict(f"the container name {name} is in use", hint="Choose another name.")
            document = state.read(f"{bundle}/{state.CONFIG}")
            if document is None:
                raise errors.ContainerNotFound(f"no container {bundle.name[:_SHORT]}: it was removed")
            try:
                state.write(f"{bundle}/{state.CONFIG}", {**document, "name": name})
            except OSError as error:
                raise errors.from_os(error, f"rename {bundle.name[:_SHORT]}") from error

    @contextlib.contextmanager
    def locked(self, bundle: Path, job: Job) -> Iterator[None]:
        """Hold a container alone while it is started or removed; raises `ContainerNotFound` when it is gone."""
        try:
            fd = os.open(bundle / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise errors.ContainerNotFound(f"no container {bundle.name[:_SHORT]}: it was removed") from None
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    job.token.wait(0.02)
                    job.checkpoint()
            if not bundle.exists():
                raise errors.ContainerNotFound(f"no container {bundle.name[:_SHORT]}: it was removed")
            yield
        finally:
            os.close(fd)

    def discard(self, bundle: Path) -> Path | None:
        """Make a container disappear at once; returns what is left to delete, None when it was gone before."""
        gone = Path(state.gone(str(bundle)))
        try:
            bundle.rename(gone)
        except FileNotFoundError:
            return None
        return gone

    def leftovers(self, patience: float) -> tuple[Path, ...]:
        """What removals, `patience` seconds ago or earlier, and creations that were cut short left behind."""
        found = []
        with contextlib.suppress(BlockingIOError), self._names_locked(wait=False):
            # Who makes a bundle holds this lock, so whatever is half-made now stays so.
            found += [Path(entry.path) for entry in os.scandir(self.root) if entry.name.startswith(".new-")]
        for entry in os.scandir(self.root):
            if entry.name.startswith(".gone-"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - entry.stat(follow_symlinks=False).st_ctime > patience:
                        found.append(Path(entry.path))
        return tuple(found)

    @staticmethod
    @contextlib.contextmanager
    def claimed(left: Path) -> Iterator[bool]:
        """Whether nobody else is at deleting what is left of a container, or will be while the context is open."""
        try:
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            yield False
            return
        try:
            yield True
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _names_locked(self, *, wait: bool = True) -> Iterator[None]:
        fd = os.open(self.root / ".names", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(fd)


def _completed(spec: ContainerSpec, root: Path, identifier: str) -> ContainerSpec:
    bundle = root / identifier
    rootfs = attrs.evolve(
        spec.rootfs, upper=str(bundle / "diff"), work=str(bundle / "work"), skeleton=str(root / ".skeleton")
    )
    chosen: set[Any] = {mount.target for mount in spec.mounts} | {file.target for file in spec.files}
    own = tuple(
        Mount("bind", str(bundle / name), f"/etc/{name}", ("rw", "bind"))
        for name in ("hosts", "hostname", "resolv.conf")
        if f"/etc/{name}" not in chosen
    )
    hostname = spec.hostname or identifier[:_SHORT]
    named = any(item.startswith("HOSTNAME=") for item in spec.env)
    env = spec.env if named else (*spec.env, f"HOSTNAME={hostname}")
    return attrs.evolve(spec, rootfs=rootfs, mounts=(*own, *spec.mounts), hostname=hostname, env=env)
