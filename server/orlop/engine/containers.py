"""Containers: from an image and a person's wishes to a running program, and all that follows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from orlop.core import errors, imageconfig
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.engine import containerfilters, containerview, creation, limits, networks, wishes
from orlop.engine.creation import RunOptions
from orlop.engine.limits import LimitWishes
from orlop.engine.networks import Networks
from orlop.engine.settings import Settings
from orlop.rootfs.workshop import Workshop
from orlop.runtime import memberships, restarts, usage
from orlop.runtime.container import Container, ImageOrigin
from orlop.runtime.linux import freezer
from orlop.runtime.logs import LogLine
from orlop.runtime.manager import PATIENCE, Manager
from orlop.runtime.memberships import Memberships
from orlop.runtime.sessions import ExecSession, Session
from orlop.runtime.spec import ExitStatus
from orlop.runtime.usage import Usage
from orlop.store import users
from orlop.store.images import Image
from orlop.store.store import Store
from orlop.store.trash import remove_plainly

if TYPE_CHECKING:
    from orlop.engine.containerwatch import ContainerWatch
    from orlop.engine.copies import Copies
    from orlop.engine.files import Files
    from orlop.engine.following import Turn
    from orlop.engine.volumes import Volumes

# Somebody may still be asking how a container ended that went with its end.
PRUNE_PATIENCE = 1.0


@attrs.frozen(kw_only=True)
class CommitOptions:
    """How a container becomes an image; `changes` are Dockerfile instructions for its configuration."""

    message: str = ""
    author: str = ""
    changes: tuple[str, ...] = ()
    pause: bool = True


class Containers:
    """The use-cases of containers."""

    def __init__(self, store: Store, workshop: Workshop, settings: Settings) -> None:
        self._store = store
        self._workshop = workshop
        self._settings = settings
        self._manager: Manager | None = None

    def create(self, options: RunOptions, job: Job | None = None) -> Container:
        """Create a container; raises `ImageNotFound`, `Conflict` for a name that is taken, `Invalid`."""
        self.tidy(job or Job())
        image = self._store.images.find(options.image)
        config = creation.configuration(image.config.config, options)
        wanted = creation.mounts(image.config.config, options)
        joined = self.networks.wanted(options.network, options.network_aliases)
        creation.specification(self._store, image, options)  # what is wrong shows before volumes are made

        def remember(bundle: Path) -> None:
            users.write(bundle, [layer.id for layer in image.layers], image.id)
            if joined != Memberships():
                memberships.write(bundle, joined)

        with self.volumes.mounts(wanted, image, job or Job()) if wanted else contextlib.nullcontext(()) as mounted:
            created = self.manager.create(
                creation.specification(self._store, image, options, mounted),
                ImageOrigin(options.image, str(image.id)),
                name=options.name,
                labels=config.labels,
                auto_remove=options.remove,
                prepare=remember,
                config=imageconfig.write_run_config(config),
            )
        self._store.journal.bump(("containers",))
        return created

    def start(
        self, name: str, job: Job, *, foreground: bool = False, size: tuple[int, int] | None = None
    ) -> Session | None:
        """Start it; with `foreground` the session that sees all its output."""
        session = self.manager.start(name, job, foreground=foreground, size=size)
        self._store.journal.bump(("containers",))
        return session

    def due(self) -> tuple[Container, ...]:
        """Those that their policies want to run while nobody is there to start them: after a boot, for one."""
        return tuple(item for item in self.manager.list() if restarts.due(item))

    def attach(self, name: str) -> Session:
        """Connect to a running container."""
        return self.manager.attach(name)

    def exec(
        self,
        name: str,
        args: tuple[str, ...],
        *,
        env: tuple[str, ...] = (),
        working_dir: str | None = None,
        user: str | None = None,
        stdio: tuple[int, int, int] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Another program in a running container."""
        return self.manager.exec(name, args, env=env, cwd=working_dir, user=user, stdio=stdio, size=size)

    def finish(self, name: str, job: Job, told: int | None = None) -> int:
        """Wait for the end and return the exit code; a container that was to go with its end is gone afterwards.

        `told` is the code that a session has heard. It stands though somebody removed the container and its records
        since.
        """
        try:
            found = self.manager.inspect(name)
            if told is not None and found.spec.restart.name != "no":
                return told  # it may run again already
            status = self.manager.wait(found.id, job)
        except errors.ContainerNotFound:
            if told is None:
                raise
            return told
        if found.auto_remove:
            self._discard(found.id, job)
        self._store.journal.bump(("containers",))
        return status.code if told is None else told

    def stop(self, name: str, job: Job, timeout: float | None = None) -> ExitStatus:
        """Ask it to end, kill it when it does not."""
        status = self.manager.stop(name, job, timeout=timeout)
        self._store.journal.bump(("containers",))
        return status

    def kill(self, name: str, signal: str) -> None:
        """Send a signal."""
        self.manager.kill(name, signal)
        self._store.journal.bump(("containers",))

    def wait(self, name: str, job: Job) -> ExitStatus:
        """Wait for the end."""
        return self.manager.wait(name, job)

    def remove(self, name: str, job: Job, *, force: bool = False, volumes: bool = False) -> Container:
        """Remove one; with `force` a running one is killed first, with `volumes` its anonymous volumes go too."""
        gone = self.manager.remove(name, job, force=force)
        if volumes or gone.auto_remove:
            self.volumes.forget(gone, job)
        if gone.memberships.networks:
            self.manager.networks.sweep()
        self._store.journal.bump(("containers",))
        return gone

    def restart(self, name: str, job: Job, timeout: float | None = None) -> None:
        """Stop it if it runs, and start it again."""
        found = self.manager.inspect(name)
        self.manager.stop(found.id, job, timeout=timeout)
        self.start(found.id, job)

    def rename(self, name: str, new: str, job: Job) -> None:
        """Give it another name."""
        before = self.manager.inspect(name)
        self.manager.rename(before.id, new, job)
        self.manager.networks.rename(before, new)
        self._store.journal.bump(("containers",))

    def update(self, name: str, asked: LimitWishes, restart: str | None, job: Job) -> None:
        """Change limits and restart policy, of a running container at once; raises `Invalid`, `Unavailable`."""
        policy = None if restart is None else wishes.restart(restart)
        self.manager.update(
            name, job, lambda spec: (limits.wished(asked, spec.limits), spec.restart if policy is None else policy)
        )
        self._store.journal.bump(("containers",))

    def prune(self, job: Job, only: Sequence[str] | None = None) -> tuple[str, ...]:
        """Remove every container that does not run, or of these IDs those that do not; the IDs of what went."""
        self.tidy(job, patience=PRUNE_PATIENCE)
        gone = []
        for each in self.manager.list():
            if not each.alive and (only is None or each.id in only):
                with contextlib.suppress(errors.ContainerNotFound, errors.Conflict):
                    gone.append(self.remove(each.id, job).id)
        return tuple(gone)

    def tidy(self, job: Job, *, patience: float = PATIENCE) -> None:
        """Give back and delete what containers left that were killed, or went with their end `patience` seconds ago.

        What cannot go now goes another time.
        """
        with contextlib.suppress(errors.OrlopError):
            for gone in self.manager.tidy(job, patience=patience):
                self.volumes.forget(gone, job)

    def usage(self, names: tuple[str, ...], job: Job) -> tuple[tuple[Container, Usage | None], ...]:
        """What running containers use, all of them unless some are named."""
        found = tuple(map(self.manager.inspect, names)) if names else self.list()
        used = usage.measure(found, job)
        return tuple((each, used.get(each.id)) for each in found)

    def processes(self, name: str) -> tuple[Container, list[int]]:
        """A running container and its processes, by the numbers they have here; raises `Conflict`."""
        found = self.manager.inspect(name)
        if found.pid is None:
            raise errors.Conflict(f"the container {found.name} is not running")
        return found, freezer.members(found.pid)

    def commit(self, name: str, reference: str | None, options: CommitOptions, job: Job) -> Image:
        """An image of what the container has changed; raises `ContainerNotFound`, `Invalid`, `InvalidReference`."""
        # The builder behind it takes long to import, and is needed only here.
        from orlop.engine import commits  # noqa: PLC0415

        return commits.commit(self._store, self._workshop, self.manager, name, reference, options, job)

    def pause(self, name: str, job: Job) -> None:
        """Hold its processes still."""
        self.manager.pause(name, job)
        self._store.journal.bump(("containers",))

    def unpause(self, name: str, job: Job) -> None:
        """Let them go on."""
        self.manager.unpause(name, job)
        self._store.journal.bump(("containers",))

    def logs(
        self, name: str, job: Job, *, tail: int | None = None, since: str = "", follow: bool = False
    ) -> Iterator[LogLine]:
        """What it wrote."""
        return self.manager.logs(name, job, tail=tail, since=since, follow=follow)

    def follow(
        self, name: str, job: Job, told: Callable[[Turn], None], *, tail: int | None = None
    ) -> Iterator[LogLine]:
        """What it writes in this and all later runs, until it is removed; `told` hears when a run begins or ends."""
        from orlop.engine import following  # noqa: PLC0415

        return following.follow(self.manager, name, job, tail=tail, told=told)

    def watch(self, listener: Callable[[tuple[Container, ...]], None]) -> ContainerWatch:
        """Call `listener` whenever containers changed by themselves or by others, with those that ended."""
        from orlop.engine.containerwatch import ContainerWatch  # noqa: PLC0415

        return ContainerWatch(self._store.root / "containers", listener)

    def list(self, *, every: bool = False, filters: Sequence[tuple[str, str]] = ()) -> tuple[Container, ...]:
        """Running ones, or all, that fit Docker's filters; newest first. A filter by status asks for all."""
        wanted = every or any(kind in ("status", "exited") for kind, _ in filters)
        found = tuple(item for item in self.manager.list() if wanted or item.alive)
        return containerfilters.select(found, filters, lambda name: str(self._store.images.find(name).id))

    def find(self, name: str) -> Container:
        """By name, ID or unique prefix; raises `ContainerNotFound`."""
        return self.manager.inspect(name)

    def inspect(self, name: str) -> dict[str, Any]:
        """Docker's inspect document, as far as it has meaning here."""
        found = self.find(name)
        return containerview.document(found, mode=networks.mode(found), networks=self.networks.settings(found))

    def using(self, image: Digest) -> tuple[str, ...]:
        """The names of the containers of an image."""
        return tuple(item.name for item in self.manager.list() if item.image.id == str(image))

    def images_in_use(self) -> tuple[str, ...]:
        """The image ID of every container."""
        return tuple(item.image.id for item in self.manager.list())

    @cached_property
    def volumes(self) -> Volumes:
        """Volumes."""
        from orlop.engine.volumes import Volumes  # noqa: PLC0415

        return Volumes(self._store, self._workshop, self.manager.list)

    @cached_property
    def networks(self) -> Networks:
        """Networks."""
        return Networks(self._store.journal, lambda: self.manager)

    @cached_property
    def files(self) -> Files:
        """Single files of containers."""
        from orlop.engine.files import Files  # noqa: PLC0415

        return Files(self._workshop, self.manager)

    @cached_property
    def copies(self) -> Copies:
        """Files in and out of containers."""
        from orlop.engine.copies import Copies  # noqa: PLC0415

        return Copies(self._workshop, self.manager)

    def close(self) -> None:
        """Let go; containers go on."""
        if self._manager is not None:
            self._manager.close()

    @property
    def manager(self) -> Manager:
        """Made when first needed: most verbs are about images."""
        if self._manager is None:
            self._manager = Manager(
                self._store.root / "containers",
                self._settings.run_dir,
                remove_tree=self._remove_tree,
                mapping=self._workshop.mapping,
            )
        return self._manager

    def _discard(self, name: str, job: Job) -> None:
        with contextlib.suppress(errors.ContainerNotFound):
            self.volumes.forget(self.manager.remove(name, job), job)

    def _remove_tree(self, path: Path) -> None:
        """Delete what is left of a container; one that changed no file needs no worker, whose start takes time."""
        with contextlib.suppress(OSError):
            if not any((path / "diff").iterdir()):
                remove_plainly(path)
                return
        self._workshop.remove_tree(path)
