"""A registry behind a proxy that sees every request and misbehaves on demand, and a store to push from."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs

_PIECE = 64 << 10


@attrs.define
class Seen:
    """One request: what came of its body, and what the registry or the proxy answered."""

    method: str
    path: str
    headers: dict[str, str]
    size: int = 0
    status: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]} {self.status}"


@attrs.frozen
class Fault:
    """What to do instead of passing on: answer `status` after reading `after` bytes of the body; 0 hangs up."""

    status: int = 0
    after: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b"{}"
    # Whether the registry gets the bytes that were read all the same.
    forward: bool = False


Rule = Callable[[Seen], Fault | None]
Change = Callable[[Seen, dict[str, str]], None]


class Proxy:
    """Passes requests on to `backend`; `rule` says which not, `change` edits the headers of answers."""

    def __init__(self, backend: tuple[str, int]) -> None:
        self.backend = backend
        self.rule: Rule = lambda _: None
        self.change: Change = lambda _, __: None
        self.seen: list[Seen] = []
        # When set, a bearer token is wanted; those in `valid` serve.
        self.tokens = False
        self.valid: set[str] = set()
        self.fetched: list[str] = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, *methods: str) -> list[str]:
        """The requests with these methods (all without any), as lines."""
        return [str(one) for one in self.seen if not methods or one.method in methods]

    def sent(self) -> int:
        """The bytes of blobs that came in."""
        return sum(one.size for one in self.seen if "/blobs/" in one.path)

    def forget(self) -> None:
        self.seen.clear()
        self.fetched.clear()
        self.rule = lambda _: None
        self.change = lambda _, __: None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Proxy

    def handle_any(self) -> None:
        owner = self.owner
        seen = Seen(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        if self.path.startswith("/token"):
            token = f"t{len(owner.valid) + len(owner.fetched) + 1}x{time.monotonic_ns()}"
            owner.valid.add(token)
            owner.fetched.append(self.path)
            self._answer(200, {}, json.dumps({"token": token, "expires_in": 300}).encode())
            return
        owner.seen.append(seen)
        if owner.tokens and seen.headers.get("authorization", "").removeprefix("Bearer ") not in owner.valid:
            seen.status = 401
            challenge = f'Bearer realm="http://{owner.host}/token",service="test"'
            self._refuse(401, {"WWW-Authenticate": challenge}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
            return
        fault = owner.rule(seen)
        if fault is not None and not fault.forward:
            for _ in self._body(seen, fault.after):
                pass
            seen.status = fault.status
            self._refuse(fault.status, fault.headers, fault.body)
            return
        self._pass_on(seen, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

    def _pass_on(self, seen: Seen, fault: Fault | None) -> None:
        back = http.client.HTTPConnection(*self.owner.backend, timeout=60)
        try:
            back.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            chunked = "chunked" in seen.headers.get("transfer-encoding", "")
            for name, value in self.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "authorization"):
                    back.putheader(name, value)
            if chunked:
                back.putheader("Transfer-Encoding", "chunked")
            back.endheaders()
            for piece in self._body(seen, fault.after if fault else None):
                back.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if chunked else piece)
            if fault is not None:
                seen.status = fault.status
                self.close_connection = True
                return
            if chunked:
                back.send(b"0\r\n\r\n")
            answer = back.getresponse()
            body = answer.read()
            headers = {name: value for name, value in answer.getheaders() if name.lower() != "content-length"}
            seen.status = answer.status
            self.owner.change(seen, headers)
            self._answer(seen.status, headers, body, answer.getheader("Content-Length"))
        finally:
            back.close()

    def _body(self, seen: Seen, most: int | None) -> Iterator[bytes]:
        """The pieces of the request's body, at most so many bytes (0: none, None: all)."""
        left = int(seen.headers.get("content-length") or 0)
        chunked = "chunked" in seen.headers.get("transfer-encoding", "")
        while most is None or seen.size < most:
            if chunked:
                left = int(self.rfile.readline().strip() or b"0", 16)
                data = self.rfile.read(left)
                self.rfile.readline()
            else:
                data = self.rfile.read(min(_PIECE, left))
                left -= len(data)
            if not data:
                return
            seen.size += len(data)
            yield data

    def _refuse(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer without having read what comes, as servers do: a while is given to read the answer."""
        self.close_connection = True
        if status:
            with contextlib.suppress(OSError):
                self._answer(status, {**headers, "Connection": "close"}, body)
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(0.3)
                while self.connection.recv(_PIECE):
                    pass
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def registry(root: Path, **sections: object) -> Iterator[tuple[str, int]]:
    """Debian's docker-registry with its data below `root` and further sections of its settings; host and port."""
    program = shutil.which("docker-registry")
    assert program is not None
    root.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "relativeurls": False},
        **sections,
    }
    file = root / "config.yml"
    file.write_text(json.dumps(config))
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", file], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (root / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)


def skopeo(*words: str) -> Any:
    """What skopeo prints, as JSON if it is."""
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout
