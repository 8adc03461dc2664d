"""Lanes: which threads a request runs in, so that a long build never delays a list, and cancel always gets through."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from orlop.core.job import CancelToken

QUICK_THREADS = 4
LONG_THREADS = 8
MOST_STREAMS = 64
WIND_DOWN_SECONDS = 10.0


class Lanes:
    """The thread pools and every cancel token that is out."""

    def __init__(self) -> None:
        self._pools = {
            "quick": ThreadPoolExecutor(QUICK_THREADS, thread_name_prefix="quick"),
            "long": ThreadPoolExecutor(LONG_THREADS, thread_name_prefix="long"),
            "stream": ThreadPoolExecutor(MOST_STREAMS, thread_name_prefix="stream"),
        }
        self._tokens: set[CancelToken] = set()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self.closing = False

    async def run(self, lane: str, token: CancelToken, work: Callable[[], Any]) -> Any:
        """Do `work` in the lane. When this coroutine is cancelled, the token is set and the work winds down first."""
        with self._lock:
            self._tokens.add(token)
        future: Future[Any] = self._pools[lane].submit(work)
        future.add_done_callback(lambda _: self._done(token))
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            token.cancel()
            with contextlib.suppress(BaseException):
                await asyncio.wait_for(asyncio.shield(waiting), WIND_DOWN_SECONDS)
            raise

    def cancel_all(self, seconds: float) -> bool:
        """Set every token and wait so long at most; tells whether all work has ended."""
        with self._lock:
            self.closing = True
            tokens = list(self._tokens)
        for token in tokens:
            token.cancel()
        with self._lock:
            return self._idle.wait_for(lambda: not self._tokens, seconds)

    def _done(self, token: CancelToken) -> None:
        with self._lock:
            self._tokens.discard(token)
            self._idle.notify_all()
