"""A reverse proxy before a registry that fails on demand: it drops, stalls, lies and refuses by a list of rules.

It also records every request and counts the bytes of each blob that left it, so that tests can say what came twice.
"""

from __future__ import annotations

import gzip
import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import attrs

from .certs import Pair
from .serving import Handler, Server

_PIECE = 32 << 10
_BLOB = re.compile(r"/blobs/(sha256:[0-9a-f]{64})")
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}


@attrs.define(eq=False)
class Rule:
    """What goes wrong with some requests.

    It concerns those whose method and path (with query) the patterns `method` and `path` are found in, from the `first`
    such request on, `times` of them (None: all further ones). `hits` tells how many it has met.
    """

    method: str = ""
    path: str = ""
    first: int = 1
    times: int | None = 1
    # On the way in: pass on so many bytes of the body and hang up; read so many and then nothing for `seconds`; pass
    # everything on and hang up without a word.
    cut_upload: int | None = None
    stall_upload: int | None = None
    lose_answer: bool = False
    # In place of the registry's answer.
    status: int = 0
    body: bytes = b"{}"
    redirect: Proxy | None = None
    # The request must have these words in these headers; the registry's `status` (404 unless said) otherwise.
    wants: Mapping[str, str] = attrs.field(factory=dict)
    # Asks the limiter whether this request is still allowed.
    limiter: Limiter | None = None
    # On the way out.
    headers: Mapping[str, str] = attrs.field(factory=dict)
    remove: tuple[str, ...] = ()
    drop_at: int | None = None
    stall_at: int | None = None
    flip_at: int | None = None
    truncate: int | None = None
    lengthen: bytes = b""
    ignore_range: bool = False
    gzip: bool = False
    relative: bool = False
    rate: float = 0
    seconds: float = 60
    met: int = attrs.field(default=0, init=False)
    hits: int = attrs.field(default=0, init=False)

    def meets(self, method: str, path: str) -> bool:
        """Count a request; tells whether the rule is for it."""
        if not re.search(self.method, method) or not re.search(self.path, path):
            return False
        self.met += 1
        if self.met < self.first or (self.times is not None and self.met >= self.first + self.times):
            return False
        self.hits += 1
        return True


@attrs.define(eq=False)
class Limiter:
    """Hub's limit of manifests for people it does not know: so many GETs in a window, told in headers of every answer."""

    limit: int = 100
    window: int = 21600
    source: str = "192.0.2.1"
    used: int = 0

    def headers(self) -> dict[str, str]:
        """The state as Hub tells it."""
        left = max(self.limit - self.used, 0)
        return {
            "ratelimit-limit": f"{self.limit};w={self.window}", "ratelimit-remaining": f"{left};w={self.window}",
            "docker-ratelimit-source": self.source,
        }  # fmt: skip


@attrs.define(eq=False)
class Record:
    """One request and what came of it; `received` and `sent` count bytes of bodies."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int = 0
    received: int = 0
    sent: int = 0


class Proxy:
    """Serves what `upstream` (a base URL) serves, but for what `rules` say. `prefix` is taken off every path.

    `authorization` is shown upstream in place of the client's. A proxy can stand for a second host that redirects lead
    to: give it `strict`, and it refuses requests with an Authorization header as storage with signed URLs does.
    """

    def __init__(
        self, upstream: str, *rules: Rule, prefix: str = "", tls: Pair | None = None, authorization: str = "",
        strict: bool = False,
    ) -> None:  # fmt: skip
        self.rules: list[Rule] = list(rules)
        self.upstream, self.prefix, self.authorization, self.strict = upstream, prefix, authorization, strict
        self.records: list[Record] = []
        self.served: Counter[str] = Counter()
        # Bytes a second of every body that leaves (0: as fast as it goes).
        self.rate = 0.0
        self.lock = threading.Lock()
        self._redirects = 0
        self._server = Server(_handler(self), tls)
        self.host, self.port = self._server.host, self._server.port
        self.url = self._server.url + prefix
        self.stopping = self._server.stopping

    @property
    def received(self) -> int:
        """Bytes of bodies that clients have sent."""
        return sum(record.received for record in self.records)

    def count(self, method: str = "", path: str = "") -> int:
        """How many requests there were whose method and path have these patterns."""
        return len([one for one in self.records if re.search(method, one.method) and re.search(path, one.path)])

    def forget(self) -> None:
        """Drop rules, records and counts."""
        with self.lock:
            self.rules, self.records, self.served, self.rate = [], [], Counter(), 0.0

    def twice(self, sizes: Mapping[str, int]) -> int:
        """Bytes of blobs (digest to size) that left more than once."""
        return sum(max(count - sizes[digest], 0) for digest, count in self.served.items() if digest in sizes)

    def hang_up(self) -> None:
        """Drop every open connection."""
        self._server.hang_up()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.stop()

    def signed(self, path: str) -> str:
        """A path with a signature of its own, as addresses of storage have."""
        with self.lock:
            self._redirects += 1
            return f"{path}?signature={self._redirects}"

    def rule_for(self, method: str, path: str) -> Rule:
        """The first rule that is for this request, or one that does nothing."""
        with self.lock:
            return next((rule for rule in self.rules if rule.meets(method, path)), Rule())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _handler(proxy: Proxy) -> type[Handler]:
    class Passing(Handler):
        def do_any(self) -> None:
            record = Record(self.command, self.path, {name.lower(): text for name, text in self.headers.items()})
            with proxy.lock:
                proxy.records.append(record)
            _Exchange(proxy, self, record).run()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

    return Passing


class _Exchange:
    """One request on its way through."""

    def __init__(self, proxy: Proxy, handler: Handler, record: Record) -> None:
        self.proxy, self.handler, self.record = proxy, handler, record
        self.rule = proxy.rule_for(handler.command, handler.path)

    def run(self) -> None:
        rule, headers = self.rule, self.record.headers
        if self.proxy.strict and "authorization" in headers:
            self.refuse(400, b"<Error><Code>InvalidArgument</Code></Error>")
        elif not self.record.path.startswith(self.proxy.prefix + "/"):
            self.refuse(404, b"404 page not found\n")
        elif any(word not in headers.get(name.lower(), "") for name, word in rule.wants.items()):
            self.refuse(rule.status or 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        elif rule.limiter is not None and not self.allowed(rule.limiter):
            self.refuse(
                429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
            )
        elif rule.redirect is not None:
            port = rule.redirect.port
            path = rule.redirect.signed(self.record.path[len(self.proxy.prefix) :].partition("?")[0])
            # Another host by name too, though it is this machine.
            self.refuse(307, b"", {"Location": f"http://localhost:{port}{path}"})
        elif rule.status and not rule.wants:
            self.refuse(rule.status, rule.body)
        else:
            self.forward()

    def allowed(self, limiter: Limiter) -> bool:
        with self.proxy.lock:
            if self.record.method == "GET":
                limiter.used += 1
            return limiter.used <= limiter.limit

    def refuse(self, status: int, body: bytes, more: Mapping[str, str] | None = None) -> None:
        """Answer at once; what is left of the request goes with the connection."""
        self.record.status = status
        unread = "content-length" in self.record.headers or "transfer-encoding" in self.record.headers
        close = {"Connection": "close"} if unread and self.record.headers.get("content-length") != "0" else {}
        limits = self.rule.limiter.headers() if self.rule.limiter else {}
        self.handler.answer(status, body, {**(more or {}), **limits, **self.rule.headers, **close})
        if close:
            self._drain()

    def forward(self) -> None:
        target = urlsplit(self.proxy.upstream)
        path = self.record.path[len(self.proxy.prefix) :]
        upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            if not self._ask(upstream, target.path + path):
                return
            with upstream.getresponse() as answer:
                if self.rule.lose_answer:
                    answer.read()
                    self.handler.drop()
                else:
                    self._answer(answer)
        finally:
            upstream.close()

    def _ask(self, upstream: http.client.HTTPConnection, path: str) -> bool:
        """Pass the request on; False when the rule says to hang up before it is complete."""
        rule, handler = self.rule, self.handler
        chunked = "chunked" in self.record.headers.get("transfer-encoding", "")
        upstream.putrequest(handler.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            low = name.lower()
            dropped = (rule.ignore_range and low == "range") or (low == "authorization" and self.proxy.authorization)
            if low not in _HOP and not dropped:
                upstream.putheader(name, value)
        if self.proxy.authorization:
            upstream.putheader("Authorization", self.proxy.authorization)
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        limit = rule.cut_upload if rule.cut_upload is not None else rule.stall_upload
        for piece in handler.chunks():
            cut = limit is not None and self.record.received + len(piece) >= limit
            data = piece[: limit - self.record.received] if cut and limit is not None else piece
            self.record.received += len(data)
            if data:
                upstream.send(f"{len(data):x}\r\n".encode() + data + b"\r\n" if chunked else data)
            if self.proxy.rate:
                time.sleep(len(data) / self.proxy.rate)
            if cut:
                if rule.cut_upload is None:
                    self.proxy.stopping.wait(rule.seconds)
                handler.drop()
                return False
        if chunked:
            upstream.send(b"0\r\n\r\n")
        return True

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        rule, handler = self.rule, self.handler
        self.record.status = answer.status
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in {*_HOP, *rule.remove}}
        body: Iterator[bytes] = iter(lambda: answer.read(_PIECE), b"")
        length = int(answer.headers.get("Content-Length") or 0)
        if handler.command == "HEAD" or answer.status in (204, 304):
            body = iter(())
        elif (
            "content-length" not in {name.lower() for name in headers}
            or rule.gzip
            or rule.truncate is not None
            or rule.lengthen
        ):
            whole = b"".join(body)
            if rule.gzip:
                whole = gzip.compress(whole)
                headers["Content-Encoding"] = "gzip"
            whole = whole[: rule.truncate] + rule.lengthen
            length = len(whole)
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            headers["Content-Length"] = str(length)
            body = iter([whole[start : start + _PIECE] for start in range(0, length, _PIECE)])
        if location := headers.get("Location"):
            headers["Location"] = self._location(location)
        headers |= rule.limiter.headers() if rule.limiter else {}
        headers |= rule.headers
        handler.send_response_only(answer.status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        self._send(self._spoiled(body))

    def _spoiled(self, body: Iterator[bytes]) -> Iterator[bytes]:
        """The body as the rule has it; None of what is after a drop."""
        rule, position = self.rule, 0
        for piece in body:
            data, end = piece, position + len(piece)
            if rule.flip_at is not None and position <= rule.flip_at < end:
                at = rule.flip_at - position
                data = piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
            for limit in (rule.drop_at, rule.stall_at):
                if limit is not None and limit < end:
                    yield data[: limit - position]
                    if limit == rule.stall_at:
                        self.handler.wfile.flush()
                        self.proxy.stopping.wait(rule.seconds)
                    self.handler.drop()
                    return
            yield data
            position = end

    def _send(self, body: Iterator[bytes]) -> None:
        blob = _BLOB.search(self.record.path)
        rate = self.rule.rate or self.proxy.rate
        for piece in body:
            if not piece:
                continue
            self.handler.wfile.write(piece)
            with self.proxy.lock:
                self.record.sent += len(piece)
                if blob is not None and self.record.method == "GET" and self.record.status in (200, 206):
                    self.proxy.served[blob[1]] += len(piece)
            if rate:
                time.sleep(len(piece) / rate)

    def _location(self, location: str) -> str:
        """The registry's own address under our prefix, relative if the rule says so."""
        parts = urlsplit(location)
        if parts.netloc not in ("", self.proxy.host, urlsplit(self.proxy.upstream).netloc):
            return location
        path = f"{self.proxy.prefix}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return (
            path
            if self.rule.relative or not parts.netloc
            else f"{urlsplit(self.proxy.url).scheme}://{self.proxy.host}{path}"
        )

    def _drain(self) -> None:
        """Give the client a moment to read the answer while it is still sending."""
        self.handler.wfile.flush()
        self.handler.connection.settimeout(0.3)
        deadline = time.monotonic() + 0.5
        try:
            while time.monotonic() < deadline and self.handler.connection.recv(_PIECE):
                pass
        except OSError:
            pass
