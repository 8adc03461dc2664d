"""A small internet for one test: Docker Hub, a mirror and a search index in a network of their own, and a terminal there."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

HUB, ACCOUNT, SECRET = "registry-1.docker.io", "mobydock", "correct horse"
OWN = "localhost:5000"
_REGISTRY = """version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
{auth}"""
# Docker Hub's index, as far as a search needs it.
_INDEX = """
import json, http.server, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        term = urllib.parse.parse_qs(url.query).get("q", [""])[0]
        known = [{"name": "docker/welcome-to-docker", "star_count": 20, "is_official": False, "is_automated": False,
                  "description": "Docker image for new users getting started with Docker"}]
        found = [item for item in known if term in item["name"]] if url.path == "/v1/search" else None
        body = json.dumps({"num_results": len(found), "results": found, "query": term}).encode() if found is not None else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5001), Handler).serve_forever()
"""


class Lab:
    """Namespaces with their own loopback, hosts file and `/run`; commands run there as in one shell that remembers its folder."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self._programs: list[subprocess.Popen[bytes]] = []
        self._where = self.home
        (folder / "hosts").write_text(f"127.0.0.1 localhost {HUB}\n")
        script = (
            "mount --make-rprivate / && ip link set lo up && mount -t tmpfs run /run"
            f" && mount --bind {folder}/hosts /etc/hosts && echo ready && exec sleep infinity"
        )
        self._holder = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", script], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        with self._holder.stdout as said:
            assert said.readline() == b"ready\n"
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "orlop").write_text(f'#!/bin/sh\nexec {sys.executable} -m orlop "$@"\n')
        (bin_folder / "orlop").chmod(0o755)
        self.env = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm",
            "ORLOP_ROOT": str(folder / "store"), "PYTHONPATH": str(server),
        }  # fmt: skip

    def add_remote(self, url: str, repository: Path) -> None:
        """Let `git clone` of a web address take a local repository."""
        self.env |= {
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf", "GIT_CONFIG_VALUE_0": url,
            "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*",
        }  # fmt: skip

    def serve(self) -> None:
        """Start Docker Hub (with accounts), a mirror that also takes pushes, and the index."""
        certificate, key = self._certificate()
        hashed = subprocess.check_output(
            ["perl", "-e", "print crypt($ARGV[0], q($2b$05$abcdefghijklmnopqrstuu))", SECRET]
        )
        (self.folder / "accounts").write_text(f"{ACCOUNT}:{hashed.decode()}\n")
        auth = f"auth: {{htpasswd: {{realm: hub, path: {self.folder / 'accounts'}}}}}\n"
        tls = f", tls: {{certificate: {certificate}, key: {key}}}"
        self._start(["docker-registry", "serve", str(self._config("hub", 443, tls, auth))])
        self._start(["docker-registry", "serve", str(self._config("mirror", 5000))])
        self._start([sys.executable, "-c", _INDEX])
        for port in (443, 5000, 5001):
            self._await(port)
        settings = self.home / ".config" / "orlop" / "config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(
            '[registries]\nhub-index = "http://127.0.0.1:5001"\n[registries.hosts."docker.io"]\n'
            f'mirrors = ["http://127.0.0.1:5000"]\nca = "{certificate}"\n'
        )

    def publish(self, images: Mapping[str, bytes]) -> None:
        """Put images (OCI archives) into the mirror before it is started."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            ["docker-registry", "serve", str(self._config("mirror", port))], stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < deadline, "the registry does not start"
                time.sleep(0.1)
            for name, archive in images.items():
                _upload(port, name, archive)
        finally:
            process.terminate()
            process.wait()

    def run(self, script: str) -> str:
        """Run lines in the shell; what they wrote on both streams. They must succeed."""
        done = subprocess.run(
            [*self._enter(), "bash", "-ec", f"{script}\npwd > {self.folder}/pwd"], cwd=self._where, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200,
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{said}"
        self._where = Path((self.folder / "pwd").read_text().strip())
        return said

    def type(self, script: str) -> Typing:
        """Start a command in a terminal of its own."""
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self._where)
            os.execvpe("nsenter", [*self._enter(), "bash", "-c", script], self.env)
        return Typing(pid, master)

    def close(self) -> None:
        """End all of it."""
        for program in self._programs:
            program.terminate()
            program.wait()
        self._holder.kill()
        self._holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self._holder.pid), "-n", "-m", "--wd=."]

    def _start(self, words: list[str]) -> None:
        with (self.folder / "log").open("ab") as log:
            self._programs.append(subprocess.Popen([*self._enter(), *words], stdout=log, stderr=log, cwd=self.folder))

    def _await(self, port: int) -> None:
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        deadline = time.monotonic() + 30
        while subprocess.run([*self._enter(), sys.executable, "-c", probe], capture_output=True, cwd="/").returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.2)

    def _config(self, name: str, port: int, tls: str = "", auth: str = "") -> Path:
        path = self.folder / f"{name}-{port}.yml"
        path.write_text(_REGISTRY.format(root=self.folder / f"{name}-data", port=port, tls=tls, auth=auth))
        return path

    def _certificate(self) -> tuple[Path, Path]:
        certificate, key = self.folder / "hub.crt", self.folder / "hub.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", key, "-out", certificate, "-subj", f"/CN={HUB}", "-addext", f"subjectAltName=DNS:{HUB}"],
            check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key


class Typing:
    """A command in a terminal, and a person at it."""

    def __init__(self, pid: int, master: int) -> None:
        self._pid = pid
        self._master = master
        self.said = ""

    def expect(self, pattern: str, seconds: float = 60) -> None:
        """Wait until the screen shows something that was not there at the last `expect`."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            ready, _, _ = select.select([self._master], [], [], 0.5)
            data = b""
            if ready:
                with contextlib.suppress(OSError):
                    data = os.read(self._master, 4096)
                assert data, f"ended without {pattern!r}:\n{self.said}"
            self.said += data.decode(errors="replace").replace("\r", "")
            assert time.monotonic() < deadline, f"no {pattern!r} within {seconds} s:\n{self.said}"
        self.said = self.said[found.end() :]

    def write(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 4096):
                self.said += data.decode(errors="replace").replace("\r", "")
        _, status = os.waitpid(self._pid, 0)
        os.close(self._master)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
        self.finish()


@contextlib.contextmanager
def lab(folder: Path, server: Path) -> Iterator[Lab]:
    """A lab that is gone afterwards."""
    made = Lab(folder, server)
    try:
        yield made
    finally:
        made.close()


def _upload(port: int, name: str, archive: bytes) -> None:
    """Every blob of an OCI archive, then its manifest under the tag `latest`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {item.name: tar.extractfile(item) for item in tar if item.isfile()}
        parts = {path: file.read() for path, file in files.items() if file is not None}
    (described,) = json.loads(parts["index.json"])["manifests"]
    manifest = parts[f"blobs/sha256/{described['digest'][7:]}"]
    document = json.loads(manifest)
    for part in (document["config"], *document["layers"]):
        data = parts[f"blobs/sha256/{part['digest'][7:]}"]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == part["digest"]
        place = urlsplit(_ask(port, "POST", f"/v2/{name}/blobs/uploads/", b"", {})[1]["location"])
        _ask(port, "PUT", f"{place.path}?{place.query}&digest={part['digest']}", data, {})
    _ask(port, "PUT", f"/v2/{name}/manifests/latest", manifest, {"Content-Type": described["mediaType"]})


def _ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status < 300, f"{method} {path}: {answer.status} {said!r}"
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.headers.items()}
