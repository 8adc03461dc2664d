"""A stand-in for what Docker Hub has beside the registry protocol: its index's search and its API for repositories."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ACCOUNT, SECRET = "mobydock", "a personal access token"
LONG = "Docker image for new users getting started with Docker,\nand with the first of their containers"


def _found(name: str, stars: int, *, official: bool = False, description: str = "") -> dict[str, Any]:
    return {
        "name": name, "description": description, "star_count": stars, "is_official": official, "is_automated": False,
    }  # fmt: skip


INDEX = (
    _found("docker/welcome-to-docker", 20, description=LONG),
    _found("library/docker", 2500, official=True, description="Docker in Docker!"),
    _found("someone/docker-thing", 0),
)


class Hub:
    """Answers; `requests` are the method, path and query of all that came, `created` the bodies of new repositories."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.private = [f"app{number:03}" for number in range(7)]
        self.refuse = 0
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def hub() -> Iterator[Hub]:
    """One that runs."""
    made = Hub()
    try:
        yield made
    finally:
        made.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Hub

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.owner.requests.append(f"GET {self.path}")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.owner.refuse:
            self._answer(self.owner.refuse, b"Too Many Requests (HAP429).\n", "text/plain")
        elif url.path == "/v1/search":
            found = [item for item in INDEX if query["q"] in item["name"]][: int(query["n"])]
            self._json(200, {"num_results": len(found), "query": query["q"], "results": found})
        elif url.path == f"/v2/namespaces/{ACCOUNT}/repositories":
            names = self.owner.private if self._may() else self.owner.private[:1]
            page, size = int(query["page"]), int(query["page_size"])
            chosen = names[(page - 1) * size : page * size]
            more = f"{self.owner.url}{url.path}?page={page + 1}&page_size={size}" if page * size < len(names) else None
            self._json(200, {"count": len(names), "next": more, "results": [{"name": name} for name in chosen]})
        else:
            self._json(404, {"message": "object not found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.requests.append(f"POST {self.path}")
        if self.path == "/v2/auth/token":
            if (body["identifier"], body["secret"]) == (ACCOUNT, SECRET):
                self._json(200, {"access_token": "short-lived"})
            else:
                self._json(401, {"detail": "Incorrect authentication credentials"})
        elif self.path == f"/v2/namespaces/{ACCOUNT}/repositories" and self._may():
            if body["name"] in self.owner.private:
                self._json(400, {"message": "Repository already exists"})
            else:
                self.owner.created.append(body)
                self._json(201, {"name": body["name"]})
        else:
            self._json(403, {"message": "access to the resource is forbidden"})

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _may(self) -> bool:
        return self.headers.get("Authorization") == "Bearer short-lived"

    def _json(self, status: int, data: object) -> None:
        self._answer(status, json.dumps(data).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
