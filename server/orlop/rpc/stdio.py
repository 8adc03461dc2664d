"""Claims stdin and stdout for the protocol before anything else can write there, and writes without ever blocking."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import BinaryIO

_INPUT, _OUTPUT, _ERROR = 0, 1, 2


def claim() -> tuple[BinaryIO, BinaryIO]:
    """Move the protocol's pipes to close-on-exec descriptors; stdin becomes empty, stdout goes to stderr.

    Afterwards a stray `print`, or a child that inherits descriptors, can neither corrupt the stream nor hold it open.
    """
    source = os.dup(_INPUT)
    sink = os.dup(_OUTPUT)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, _INPUT)
    os.close(null)
    os.dup2(_ERROR, _OUTPUT)
    return os.fdopen(source, "rb"), os.fdopen(sink, "wb", buffering=0)


class Outbox:
    """A file for one writer thread: `write` only queues, so a client that stops reading never stops the server."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._queue: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._pending = 0
        self._closed = False
        self._thread = threading.Thread(target=self._drain, name="outbox", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._pending

    def write(self, data: bytes) -> int:
        """Queue one whole message."""
        with self._changed:
            if not self._closed:
                self._queue.append(data)
                self._pending += len(data)
                self._changed.notify_all()
        return len(data)

    def flush(self) -> None:
        """Nothing to do: the writer thread drains at once."""

    def close(self) -> None:
        """Take no more messages and wait a second for those queued to be written."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending == 0 or self._closed, timeout=1)
            self._closed = True
            self._changed.notify_all()

    def _drain(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                data = self._queue.popleft()
            if not self._write_all(data):
                return
            with self._changed:
                self._pending -= len(data)
                self._changed.notify_all()

    def _write_all(self, data: bytes) -> bool:
        view = memoryview(data)
        try:
            while view:
                view = view[self._sink.write(view) :]
        except (OSError, ValueError):
            with self._changed:
                self._closed = True
                self._queue.clear()
                self._pending = 0
                self._changed.notify_all()
            return False
        return True
