"""The wire: sends one HTTP request over a pooled connection and gives back the raw answer, nothing decided."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.registry import adapter as adapters
from orlop.registry import configuration, tls
from orlop.registry.broken import Broken, told_plainly
from orlop.registry.configuration import RegistryConfig

# It costs a tenth of a second, which a process that asks no registry need not pay.
if TYPE_CHECKING:
    from requests import Response
    from requests.adapters import HTTPAdapter

PIECE = 1 << 20
_GATHER_SECONDS = 0.1
_SMALL = 64 << 10


@attrs.frozen
class Body:
    """What is sent: `size` bytes (None: unknown, sent in chunks) that `open` gives anew for every attempt.

    With `replayable` False it can be opened once, and a request that broke is not tried again.
    """

    size: int | None
    open: Callable[[], Iterator[bytes]]
    replayable: bool = True


class Answer:
    """An answer whose body is still to be read; close it, or leave its context, to let the connection go."""

    def __init__(self, response: Response, method: str, url: str, job: Job) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.method = method
        self.url = url
        self._response = response
        self._raw = response.raw
        self._job = job
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resolve(self, location: str) -> str:
        """The absolute URL of a `Location` or `Link` of this answer."""
        return urljoin(self.url, location)

    def header_lines(self, name: str) -> tuple[str, ...]:
        """Each line of a header that may stand several times."""
        lines = self._raw.headers.getlist(name) if hasattr(self._raw.headers, "getlist") else ()
        return tuple(lines) or tuple(filter(None, (self.headers.get(name),)))

    def read_all(self, limit: int) -> bytes:
        """The body, decoded; raises `Invalid` when it is longer than `limit` bytes, `Broken` when it stops short."""
        parts: list[bytes] = []
        size = 0
        with self._watched():
            while part := self._read(limit + 1 - size, decode=True):
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise errors.Invalid(f"answer of {urlsplit(self.url).netloc} is longer than {limit} bytes")
        return b"".join(parts)

    def read(self, count: int) -> bytes:
        """The next bytes as they were stored, up to `count`, as soon as a good piece is there; empty at the end."""
        parts: list[bytes] = []
        size = 0
        wanted = min(count, PIECE)
        ends = time.monotonic() + _GATHER_SECONDS
        with self._watched():
            while size < wanted and (not parts or time.monotonic() < ends):
                try:
                    part = self._read_some(count - size)
                except Broken:
                    if parts:
                        break
                    raise
                if not part:
                    # Tells the library that the body is over, so that the connection can serve again.
                    self._read(1, decode=False)
                    self._ended = True
                    break
                parts.append(part)
                size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Give the connection back if what is left of the body is known to be little, else close it."""
        try:
            left = self.headers.get("Content-Length", "")
            if self._ended:
                return
            if self.method == "HEAD" or (self.status not in (206, 416) and left.isdigit() and int(left) <= _SMALL):
                with self._watched():
                    self._read(_SMALL, decode=False)
                    self._read(1, decode=False)
        except (Broken, errors.Cancelled):
            pass
        finally:
            self._response.close()

    def _read_some(self, count: int) -> bytes:
        """What one receive call brings, where the library can do that."""
        read1 = getattr(self._raw, "read1", None)
        if read1 is None:
            return self._read(min(count, _SMALL), decode=False)
        with told_plainly():
            return bytes(read1(count, decode_content=False))

    def _read(self, count: int, *, decode: bool) -> bytes:
        with told_plainly():
            return bytes(self._raw.read(count, decode_content=decode))

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Let a cancellation break a read that waits."""
        self._job.checkpoint()
        release = self._job.token.on_cancel(self._shut)
        try:
            yield
        except Broken:
            self._job.checkpoint()
            raise
        finally:
            release()
        self._job.checkpoint()

    def _shut(self) -> None:
        with contextlib.suppress(Exception):
            adapters.shut(self._raw.fileno())


class Wire:
    """Connections to any number of hosts, kept alive and reused. Thread-safe."""

    def __init__(self, config: RegistryConfig) -> None:
        self.config = config
        self._guard = threading.Lock()
        # The job for which each thread sends now, so that a cancellation can break a wait.
        self._local = threading.local()
        self._adapters: dict[tuple[str, bool], HTTPAdapter] = {}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], job: Job, *, body: Body | None = None,
        verify: bool = True,
    ) -> Answer:  # fmt: skip
        """Send one request; raises `Broken` when no answer comes, `Cancelled`."""
        job.checkpoint()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Broken("name", f"not a web address: {url[:200]!r}")
        adapter = self._adapter(parts.netloc.rpartition("@")[2].lower(), verify=verify)
        pieces, size = (None, None) if body is None else (_checked(body.open(), job), body.size)
        request = adapters.prepared(method, url, {**headers, "User-Agent": self.config.user_agent}, pieces, size)
        self._local.job = job
        try:
            with told_plainly():
                response = adapter.send(
                    request,
                    stream=True,
                    timeout=(self.config.connect_seconds, self.config.stall_seconds),
                    verify=verify,
                    proxies=self._proxies(parts.hostname, parts.netloc),
                )
        except Broken:
            job.checkpoint()
            raise
        finally:
            self._local.job = None
        return Answer(response, method, url, job)

    def close(self) -> None:
        """Close every idle connection."""
        with self._guard:
            adapters, self._adapters = self._adapters, {}
        for adapter in adapters.values():
            adapter.close()

    def _adapter(self, netloc: str, *, verify: bool) -> HTTPAdapter:
        with self._guard:
            adapter = self._adapters.get((netloc, verify))
            if adapter is None:
                adapter = adapters.make_adapter(lambda: self._context(netloc, verify=verify), lambda: self._local.job)
                self._adapters[netloc, verify] = adapter
            return adapter

    def _context(self, netloc: str, *, verify: bool) -> ssl.SSLContext:
        host = self.config.host(configuration.domain_of(netloc))
        return tls.context(tls.find(self.config, host), verify=verify)

    def _proxies(self, hostname: str, netloc: str) -> dict[str, str]:
        """The proxies for a host; none for what `no_proxy` names, and none for this machine itself."""
        proxies = self.config.proxies
        if not proxies or configuration.is_loopback(netloc) or _bypasses(proxies.get("no_proxy", ""), hostname, netloc):
            return {}
        return {scheme: proxy for scheme, proxy in proxies.items() if scheme != "no_proxy"}


def _checked(pieces: Iterator[bytes], job: Job) -> Iterator[bytes]:
    for piece in pieces:
        job.checkpoint()
        if piece:
            yield piece


def _bypasses(no_proxy: str, hostname: str, netloc: str) -> bool:
    """Whether a `no_proxy` list names the host: by name, by domain, by address, by network, with or without port."""
    host = hostname.lower().rstrip(".")
    for entry in no_proxy.replace(" ", ",").split(","):
        name = entry.strip().lower()
        if not name:
            continue
        bare = name.removeprefix("*").lstrip(".")
        if name == "*" or name in (host, netloc.lower()) or (bare and (host == bare or host.endswith(f".{bare}"))):
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False):
                return True
    return False
