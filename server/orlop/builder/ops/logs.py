"""The output of a RUN on its way: told piece by piece as text, with the last lines kept for the error message."""

from __future__ import annotations

import codecs
import os
import selectors
import threading
from collections import deque
from typing import Literal, Self

from orlop.builder.events import StepLog
from orlop.core.job import Job

_PIECE = 1 << 16
_LAST_LINES = 20
_LAST_CHARACTERS = 4_000

Stream = Literal["stdout", "stderr"]


class LogPump:
    """Two pipes and a thread that reads them to their end; a context manager that leaves nothing open.

    `stdout` and `stderr` are the writing ends for the process.
    """

    def __init__(self, step: int, job: Job) -> None:
        self._step = step
        self._job = job
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._line = {"stdout": "", "stderr": ""}
        out, self.stdout = os.pipe2(os.O_CLOEXEC)
        err, self.stderr = os.pipe2(os.O_CLOEXEC)
        self._reading: dict[int, Stream] = {out: "stdout", err: "stderr"}
        self._thread = threading.Thread(target=self._pump, name=f"log-{step}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Close our writing ends and wait until everything that was written has been told."""
        for name in ("stdout", "stderr"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)
        self._thread.join()

    def last_lines(self) -> str:
        """The end of the output, for an error's detail."""
        lines = [*self._last, *(line for line in self._line.values() if line)]
        return "\n".join(lines)[-_LAST_CHARACTERS:]

    def _pump(self) -> None:
        decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in self._reading.values()}
        with selectors.DefaultSelector() as selector:
            for descriptor, stream in self._reading.items():
                selector.register(descriptor, selectors.EVENT_READ, stream)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, _PIECE)
                    stream = key.data
                    self._tell(stream, decoders[stream].decode(data, final=not data))
                    if not data:
                        selector.unregister(key.fd)
                        os.close(key.fd)

    def _tell(self, stream: Stream, text: str) -> None:
        if not text:
            return
        self._job.tell(StepLog(self._step, stream, text))
        *lines, rest = (self._line[stream] + text).split("\n")
        self._last.extend(lines[-_LAST_LINES:])
        self._line[stream] = rest[-_LAST_CHARACTERS:]
