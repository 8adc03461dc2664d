"""A small internet for network tests: this process becomes a host in a network namespace of its own.

Behind its only link lives one server that knows no way back to containers, and answers with the address it sees.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from orlop.runtime.linux import syscalls

# Where APT's sources, in either of their forms, name a mirror.
_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
_MIRROR = re.compile(r"^(?:URIs:|deb)\s+(?:\[[^]]*\]\s+)?(http://([^\s/]+)\S*/debian)/?(?:\s|$)", re.MULTILINE)

HOST, SERVER, NETMASK = "198.51.100.2", "198.51.100.1", 24
MTU = 1400
PYTHON = sys.executable

_SERVE = """
import http.server, socket, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    def server_bind(self):  # the inherited one asks for the host's name, which takes its time without a name server
        socketserver.TCPServer.server_bind(self); self.server_name = "lab"; self.server_port = int(sys.argv[2])
server = Server((sys.argv[1], int(sys.argv[2])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def run(*command: str, check: bool = True) -> str:
    """Standard output of a command on this host; both outputs are in the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@attrs.frozen
class Box:
    """A process in a network namespace of its own, standing for a container."""

    pid: int
    options: tuple[str, ...] = ("--net",)
    prefix: tuple[str, ...] = ()

    def command(self, *words: str) -> tuple[str, ...]:
        """The command that runs `words` inside."""
        return (*self.prefix, "nsenter", "--preserve-credentials", "--target", str(self.pid), *self.options, *words)

    def run(self, *words: str, check: bool = True) -> str:
        """Standard output of a command inside."""
        return run(*self.command(*words), check=check)

    def fetch(self, url: str, seconds: int = 10) -> str:
        """What a server answers to this box, empty when nothing comes."""
        return self.run("busybox", "timeout", str(seconds), "busybox", "wget", "-q", "-O", "-", url, check=False)


def mirror() -> tuple[str, str]:
    """The address of the Debian mirror that this machine uses, and its host; skips where there is none."""
    places = [Path(place) for place in _SOURCES]
    files = [
        file for place in places for file in (sorted(place.iterdir()) if place.is_dir() else [place]) if file.is_file()
    ]
    for file in files:
        found = _MIRROR.search(file.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1], found[2]
    pytest.skip("this machine names no Debian mirror")


@contextlib.contextmanager
def box(*, user: str | None = None) -> Iterator[Box]:
    """A container's worth of namespaces; of a user namespace too for an ordinary user."""
    prefix = ("runuser", "-u", user, "--") if user else ()
    kinds = ("--user", "--map-root-user", "--net") if user else ("--net",)
    script = ("sh", "-c", "echo $$; exec sleep 600")
    process = subprocess.Popen((*prefix, "unshare", *kinds, *script), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        yield Box(pid, ("--user", "--net") if user else ("--net",), prefix)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def program(command: tuple[str, ...], *, stop: bool = False) -> Iterator[str]:
    """A program that says one line when it is ready and ends when its input does, or is stopped; yields that line."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().rstrip("\n")
    finally:
        process.stdin.close()
        try:
            process.wait(0.1 if stop else 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextlib.contextmanager
def serving(address: str, port: int, *, inside: Box | None = None) -> Iterator[None]:
    """An HTTP server that answers with its client's address."""
    command = (sys.executable, "-I", "-c", _SERVE, address, str(port))
    with program(inside.command(*command) if inside else command, stop=True) as line:
        assert line == "ready"
        yield


def driven(user: str, code: str, *arguments: str) -> contextlib.AbstractContextManager[str]:
    """A Python program of another account, which ends when its standard input does; yields its first line."""
    return program(("runuser", "-u", user, "--", PYTHON, "-c", code, *arguments))


@contextlib.contextmanager
def laboratory() -> Iterator[Box]:
    """This thread is in the host's namespace meanwhile; yields the box of the server outside."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with box() as outside:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            try:
                run("ip", "link", "set", "lo", "up")
                run(
                    "ip",
                    "link",
                    "add",
                    "up0",
                    "mtu",
                    str(MTU),
                    "type",
                    "veth",
                    "peer",
                    "eth0",
                    "netns",
                    str(outside.pid),
                )
                run("ip", "addr", "add", f"{HOST}/{NETMASK}", "dev", "up0")
                run("ip", "link", "set", "up0", "up")
                outside.run("ip", "addr", "add", f"{SERVER}/{NETMASK}", "dev", "eth0")
                outside.run("ip", "link", "set", "eth0", "up", "mtu", str(MTU))
                outside.run("ip", "link", "set", "lo", "up")
                run("ip", "route", "add", "default", "via", SERVER)
                with serving(SERVER, 80, inside=outside):
                    yield outside
            finally:
                syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)


def eventually(claim: object, seconds: float = 5.0) -> bool:
    """Whether a callable becomes true soon."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if claim():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
