"""Blobs: a stream of one blob's bytes that outlives broken connections and goes on exactly where it was.

Ranges as RFC 9110, section 14. A server that ignores them is read from its beginning and what is there is skipped.
"""

from __future__ import annotations

import io
import re
from typing import Protocol

from orlop.core import errors
from orlop.core.content import Partial
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job, TransferProgress
from orlop.registry.broken import Broken
from orlop.registry.retrying import Policy
from orlop.registry.wire import Answer

_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)\s*\Z", re.IGNORECASE)
_PIECE = 1 << 20
RETRYING = "retrying"
_EARLY = "it ended too early"


class Fetch(Protocol):
    """Asks for a blob at the place to try now; `failed` moves on to the next place, and tells whether there is one."""

    def __call__(self, first: int) -> Answer:
        """The answer (200, 206 or 416) for the bytes from `first` on; raises a `RegistryError`."""

    def next(self) -> bool:
        """Try another place from now on; False when there is none."""

    def broken(self, reason: str) -> errors.RegistryError:
        """The error for a transfer that broke too often."""


class BlobStream(io.RawIOBase):
    """The bytes of a blob from the start: first what a partial download has, then what the registry sends.

    Connects at the first read that needs it. A transfer that breaks or stalls is taken up again as long as it makes
    progress, and `policy.attempts` times without. The reader verifies the digest; sizes are checked here.
    """

    def __init__(
        self, fetch: Fetch, descriptor: Descriptor, job: Job, policy: Policy, partial: Partial | None = None
    ) -> None:
        super().__init__()
        self.partial = partial
        self._fetch = fetch
        self._descriptor = descriptor
        self._job = job
        self._policy = policy
        self._answer: Answer | None = None
        self._position = 0
        self._failures = 0
        self._ranges = True

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, up to `size`; empty at the end. Raises `Corrupt` when there are more than announced."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        self._job.checkpoint()
        if size == 0 or self._position == self._descriptor.size:
            return b""
        data = self._kept(size) or self._received(size)
        self._position += len(data)
        if self._position == self._descriptor.size and self._answer is not None:
            self._end(self._answer)
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer as far as bytes come; tells how many."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let the connection and the partial download go."""
        if not self.closed:
            if self._answer is not None:
                self._answer.close()
                self._answer = None
            if self.partial is not None:
                self.partial.close()
        super().close()

    def _kept(self, size: int) -> bytes:
        """What the partial download has at this place."""
        if self.partial is None or self._position >= self.partial.size:
            return b""
        if self._position == 0:
            name, total = str(self._descriptor.digest), self._descriptor.size
            self._job.tell(TransferProgress(name, "verifying", self.partial.size, total))
        return self.partial.read_at(self._position, min(size, self.partial.size - self._position))

    def _received(self, size: int) -> bytes:
        """The next bytes from the registry, kept before they are handed on."""
        left = self._descriptor.size - self._position
        while True:
            try:
                if self._answer is None:
                    self._answer = self._connected()
                # One more than may come, to see if there is more.
                data = self._answer.read(min(size, left) + (1 if size >= left else 0))
            except Broken as broken:
                self._recover(broken)
                continue
            if not data:
                self._recover(Broken("dropped", _EARLY))
                continue
            if len(data) > left:
                raise errors.Corrupt(f"{self._what} is longer than its {self._descriptor.size} bytes")
            self._failures = 0
            if self.partial is not None:
                self.partial.append(data)
            return data

    def _connected(self) -> Answer:
        """An answer whose next byte is the one at the present position; raises `Broken` when its server confuses us."""
        first = self._position if self._ranges else 0
        answer = self._fetch(first)
        try:
            if answer.status in (206, 416):
                self._check_range(answer, first)
            else:
                self._check_length(answer)
                self._skip(answer, self._position)
        except BaseException:
            answer.close()
            raise
        return answer

    def _check_range(self, answer: Answer, first: int) -> None:
        match = _RANGE.match(answer.headers.get("Content-Range", "").strip())
        size = self._descriptor.size
        if answer.status == 416:
            self._ranges = False
            raise Broken("dropped", f"it says it has no byte {first}")
        if match is None or int(match[1]) != first or match[3] not in ("*", str(size)) or int(match[2]) >= size:
            self._ranges = False
            raise Broken("dropped", f"it answered with the range {answer.headers.get('Content-Range', '')[:60]!r}")

    def _check_length(self, answer: Answer) -> None:
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != self._descriptor.size:
            raise errors.Corrupt(f"{self._what} has {length} bytes instead of {self._descriptor.size}")

    def _skip(self, answer: Answer, count: int) -> None:
        while count:
            data = answer.read(min(count, _PIECE))
            if not data:
                raise Broken("dropped", _EARLY)
            count -= len(data)

    def _recover(self, broken: Broken) -> None:
        """Wait and go on, at another place when this one has failed too often; raises when there is none."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        self._job.checkpoint()
        self._failures += 1
        wait = self._policy.wait(self._failures)
        if wait is None:
            if not self._fetch.next():
                raise self._fetch.broken(broken.text) from broken
            self._failures = 0
            self._ranges = True
            return
        name, total = str(self._descriptor.digest), self._descriptor.size
        self._job.tell(TransferProgress(name, RETRYING, self._position, total))
        # The first time may be chance; a connection that breaks again wants patience.
        if self._job.token.wait(wait if self._failures > 1 else min(wait, 0.2)):
            self._job.checkpoint()

    def _end(self, answer: Answer) -> None:
        """See that nothing more comes, which also frees the connection for the next request."""
        self._answer = None
        try:
            extra = answer.read(1)
        except Broken:
            extra = b""
        finally:
            answer.close()
        if extra:
            raise errors.Corrupt(f"{self._what} is longer than its {self._descriptor.size} bytes")

    @property
    def _what(self) -> str:
        return f"blob {self._descriptor.digest}"
