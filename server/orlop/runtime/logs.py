"""Reading what a container wrote: its json-file log with rotated parts, from any line on, to its end or as it grows."""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime.shim import state

_PAUSE = 0.2
_CHUNK = 1 << 16


@attrs.frozen(slots=True)
class LogLine:
    """One record: text with its line end (none when the line went on), `stdout` or `stderr`, RFC 3339 time."""

    text: str
    stream: str
    time: str


def read(
    bundle: Path, job: Job, *, tail: int | None = None, since: str = "", follow: Callable[[], bool] | None = None
) -> Iterator[LogLine]:
    """The lines of a container in order: the last `tail`, not before `since` (RFC 3339, UTC).

    While `follow()` is true, wait for more at the end. Raises `Cancelled`, and `Corrupt` for a line that is no record.
    """
    path = bundle / state.LOG
    part = _Part(path)
    try:
        history: Iterator[LogLine] = _history(path, part, job)
        if tail is not None:
            history = iter(deque(history, maxlen=tail)) if tail else _skip(history)
        yield from (line for line in history if line.time >= since)
        while follow is not None:
            alive = follow()
            job.checkpoint()
            yield from part.lines()
            if part.replaced():
                yield from part.lines()
                part.close()
                part = _Part(path)
            elif not alive:
                return
            else:
                job.token.wait(_PAUSE)
    finally:
        part.close()


class _Part:
    """The file that is being written, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._pending = b""

    def lines(self) -> Iterator[LogLine]:
        """What has become complete since the last call."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return
        while data := self._file.read(_CHUNK):
            *whole, self._pending = (self._pending + data).split(b"\n")
            yield from map(_parse, whole)

    def replaced(self) -> bool:
        """Whether the shim has begun a new file under the name."""
        if self._file is None:
            return False
        try:
            return os.stat(self._path).st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _history(path: Path, part: _Part, job: Job) -> Iterator[LogLine]:
    count = 0
    while os.path.exists(f"{path}.{count + 1}"):
        count += 1
    for number in range(count, 0, -1):
        job.checkpoint()
        with contextlib.suppress(FileNotFoundError), open(f"{path}.{number}", "rb") as file:
            yield from map(_parse, file)
    yield from part.lines()


def _skip(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    """Read to the end, so that following starts there."""
    deque(lines, maxlen=0)
    return iter(())


def _parse(raw: bytes) -> LogLine:
    try:
        record = json.loads(raw)
        return LogLine(record["log"], record["stream"], record["time"])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.Corrupt(f"cannot read the container's log: {error}") from error
