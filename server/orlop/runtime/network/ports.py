"""Published ports of a container (`-p 8080:80`): what people write, the sockets on the host, and the proxy behind them.

A userland proxy serves all of them, root or not: it needs neither packet rules nor a TUN device, works on loopback and
with IPv6 clients, and the address it listens on is exactly the one asked for.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Literal

import attrs

from orlop.core import errors
from orlop.runtime import userns

PROXY = "orlop.runtime.network.proxy:main"
_BACKLOG = 512
ALL_IPV4 = "0.0.0.0"  # noqa: S104 - what people know it by


@attrs.frozen(slots=True)
class Port:
    """One published port: host address ("" for all, IPv4 and IPv6), host port (0: the kernel picks), port inside."""

    host: str
    host_port: int
    container_port: int
    protocol: Literal["tcp", "udp"] = "tcp"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or ALL_IPV4
        return f"{host}:{self.host_port}->{self.container_port}/{self.protocol}"


def parse(text: str) -> tuple[Port, ...]:
    """The ports of Docker's `-p [[ADDRESS:]PORT:]PORT[/PROTOCOL]`, PORT being a number or a range; raises `Invalid`."""
    rest, separator, protocol = text.partition("/")
    if separator and protocol.lower() not in ("tcp", "udp"):
        raise _invalid(text, f'protocol "{protocol}" is neither tcp nor udp')
    host, outer, inner = _split(rest)
    if host:
        try:
            host = str(ip_address(host))
        except ValueError:
            raise _invalid(text, f'"{host}" is not an address') from None
    inside = _range(text, inner)
    outside = _range(text, outer) if outer else [0] * len(inside)
    if len(outside) != len(inside):
        raise _invalid(text, "the two ranges differ in length")
    kind: Literal["tcp", "udp"] = "udp" if protocol.lower() == "udp" else "tcp"
    return tuple(Port(host, a, b, kind) for a, b in zip(outside, inside, strict=True))


@attrs.frozen(slots=True)
class Listener:
    """A socket on the host for a port, whose `host_port` is the one the kernel gave it."""

    port: Port
    sockets: tuple[socket.socket, ...]

    def close(self) -> None:
        """Let go of the sockets; a proxy that was started keeps its own copies."""
        for each in self.sockets:
            each.close()


def listen(port: Port) -> Listener:
    """Take a port of the host; done before the container starts, so that a taken one stops it.

    Raises `Conflict` (in use), `Unavailable` (below 1024 for ordinary users) or `Invalid` (no such address here).
    """
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if not port.host or ":" in port.host else socket.AF_INET
    try:
        try:
            taken = _bind(family, kind, port.host, port.host_port, both=not port.host)
        except OSError as error:
            if port.host or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            taken = _bind(socket.AF_INET, kind, "", port.host_port, both=False)
    except OSError as error:
        raise _explained(port, error) from error
    return Listener(attrs.evolve(port, host_port=taken.getsockname()[1]), (taken,))


@attrs.frozen(slots=True)
class Proxy:
    """A running proxy process and the descriptor that keeps it running."""

    pid: int
    alive: int

    def close(self) -> None:
        """End it and wait for it; it has ended already if its container has."""
        os.close(self.alive)
        os.waitpid(self.pid, 0)


def proxy_params(listeners: Sequence[Listener], *, user_namespace: bool) -> dict[str, Any]:
    """The parameters of `proxy.main` for these listeners, whose sockets follow the two first descriptors."""
    ports = [[each.port.protocol, each.port.container_port] for each in listeners for _ in each.sockets]
    return {"ports": ports, "user_namespace": user_namespace}


def start_proxy(
    listeners: Sequence[Listener],
    pid: int,
    *,
    interpreter: userns.Interpreter | None = None,
) -> Proxy:
    """Serve the listeners into the network namespace of process `pid` until that ends or `Proxy.close` is called.

    The listeners may be closed afterwards. A shim that wants the proxy to share its fate calls `proxy.main` in a fork
    with the same descriptors instead. Raises `Conflict` when the process has ended.
    """
    exit_end, alive = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            separate = not os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")
            pidfd = os.pidfd_open(pid)
        except (ProcessLookupError, FileNotFoundError):
            raise errors.Conflict(f"cannot publish ports of process {pid}: it has ended") from None
        try:
            sockets = [each.fileno() for listener in listeners for each in listener.sockets]
            child = userns.spawn(
                PROXY,
                fds=(pidfd, exit_end, *sockets),
                params=proxy_params(listeners, user_namespace=separate),
                interpreter=interpreter,
            )
        finally:
            os.close(pidfd)
    except BaseException:
        os.close(alive)
        raise
    finally:
        os.close(exit_end)
    return Proxy(child, alive)


def _bind(
    family: socket.AddressFamily, kind: socket.SocketKind, host: str, number: int, *, both: bool
) -> socket.socket:
    taken = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        if kind == socket.SOCK_STREAM:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        taken.bind((host, number))
        if kind == socket.SOCK_STREAM:
            taken.listen(_BACKLOG)
    except BaseException:
        taken.close()
        raise
    return taken


def _split(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        outer, _, inner = rest.removeprefix(":").rpartition(":")
        return host, outer, inner
    head, _, inner = text.rpartition(":")
    host, _, outer = head.rpartition(":")
    return host, outer, inner


def _range(text: str, part: str) -> list[int]:
    first, dash, last = part.partition("-")
    if not first.isascii() or not first.isdigit() or (dash and not (last.isascii() and last.isdigit())):
        raise _invalid(text, f'"{part}" is not a port')
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise _invalid(text, f'"{part}" is not within 1 to 65535')
    return list(range(low, high + 1))


def _invalid(text: str, reason: str) -> errors.Invalid:
    return errors.Invalid(
        f'invalid port "{text}": {reason}', hint="Write it as [ADDRESS:]PORT:PORT, such as 127.0.0.1:8080:80."
    )


def _explained(port: Port, error: OSError) -> errors.OrlopError:
    where = f"{port.host or ALL_IPV4}:{port.host_port}"
    if error.errno == errno.EADDRINUSE:
        return errors.Conflict(f"cannot publish {where}: it is already in use", hint="Choose another host port.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return errors.Unavailable(
            f"cannot publish {where}: ordinary users may not listen on this port",
            hint="Choose a port from 1024 on, or run "
            f"`sudo sysctl net.ipv4.ip_unprivileged_port_start={port.host_port}`.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return errors.Invalid(f"cannot publish {where}: this host has no such address")
    return errors.from_os(error, f"publish {where}")
