"""Containers from creation to removal: start, attach, exec, signals, stop, wait, logs; several processes at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal as signals_module
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime import bundles, container, logs, pausing, remains, restarts, sessions, updating, userns
from orlop.runtime.container import Container, ImageOrigin
from orlop.runtime.linux import signals
from orlop.runtime.networks import Networks
from orlop.runtime.sessions import ExecSession, Session
from orlop.runtime.shim import state
from orlop.runtime.shims import Shims
from orlop.runtime.spec import ContainerSpec, ExitStatus, Limits, Restart
from orlop.runtime.starting import Starter

# A front-end that saw its container end removes it itself, within this many seconds.
PATIENCE = 10.0
_LOOK_AGAIN = 0.05
_GONE_EXIT = ExitStatus(255, error="the exit code is unknown: the container and its records went with its end")


class Manager:
    """`root` holds the bundles, `run_dir` sockets and the network's state; `remove_tree` deletes mapped owners' trees.

    Thread-safe. Containers, by name, ID or unique prefix of it, outlive this object and its process.
    """

    def __init__(
        self,
        root: Path,
        run_dir: Path,
        *,
        remove_tree: Callable[[Path], None],
        mapping: userns.IdMapping | None = None,
    ) -> None:
        self._bundles = bundles.Bundles(root)
        self._remove_tree = remove_tree
        self._shims = Shims()
        self.networks = Networks(root.parent / "networks", run_dir, mapping or userns.for_current_user(), self._shims)
        self._starter = Starter(run_dir, mapping or userns.for_current_user(), self._shims, self.networks.defined)
        try:
            run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.from_os(error, f"create {run_dir}") from error

    def close(self) -> None:
        """Let go; containers go on."""
        self._shims.close()

    def create(
        self,
        spec: ContainerSpec,
        image: ImageOrigin,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        auto_remove: bool = False,
        prepare: Callable[[Path], None] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Container:
        """Create a container whose root is `spec.rootfs.lowers`; see `Bundles.create`."""
        return self._bundles.create(
            spec, image, name=name, labels=labels or {}, auto_remove=auto_remove, prepare=prepare, config=config or {}
        )

    def list(self) -> tuple[Container, ...]:
        """All containers, newest first."""
        return self._bundles.list()

    def inspect(self, text: str) -> Container:
        """One container; raises `ContainerNotFound`, or `Conflict` for an ambiguous prefix."""
        return self._bundles.find(text)

    def start(
        self, text: str, job: Job, *, foreground: bool = False, size: tuple[int, int] | None = None
    ) -> Session | None:
        """Start a container that does not run; with `foreground` returns the session that sees all its output.

        `size` is the terminal's (columns, rows). Raises `Unavailable`, `Invalid` or what else kept it from starting;
        the reason and the exit code 125 to 127 are then those of the container too. A running one is left alone when
        not in the foreground, and is a `Conflict` otherwise.
        """
        found = self.inspect(text)
        with self._bundles.locked(found.bundle, job):
            current = self.inspect(found.id)
            if current.alive:
                if foreground:
                    raise errors.Conflict(
                        f"the container {current.name} is running", hint="Attach to it, or stop it first."
                    )
                return None
            _restore(current.bundle)
            other = None
            if current.memberships.shared is not None:
                other = self._running(current.memberships.shared)
            try:
                return self._starter.start(current, job, foreground=foreground, size=size, other=other)
            except BaseException:
                _restore(current.bundle)  # its shim may have been killed
                raise

    def attach(self, text: str) -> Session:
        """Connect to a running container; sees what it writes from now on."""
        found = self._running(text)
        if found.socket is not None:
            with contextlib.suppress(OSError):
                return sessions.connect(found.socket)
        raise errors.Conflict(
            f"cannot attach to {found.name}: it has ended or lost its shim", hint="Look at its log, or restart it."
        )

    def exec(
        self,
        text: str,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str | None = None,
        user: str | None = None,
        stdio: tuple[int, int, int] | None = None,
        size: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Start another program in a running container, with descriptors of ours or, without them, a terminal.

        It has the container's environment and then `env`, its user unless given, its confinement. It is killed when
        this process ends. Why it could not start is told by `ExecSession.wait`.
        """
        found = self._running(text)
        if found.status == "paused":
            raise errors.Conflict(
                f"the container {found.name} is paused", hint=f"Let it go on with `orlop unpause {found.name}`."
            )
        last = state.read(f"{found.bundle}/{state.STATE}") or {}
        spec = attrs.evolve(
            found.spec,
            args=tuple(args),
            env=(*found.spec.env, *env),
            cwd=cwd or found.spec.cwd,
            user=found.spec.user if user is None else user,
            init=False,
        )
        message = {"exec": {"init": last["init"], "cgroups": last["cgroups"], "spec": {**spec.to_json(), "size": size}}}
        channel = self._shims.request(message, stdio or ())
        if stdio is not None:
            return ExecSession(channel, None)
        received = channel.receive()
        if received is None or "terminal" not in received[0]:
            channel.close()
            reason = received[0]["error"] if received is not None else "its helper was killed"
            raise errors.Unavailable(f"cannot run {args[0] if args else 'nothing'} in {found.name}: {reason}")
        return ExecSession(channel, received[1][0])

    def kill(self, text: str, signal: str = "SIGKILL") -> None:
        """Send a signal, by name or number, to the first process of a running container.

        One that is to end it ends its restarts as well. After SIGKILL the container has ended when this returns.
        """
        number = signals.number(signal)
        found = self.inspect(text)
        if found.alive and number in (signals_module.SIGKILL, signals.number(found.spec.stop_signal)):
            found = self._let_end(found, Job())
            if not found.alive:
                return
        found = self._running(found.id)
        if not _send_signal(found.bundle, number):
            raise errors.Conflict(f"cannot kill {found.name}: it is not running")
        if number == signals_module.SIGKILL:
            self._ended_within(found, PATIENCE, Job())

    def stop(self, text: str, job: Job, *, timeout: float | None = None) -> ExitStatus:
        """Ask a container to end by its stop signal, kill it after `timeout` seconds; returns how it ended.

        One that does not run is left as it is, except that one that waits to be started again no longer does.
        """
        found = self._let_end(self.inspect(text), job)
        if found.alive and _send_signal(found.bundle, signals.number(found.spec.stop_signal)):
            patience = found.spec.stop_timeout if timeout is None else timeout
            if not self._ended_within(found, patience, job):
                _send_signal(found.bundle, signals_module.SIGKILL)
        self._ended_within(found, None, job)
        status = _end_of(found)
        self._settle(found.bundle, job)
        if status is None and not found.auto_remove:
            raise errors.ContainerNotFound(f"no container {found.name}: it was removed")
        return status or _GONE_EXIT

    def wait(self, text: str, job: Job) -> ExitStatus:
        """Wait until a run of a container ends, and say how; at once when it does not run. Raises `Cancelled`."""
        found = self.inspect(text)
        while found.status == "restarting":
            job.token.wait(_LOOK_AGAIN)
            job.checkpoint()
            found = self.inspect(found.id)
        self._ended_within(found, None, job)
        status = _end_of(found)
        if status is None:
            raise errors.ContainerNotFound(f"no container {found.name}: it was removed")
        return status

    def logs(
        self,
        text: str,
        job: Job,
        *,
        tail: int | None = None,
        since: str = "",
        follow: bool | Callable[[], bool] = False,
    ) -> Iterator[logs.LogLine]:
        """What a container wrote; with `follow` until it ends, or as long as that says true."""
        found = self.inspect(text)
        alive = (lambda: container.identity(found.bundle) is not None) if follow else None
        going = follow if callable(follow) else alive
        return logs.read(found.bundle, job, tail=tail, since=since, follow=going)

    def remove(self, text: str, job: Job, *, force: bool = False) -> Container:
        """Remove a container that does not run, or with `force` kill it first; returns what was removed."""
        found = self.inspect(text)
        if found.alive:
            if not force:
                raise errors.Conflict(
                    f"cannot remove {found.name}: it is {found.status}",
                    hint="Stop it first, or remove it with --force.",
                )
            self._let_end(found, job)
            _send_signal(found.bundle, signals_module.SIGKILL)
            self._ended_within(found, None, job)
        try:
            with self._bundles.locked(found.bundle, job):
                _restore(found.bundle)
                gone = self._bundles.discard(found.bundle)
        except errors.ContainerNotFound:
            if not found.auto_remove:
                raise
            gone = None  # it went with its end
        if gone is not None:
            self._delete(gone)
        return found

    def rename(self, text: str, name: str, job: Job) -> Container:
        """Give it another name; raises `Conflict` when another container has it, `Invalid` for a malformed one."""
        found = self.inspect(text)
        with self._bundles.locked(found.bundle, job):
            self._bundles.rename(found.bundle, name)
        return self.inspect(found.id)

    def update(self, text: str, job: Job, change: Callable[[ContainerSpec], tuple[Limits, Restart]]) -> Container:
        """Change what `change` makes of its limits and policy; see `updating.update`."""
        found = self.inspect(text)
        with self._bundles.locked(found.bundle, job):
            current = self.inspect(found.id)
            updating.update(current, *change(current.spec))
        return self.inspect(found.id)

    def pause(self, text: str, job: Job) -> Container:
        """Hold all its processes still; raises `Conflict` when it does not run or is paused already."""
        found = self.inspect(text)
        with self._bundles.locked(found.bundle, job):
            pausing.pause(self.inspect(found.id))
        return found

    def unpause(self, text: str, job: Job) -> Container:
        """Let them go on; raises `Conflict` when it is not paused."""
        found = self.inspect(text)
        with self._bundles.locked(found.bundle, job):
            pausing.unpause(self.inspect(found.id))
        return found

    @contextlib.contextmanager
    def locked(self, text: str, job: Job, *, pause: bool = False) -> Iterator[Container]:
        """Keep a container from being started and removed, and with `pause` from changing anything meanwhile."""
        found = self.inspect(text)
        with self._bundles.locked(found.bundle, job):
            current = self.inspect(found.id)
            with pausing.held(current, self._shims) if pause else contextlib.nullcontext():
                yield current

    @staticmethod
    def root(found: Container) -> int:
        """The root directory of a running container as it sees it, opened with O_PATH; raises `Conflict`."""
        identity = container.identity(found.bundle)
        if identity is not None:
            with contextlib.suppress(OSError):
                fd = os.open(f"/proc/{identity['pid']}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                if state.alive(identity):
                    return fd
                os.close(fd)
        raise errors.Conflict(f"cannot look into {found.name}: it has just ended", hint="Try again.")

    def stubs(self, found: Container) -> Mapping[str, Any]:
        """The mount points in the upper directory of a running container that were made for it (`init.stubs`)."""
        last = state.read(f"{found.bundle}/{state.STATE}") if found.pid is not None else None
        record: Mapping[str, Any] = (last or {}).get("stubs") or {}
        return record

    def tidy(self, job: Job, *, patience: float = PATIENCE) -> tuple[Container, ...]:
        """Finish what killed processes left half-done, and remove ended containers that were to go with their end.

        Returns containers that went by themselves. What ended or was removed within `patience` seconds is left to
        whoever is at it.
        """
        gone = []
        for each in self.list():
            if each.auto_remove and each.status == "exited" and time.time() - (each.finished or 0) > patience:
                with contextlib.suppress(errors.ContainerNotFound, errors.Conflict):
                    gone.append(self.remove(each.id, job))
            else:
                self._settle(each.bundle, job)
        for path in self._bundles.leftovers(patience):
            job.checkpoint()
            with contextlib.suppress(errors.Corrupt):
                found = container.read(path)
                gone += [found] if found is not None and found.auto_remove else []
            self._delete(path)
        return tuple(gone)

    def _let_end(self, found: Container, job: Job) -> Container:
        """Have the run that goes on be the last one, and return the container as it is then."""
        alone = self._bundles.locked(found.bundle, job) if found.spec.restart.name != "no" else contextlib.nullcontext()
        with alone:
            current = self.inspect(found.id)
            restarts.stop(current)
        return self.inspect(found.id) if current.status == "restarting" else current

    def _delete(self, left: Path) -> None:
        """Delete what is left of a container, unless somebody else is at it."""
        with self._bundles.claimed(left) as ours:
            if ours:
                self._remove_tree(left)

    def _settle(self, bundle: Path, job: Job) -> None:
        """Do `_restore` where something may be to do."""
        if remains.left(str(bundle)) or any(os.path.exists(bundle / name) for name in (state.HELD, state.PAUSED)):
            with contextlib.suppress(errors.ContainerNotFound), self._bundles.locked(bundle, job):
                _restore(bundle)

    def _running(self, text: str) -> Container:
        found = self.inspect(text)
        if found.status == "restarting":
            raise errors.Conflict(
                f"the container {found.name} is restarting", hint="Wait until it runs; its log may say why it ended."
            )
        if not found.alive:
            raise errors.Conflict(
                f"the container {found.name} is not running", hint=f"Start it with `orlop start {found.name}`."
            )
        return found

    @staticmethod
    def _ended_within(found: Container, seconds: float | None, job: Job) -> bool:
        """Wait for the end of a container; False when time ran out. Ended means: how it ended is on disk."""
        identity = container.identity(found.bundle)
        deadline = None if seconds is None else time.monotonic() + seconds
        if identity is None:
            return True
        try:
            pidfd = os.pidfd_open(identity["pid"])
        except ProcessLookupError:
            return True
        try:
            while not _readable(pidfd, deadline, job):
                if deadline is not None and time.monotonic() >= deadline:
                    return False
        finally:
            os.close(pidfd)
        # The program is a zombie now; the shim reaps it once the end is written.
        while container.identity(found.bundle) == identity:
            job.token.wait(0.002)
            job.checkpoint()
        return True


def _end_of(found: Container) -> ExitStatus | None:
    """How a container that does not run has ended, though it went with its end; None when its files are gone."""
    # The first process is gone a moment after its end is on disk, except when the shim was killed.
    after = container.read(found.bundle) or container.read(Path(state.gone(str(found.bundle))))
    if after is None:
        return None
    return found.exit or after.exit or restarts.last_exit(after.bundle) or ExitStatus(0)


def _restore(bundle: Path) -> None:
    """Give back what a shim or a holder that was killed left behind; the caller holds the container's lock."""
    remains.clear(str(bundle))
    pausing.settle(bundle)


def _readable(fd: int, deadline: float | None, job: Job) -> bool:
    """Wait for a descriptor, at most to the deadline; a cancelled job ends the waiting by raising."""
    woken, waker = socket.socketpair()

    def wake() -> None:
        with contextlib.suppress(OSError):
            waker.shutdown(socket.SHUT_RDWR)

    with woken, waker:
        forget = job.token.on_cancel(wake)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.register(woken, select.POLLIN)
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = [each for each, _ in poll.poll(remaining)]
        finally:
            forget()
    job.checkpoint()
    return fd in ready


def _send_signal(bundle: Path, number: int) -> bool:
    """Signal a container's first process, and surely no other; False when it has ended."""
    identity = container.identity(bundle)
    if identity is None:
        return False
    try:
        pidfd = os.pidfd_open(identity["pid"])
    except ProcessLookupError:
        return False
    try:
        if not state.alive(identity):
            return False
        signals_module.pidfd_send_signal(pidfd, number)
        pausing.thaw(bundle)  # a paused container would not notice
        pausing.settle(bundle)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True
