"""A web server that answers as a test says: the real protocol over a real socket, misbehaving on demand."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs


@attrs.frozen
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class Reply:
    """`cut`: send only so many bytes of the body, then close; `stall`: then wait so long first."""

    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    cut: int | None = None
    stall: float = 0.0


@attrs.frozen
class Served:
    netloc: str
    requests: list[Request]
    connections: set[tuple[str, int]]

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.requests]


@contextlib.contextmanager
def serving(answer: Callable[[Request], Reply]) -> Iterator[Served]:
    served: list[Request] = []
    connections: set[tuple[str, int]] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
            served.append(request)
            connections.add(self.client_address)
            reply = answer(request)
            if reply.status == 0:
                self.close_connection = True
                return
            self.send_response(reply.status)
            headers = {"Content-Length": str(len(reply.body)), **reply.headers}
            for name, value in headers.items():
                for line in value.split("\n"):
                    self.send_header(name, line)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):
                    self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
                    self.wfile.flush()
            if reply.stall:
                time.sleep(reply.stall)
            if reply.cut is not None:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Served(f"127.0.0.1:{server.server_address[1]}", served, connections)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
