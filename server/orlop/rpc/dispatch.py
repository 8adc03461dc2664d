"""From a method of the table to its handler and back: parameters structured, work in its lane, errors rendered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import attrs
from lsprotocol import types

from orlop.core.job import CancelToken, Job, Sink
from orlop.protocol import methods, wire
from orlop.rpc import errors
from orlop.rpc.jobs import Lanes
from orlop.rpc.server import Server
from orlop.rpc.streams import Stream


@attrs.frozen
class Call:
    """What a handler gets beside its parameters: where its events go and how it is cancelled."""

    stream: Stream
    token: CancelToken
    report: Callable[[str], None]
    leaving: Callable[[], bool] = lambda: False
    """Whether all work is being cancelled because this server ends, not because somebody asked."""

    def job(self, sink: Sink | None = None) -> Job:
        """A job of this call."""
        return Job(sink, self.token)


Handler = Callable[[Any, Call], Any]


class Dispatcher:
    """Binds handlers to the rows of the table and keeps the streams that are open, by token."""

    def __init__(self, server: Server, lanes: Lanes, pending: Callable[[], int]) -> None:
        self._server = server
        self._lanes = lanes
        self._pending = pending
        self._streams: dict[str | int, Stream] = {}
        self.bound: set[str] = set()

    def bind(self, row: methods.Request, handler: Handler) -> None:
        """Answer the requests of `row` with what `handler` returns, a value of the row's result type."""
        self.bound.add(row.name)
        self._server.add(row.name, self._answering(row, handler))

    def listen(self, row: methods.Notification, handler: Callable[[Any], None]) -> None:
        """Hand the notifications of `row` to `handler`, in order; it must not block."""
        self.bound.add(row.name)

        def receive(params: Any) -> None:
            handler(wire.structure(params, row.params))

        self._server.add(row.name, receive)

    def notify(self, row: methods.Notification, params: Any) -> None:
        """Tell the client something; from any thread."""
        self._server.protocol.notify(row.name, wire.unstructure(params))

    def ack(self, token: str | int, characters: int) -> None:
        """The client has shown so much of a stream; a stream that has ended is no error."""
        stream = self._streams.get(token)
        if stream is not None:
            stream.ack(characters)

    def _answering(self, row: methods.Request, handler: Handler) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        async def answer(raw: Any) -> Any:
            try:
                params = wire.structure(raw, row.params)
            except wire.BadParams as error:
                raise errors.invalid_params(f"bad parameters of {row.name}: {error}") from None
            call = Call(self._open_stream(params), CancelToken(), self._reporter(params), lambda: self._lanes.closing)
            with self._cancellable(params, call.token):
                try:
                    return await self._lanes.run(row.lane, call.token, lambda: self._work(handler, params, call))
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001  # the edge where errors become answers
                    raise errors.render(error) from None
                finally:
                    self._streams.pop(call.stream.token or "", None)

        return answer

    @staticmethod
    def _work(handler: Handler, params: Any, call: Call) -> Any:
        try:
            return wire.unstructure(handler(params, call))
        finally:
            call.stream.flush()

    def _open_stream(self, params: Any) -> Stream:
        token = getattr(params, "partial_result_token", None)
        stream = Stream(token, self._send_progress, self._pending)
        if token is not None:
            self._streams[token] = stream
        return stream

    def _send_progress(self, token: str | int, value: Any) -> None:
        self._server.protocol.notify(types.PROGRESS, types.ProgressParams(token=token, value=value))

    def _reporter(self, params: Any) -> Callable[[str], None]:
        token = getattr(params, "work_done_token", None)
        if token is None:
            return lambda _: None
        return lambda message: self._send_progress(token, {"kind": "report", "message": message})

    @contextlib.contextmanager
    def _cancellable(self, params: Any, cancel: CancelToken) -> Iterator[None]:
        """Let `window/workDoneProgress/cancel` reach the job; pygls cancels the future it finds under the token."""
        token = getattr(params, "work_done_token", None)
        if token is None:
            yield
            return
        tokens = self._server.protocol.progress.tokens
        future: Future[Any] = Future()
        future.add_done_callback(lambda done: cancel.cancel() if done.cancelled() else None)
        tokens[token] = future
        try:
            yield
        finally:
            tokens.pop(token, None)
