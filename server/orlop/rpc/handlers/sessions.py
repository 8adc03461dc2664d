"""Handlers of terminals: a run, a shell or an attached program, what is typed at them, and logs."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from orlop.core import errors
from orlop.core.job import Job, Note
from orlop.engine import shells
from orlop.engine.creation import RunOptions
from orlop.engine.engine import Engine
from orlop.engine.following import Turn
from orlop.protocol import containers, sessions
from orlop.rpc.dispatch import Call
from orlop.rpc.typist import Terminal, Typist
from orlop.runtime.sessions import Session

_TERM = ("TERM=xterm-256color", "COLORTERM=truecolor")
_BATCH = 16 << 10


class SessionHandlers:
    """Answers once the program ended; keeps whom to type at by the token of the stream."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._typists: dict[str | int, Typist] = {}

    def run(self, params: containers.ContainerRunParams, call: Call) -> containers.ContainerRunResult:
        """Create and start; stay with it unless detached.

        Cancelling removes a container that was to be removed. The end of this server does not: its container goes on.
        """
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
        call.stream.push(sessions.SessionOpened(id=created.id, name=created.name))
        try:
            code = self._converse(session, params.partial_result_token, call)
        except errors.Cancelled:
            if params.remove and not call.leaving():
                self._engine.containers.remove(created.id, Job(), force=True)
            raise
        code = self._engine.containers.finish(created.id, Job(), code)
        return containers.ContainerRunResult(id=created.id, name=created.name, exit_code=code)

    def exec(self, params: sessions.SessionExecParams, call: Call) -> sessions.SessionResult:
        """Another program in a terminal."""
        job = call.job()
        found = self._engine.containers.find(params.container)
        command = tuple(params.command)
        if not command:
            if not found.alive:
                raise errors.Conflict(f"the container {found.name} is not running", hint="Start it first.")
            command = (shells.choose(self._engine.containers.files, found.id, job),)
        session = self._engine.containers.exec(
            found.id,
            command,
            env=(*_TERM, *params.env),
            working_dir=params.working_dir,
            user=params.user,
            size=(params.columns, params.rows),
        )
        call.stream.push(sessions.SessionOpened(id=found.id, name=found.name))
        try:
            with self._typed_at(session, params.partial_result_token):
                self._show((("stdout", data) for data in session.output(job)), call)
            code, problem = session.wait(job)
        finally:
            session.close()
        if problem is not None:
            raise errors.Unavailable(f"cannot run {command[0]} in {found.name}: {problem}")
        return sessions.SessionResult(exit_code=code)

    def attach(self, params: sessions.SessionAttachParams, call: Call) -> sessions.SessionResult:
        """The container's own program."""
        found = self._engine.containers.find(params.container)
        session = self._engine.containers.attach(found.id)
        call.stream.push(sessions.SessionOpened(id=found.id, name=found.name))
        if found.spec.tty:
            session.resize(params.columns, params.rows)
        if params.replay:
            for line in self._engine.containers.logs(found.id, call.job(), tail=params.replay):
                self._push("stderr" if line.stream == "stderr" else "stdout", line.text, call)
        code = self._converse(session, params.partial_result_token, call)
        if code is None:
            return sessions.SessionResult(exit_code=None)
        return sessions.SessionResult(exit_code=self._engine.containers.finish(found.id, Job(), code))

    def logs(self, params: sessions.ContainerLogsParams, call: Call) -> sessions.SessionResult:
        """What it wrote, and writes."""
        found = self._engine.containers.find(params.container)
        job = call.job()

        def told(turn: Turn) -> None:
            if turn.exit_code is None:
                call.stream.push(sessions.SessionOpened(id=found.id, name=found.name))
            else:
                call.stream.push(sessions.SessionEnded(exit_code=turn.exit_code))

        lines = (
            self._engine.containers.follow(found.id, job, told, tail=params.tail)
            if params.follow
            else self._engine.containers.logs(found.id, job, tail=params.tail)
        )
        for line in lines:
            text = f"{line.time} {line.text}" if params.timestamps else line.text
            self._push("stderr" if line.stream == "stderr" else "stdout", text, call)
        return sessions.SessionResult(exit_code=found.exit.code if found.exit is not None else None)

    def input(self, params: sessions.SessionInput) -> None:
        """Keystrokes; for a session that has ended they go nowhere."""
        typist = self._typists.get(params.token)
        if typist is not None:
            typist.send(params.data.encode("utf-8", "surrogatepass"))
            if params.close:
                typist.close_stdin()

    def resize(self, params: sessions.SessionResize) -> None:
        """Another size."""
        typist = self._typists.get(params.token)
        if typist is not None:
            typist.resize(params.columns, params.rows)

    def _converse(self, session: Session, token: str | int | None, call: Call) -> int | None:
        try:
            with self._typed_at(session, token):
                self._show(session.output(call.job()), call)
            return session.exit_code
        finally:
            session.close()

    @contextlib.contextmanager
    def _typed_at(self, terminal: Terminal, token: str | int | None) -> Iterator[None]:
        if token is None:
            yield
            return
        typist = self._typists[token] = Typist(terminal)
        try:
            yield
        finally:
            self._typists.pop(token, None)
            typist.close()

    def _show(self, output: Iterable[tuple[str, bytes]], call: Call) -> None:
        """Bytes come in any pieces, text goes out whole."""
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        for stream, data in output:
            self._push(stream, decoders[stream].decode(data), call)
        for stream, decoder in decoders.items():
            self._push(stream, decoder.decode(b"", True), call)

    @staticmethod
    def _push(stream: str, text: str, call: Call) -> None:
        for start in range(0, len(text), _BATCH):
            piece = text[start : start + _BATCH]
            event = sessions.SessionOutput(stream="stderr" if stream == "stderr" else "stdout", text=piece)
            call.stream.push_text(event, len(piece), call.token)


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
        call.stream.push(sessions.SessionOutput(stream="stderr", text=f"{event.message}\r\n"))
