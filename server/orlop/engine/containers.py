"""Containers: from an image and a person's wishes to a running program, and all that follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.digest import Digest
from orlop.core.imageconfig import DEFAULT_PATH, RunConfig
from orlop.core.job import Job
from orlop.engine.settings import Settings
from orlop.rootfs import snapshots
from orlop.rootfs.workshop import Workshop
from orlop.runtime.container import Container, ImageOrigin
from orlop.runtime.logs import LogLine
from orlop.runtime.manager import Manager
from orlop.runtime.sessions import ExecSession, Session
from orlop.runtime.spec import ContainerSpec, ExitStatus, NetworkMode, Rootfs
from orlop.store import users
from orlop.store.images import Image
from orlop.store.store import Store

_NETWORKS: Mapping[str, NetworkMode] = {"default": "private", "bridge": "private", "none": "none", "host": "host"}


@attrs.frozen(kw_only=True)
class RunOptions:
    """One container as a front-end asks for it; None means what the image says."""

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    name: str | None = None
    env: tuple[str, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    hostname: str | None = None
    network: str = "default"
    labels: Mapping[str, str] = attrs.field(factory=dict)
    tty: bool = False
    interactive: bool = False
    remove: bool = False
    init: bool = False
    read_only: bool = False


class Containers:
    """The use-cases of containers."""

    def __init__(self, store: Store, workshop: Workshop, settings: Settings) -> None:
        self._store = store
        self._workshop = workshop
        self._settings = settings
        self._manager: Manager | None = None

    def create(self, options: RunOptions) -> Container:
        """Create a container; raises `ImageNotFound`, `Conflict` for a name that is taken, `Invalid`."""
        image = self._store.images.find(options.image)
        spec = self._spec(image, options)

        def remember(bundle: Path) -> None:
            users.write(bundle, [layer.id for layer in image.layers], image.id)

        created = self.manager.create(
            spec,
            ImageOrigin(options.image, str(image.id)),
            name=options.name,
            labels={**image.config.config.labels, **options.labels},
            auto_remove=options.remove,
            prepare=remember,
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

    def finish(self, name: str, job: Job) -> ExitStatus:
        """Wait for the end; a container that was to go with its end is gone afterwards."""
        found = self.manager.inspect(name)
        status = self.manager.wait(found.id, job)
        if found.auto_remove:
            self._discard(found.id, job)
        self._store.journal.bump(("containers",))
        return status

    def stop(self, name: str, job: Job, timeout: float | None = None) -> ExitStatus:
        """Ask it to end, kill it when it does not."""
        status = self.manager.stop(name, job, timeout=timeout)
        self._store.journal.bump(("containers",))
        return status

    def kill(self, name: str, signal: str) -> None:
        """Send a signal."""
        self.manager.kill(name, signal)

    def wait(self, name: str, job: Job) -> ExitStatus:
        """Wait for the end."""
        return self.manager.wait(name, job)

    def remove(self, name: str, job: Job, *, force: bool = False) -> Container:
        """Remove one; with `force` a running one is killed first."""
        gone = self.manager.remove(name, job, force=force)
        self._store.journal.bump(("containers",))
        return gone

    def logs(
        self, name: str, job: Job, *, tail: int | None = None, since: str = "", follow: bool = False
    ) -> Iterator[LogLine]:
        """What it wrote."""
        return self.manager.logs(name, job, tail=tail, since=since, follow=follow)

    def list(self, *, every: bool = False) -> tuple[Container, ...]:
        """Running ones, or all; newest first."""
        return tuple(item for item in self.manager.list() if every or item.status == "running")

    def find(self, name: str) -> Container:
        """By name, ID or unique prefix; raises `ContainerNotFound`."""
        return self.manager.inspect(name)

    def inspect(self, name: str) -> dict[str, Any]:
        """Docker's inspect document, as far as it has meaning here."""
        return _document(self.find(name))

    def using(self, image: Digest) -> tuple[str, ...]:
        """The names of the containers of an image."""
        return tuple(item.name for item in self.manager.list() if item.image.id == str(image))

    def images_in_use(self) -> tuple[str, ...]:
        """The image ID of every container."""
        return tuple(item.image.id for item in self.manager.list())

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
        try:
            self.manager.remove(name, job)
        except errors.ContainerNotFound:
            return

    def _remove_tree(self, path: Path) -> None:
        self._workshop.call("remove", {"path": str(path)}, Job())

    def _spec(self, image: Image, options: RunOptions) -> ContainerSpec:
        config = image.config.config
        args = _arguments(config, options)
        if not args:
            raise errors.Invalid(
                f"cannot run {options.image}: it names no command", hint="Give the command after the image's name."
            )
        if options.network not in _NETWORKS:
            raise errors.Invalid(
                f"cannot use the network {options.network!r}", hint=f"Use one of {', '.join(_NETWORKS)}."
            )
        return ContainerSpec(
            args=args,
            rootfs=Rootfs(
                lowers=tuple(snapshots.lowers(self._store, image.layers)),
                readonly=options.read_only,
                volatile=options.remove,
                skeleton=str(self._store.root / "skeleton"),
            ),
            env=_environment(config, options),
            cwd=options.working_dir or config.working_dir or "/",
            user=options.user if options.user is not None else config.user,
            hostname=options.hostname or "",
            network=_NETWORKS[options.network],
            tty=options.tty,
            stdin_open=options.interactive,
            stop_signal=config.stop_signal or "SIGTERM",
            init=options.init,
        )


def _arguments(config: RunConfig, options: RunOptions) -> tuple[str, ...]:
    """Docker's rule: another entrypoint drops the image's command, another command keeps its entrypoint."""
    if options.entrypoint is not None:
        return (*options.entrypoint, *options.command)
    return (*(config.entrypoint or ()), *(options.command or config.command or ()))


def _environment(config: RunConfig, options: RunOptions) -> tuple[str, ...]:
    pairs = {"PATH": DEFAULT_PATH}
    if options.tty:
        pairs["TERM"] = "xterm"
    pairs |= config.environment()
    for item in options.env:
        name, equals, value = item.partition("=")
        if equals:
            pairs[name] = value
        else:
            pairs.pop(name, None)
    return tuple(f"{name}={value}" for name, value in pairs.items())


def _document(item: Container) -> dict[str, Any]:
    spec = item.spec
    code = item.exit.code if item.exit is not None else 0
    return {
        "Id": item.id,
        "Created": _time(item.created),
        "Path": spec.args[0] if spec.args else "",
        "Args": list(spec.args[1:]),
        "State": {
            "Status": item.status,
            "Running": item.status == "running",
            "Paused": False,
            "OOMKilled": bool(item.exit and item.exit.oom),
            "Pid": item.pid or 0,
            "ExitCode": code,
            "Error": (item.exit.error if item.exit else None) or "",
            "StartedAt": _time(item.started),
            "FinishedAt": _time(item.finished),
        },
        "Image": item.image.id,
        "Name": f"/{item.name}",
        "HostConfig": {
            "NetworkMode": spec.network,
            "AutoRemove": item.auto_remove,
            "ReadonlyRootfs": spec.rootfs.readonly,
        },
        "Config": {
            "Hostname": spec.hostname,
            "User": spec.user,
            "Tty": spec.tty,
            "OpenStdin": spec.stdin_open,
            "Env": list(spec.env),
            "Cmd": list(spec.args),
            "Image": item.image.name,
            "WorkingDir": spec.cwd,
            "Labels": dict(item.labels),
        },
        "NetworkSettings": {"IPAddress": item.address or "", "Ports": {}},
    }


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
