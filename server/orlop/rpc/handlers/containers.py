"""Handlers of `container/*` and of the terminals attached to them."""

from __future__ import annotations

import codecs
import json
import shlex
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from orlop.core import errors
from orlop.core import reference as references
from orlop.core.job import Job, Note
from orlop.engine.containers import CommitOptions
from orlop.engine.creation import RunOptions
from orlop.engine.engine import Engine
from orlop.protocol import containers
from orlop.protocol.common import Empty
from orlop.rpc.dispatch import Call
from orlop.runtime.container import Container
from orlop.runtime.sessions import Session

_KINDS: Mapping[str, Literal["added", "changed", "deleted"]] = {"A": "added", "C": "changed", "D": "deleted"}


class ContainerHandlers:
    """Answers about containers; keeps the open sessions by the token of their stream."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[str | int, Session] = {}
        self._lock = threading.Lock()

    def list(self, params: containers.ContainerListParams, _: Call) -> containers.ContainerListResult:
        """Newest first."""
        return containers.ContainerListResult(
            containers=[_summary(item) for item in self._engine.containers.list(every=params.all)]
        )

    def inspect(self, params: containers.ContainerNameParams, _: Call) -> containers.ContainerInspectResult:
        """Docker's document."""
        document = self._engine.containers.inspect(params.container)
        return containers.ContainerInspectResult(
            id=document["Id"], json=json.dumps(document, indent=4, ensure_ascii=False)
        )

    def run(self, params: containers.ContainerRunParams, call: Call) -> containers.ContainerRunResult:
        """Create and start; stay with it unless detached. Cancelling stops a container that was to be removed."""
        job = call.job(lambda event: _tell(event, call))
        self._engine.image(params.image, params.pull, job)
        created = self._engine.containers.create(_options(params))
        size = (params.columns, params.rows) if params.tty else None
        try:
            session = self._engine.containers.start(created.id, job, foreground=not params.detach, size=size)
        except errors.OrlopError:
            if params.remove:
                self._engine.containers.remove(created.id, Job(), force=True)
            raise
        if session is None:
            return containers.ContainerRunResult(id=created.id, name=created.name, exit_code=None)
        call.stream.push(containers.SessionOpened(id=created.id, name=created.name))
        try:
            code = self._converse(session, params.partial_result_token, call)
        except errors.Cancelled:
            if params.remove:
                self._engine.containers.remove(created.id, Job(), force=True)
            raise
        code = self._engine.containers.finish(created.id, Job(), code)
        return containers.ContainerRunResult(id=created.id, name=created.name, exit_code=code)

    def start(self, params: containers.ContainerStartParams, call: Call) -> Empty:
        """In the background; its output is in its log."""
        self._engine.containers.start(params.container, call.job())
        return Empty()

    def restart(self, params: containers.ContainerRestartParams, call: Call) -> Empty:
        """Stop and start."""
        self._engine.containers.restart(params.container, call.job(), params.timeout)
        return Empty()

    def commit(self, params: containers.ContainerCommitParams, call: Call) -> containers.ContainerCommitResult:
        """Docker's commit."""
        options = CommitOptions(
            message=params.message, author=params.author, changes=tuple(params.changes), pause=params.pause
        )
        reference = params.reference or None
        image = self._engine.containers.commit(params.container, reference, options, call.job())
        base = self._engine.images.parent(image)
        return containers.ContainerCommitResult(
            id=str(image.id),
            reference=None if reference is None else references.parse(reference).or_latest().familiar,
            size=image.size - (base.size if base is not None else 0),
        )

    def diff(self, params: containers.ContainerNameParams, call: Call) -> containers.ContainerDiffResult:
        """What it changed."""
        rows = self._engine.containers.copies.changes(params.container, call.job())
        return containers.ContainerDiffResult(
            changes=[containers.ContainerChange(kind=_KINDS[kind], path=path) for kind, path in rows]
        )

    def stop(self, params: containers.ContainerStopParams, call: Call) -> Empty:
        """Ask, then kill."""
        self._engine.containers.stop(params.container, call.job(), params.timeout)
        return Empty()

    def kill(self, params: containers.ContainerKillParams, _: Call) -> Empty:
        """Send a signal."""
        self._engine.containers.kill(params.container, params.signal)
        return Empty()

    def remove(self, params: containers.ContainerRemoveParams, call: Call) -> containers.ContainerRemoveResult:
        """Remove each."""
        removed = [
            self._engine.containers.remove(name, call.job(), force=params.force).id for name in params.containers
        ]
        return containers.ContainerRemoveResult(removed=removed)

    def input(self, params: containers.SessionInput) -> None:
        """Keystrokes; for a session that has ended they go nowhere."""
        session = self._sessions.get(params.token)
        if session is not None:
            if params.data:
                session.send(params.data.encode("utf-8", "surrogatepass"))
            if params.close:
                session.close_stdin()

    def resize(self, params: containers.SessionResize) -> None:
        """Another size."""
        session = self._sessions.get(params.token)
        if session is not None:
            session.resize(params.columns, params.rows)

    def _converse(self, session: Session, token: str | int | None, call: Call) -> int | None:
        if token is not None:
            self._sessions[token] = session
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        try:
            for stream, data in session.output(call.job()):
                text = decoders[stream].decode(data)
                if text:
                    event = containers.SessionOutput(stream="stdout" if stream == "stdout" else "stderr", text=text)
                    call.stream.push_text(event, len(text), call.token)
            return session.exit_code
        finally:
            session.close()
            if token is not None:
                self._sessions.pop(token, None)


def _options(params: containers.ContainerRunParams) -> RunOptions:
    return RunOptions(
        image=params.image,
        command=tuple(params.command),
        entrypoint=None if params.entrypoint is None else tuple(params.entrypoint),
        name=params.name,
        env=tuple(f"{name}={value}" for name, value in params.env.items()),
        working_dir=params.working_dir,
        user=params.user,
        network=params.network,
        tty=params.tty,
        interactive=params.interactive,
        remove=params.remove,
    )


def _tell(event: Any, call: Call) -> None:
    if isinstance(event, Note):
        call.stream.push(containers.SessionOutput(stream="stderr", text=f"{event.message}\r\n"))


def _summary(item: Container) -> containers.ContainerSummary:
    code = item.exit.code if item.exit is not None else None
    ended = f"{'Restarting' if item.status == 'restarting' else 'Exited'} ({code})"
    status = {"created": "Created", "running": "Up", "paused": "Paused"}.get(item.status, ended)
    health = item.health.status if item.health is not None and item.pid is not None else None
    return containers.ContainerSummary(
        id=item.id,
        name=item.name,
        image=item.image.name,
        image_id=item.image.id,
        command=shlex.join(item.spec.args),
        created=datetime.fromtimestamp(item.created, UTC).isoformat(),
        state=item.status,
        status=status,
        exit_code=code,
        health=health,
    )
