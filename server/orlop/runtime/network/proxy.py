"""The process behind the published ports of one container: it accepts outside and connects inside its namespace.

It is given listening sockets, joins the container's network namespace, and ends with the container or with its owner.
Single-threaded, edge-triggered, only the standard library; the shim may fork it, `ports` starts it.
"""

from __future__ import annotations

import _socket
import resource
import select
import time

from orlop.runtime.linux import syscalls
from orlop.runtime.network import netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CHUNK = 1 << 18
# How much one connection may move before others get their turn.
_TURNS = 16
_UDP_IDLE = 90.0
_EDGE = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_NONBLOCK = _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC


def main(params: dict[str, Any], fds: list[int]) -> int:
    """Serve until the container ends: `fds` are its pidfd, a pipe that closes with the owner, and the listeners.

    `params["ports"]` has `[protocol, container port]` per listener, `params["user_namespace"]` whether to join the
    container's user namespace too.
    """
    pidfd, owner, *listeners = fds
    # Whoever joins the namespace must not be able to trace this process.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    user = syscalls.CLONE_NEWUSER if params["user_namespace"] else 0
    syscalls.setns(pidfd, syscalls.CLONE_NEWNET | user)
    proxy = _Proxy()
    for listener, (protocol, port) in zip(listeners, params["ports"], strict=True):
        proxy.add(listener, protocol, port)
    proxy.run(until=(pidfd, owner))
    return 0


class _Proxy:
    """The loop: descriptor -> what to do when something happens on it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._busy: dict[int, _Connection] = {}
        self._paused: list[int] = []
        self._datagrams: list[_Datagrams] = []
        self._address: str | None = None

    def add(self, fd: int, protocol: str, port: int) -> None:
        """Serve one listener."""
        listener = _socket.socket(fileno=fd)
        listener.setblocking(False)
        if protocol == "udp":
            flow = _Datagrams(self, listener, port)
            self._datagrams.append(flow)
            self.watch(fd, flow.receive, select.EPOLLIN)
        else:
            self.watch(fd, lambda: self._accept(listener, port), select.EPOLLIN)

    def run(self, until: tuple[int, ...]) -> None:
        """Loop until one of these descriptors becomes readable or hangs up."""
        for fd in until:
            self._epoll.register(fd, select.EPOLLIN)
        while True:
            if self._busy:
                timeout = 0.0
            else:
                timeout = 10.0 if self._paused or any(flow.clients for flow in self._datagrams) else -1.0
            events = self._epoll.poll(timeout)
            for fd, _ in events:
                if fd in until:
                    return
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler()
            for connection in list(self._busy.values()):
                connection.move()
            if not events:
                self._resume()
            for flow in self._datagrams:
                flow.expire()

    def watch(self, fd: int, handler: Callable[[], None], events: int) -> None:
        """Call `handler` for events of `fd`."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; call it before closing."""
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def set_busy(self, connection: _Connection, busy: bool) -> None:
        """Whether the connection has more to do without waiting for an event."""
        if busy:
            self._busy[id(connection)] = connection
        else:
            self._busy.pop(id(connection), None)

    def target(self) -> str:
        """The container's own IPv4 address; its loopback while it has no other."""
        if self._address is None:
            with netlink.Channel() as channel:
                for index, address, _ in channel.addresses():
                    if index != 1:
                        self._address = _socket.inet_ntoa(address)
                        break
        return self._address or "127.0.0.1"

    def _accept(self, listener: _socket.socket, port: int) -> None:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - `socket.accept`, without its import
        except BlockingIOError:
            return
        except ConnectionError:
            return
        except OSError:  # out of descriptors or memory: let connections end first
            self._paused.append(listener.fileno())
            self._epoll.modify(listener.fileno(), 0)
            return
        client = _socket.socket(fileno=fd)
        client.setblocking(False)
        try:
            server = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _NONBLOCK)
            for side in (client, server):
                side.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            server.connect_ex((self.target(), port))
        except OSError:
            client.close()
            return
        _Connection(self, client, server)

    def _resume(self) -> None:
        for fd in self._paused:
            self._epoll.modify(fd, select.EPOLLIN)
        self._paused.clear()


class _Connection:
    """Two sockets whose bytes go over to each other; each direction ends on its own."""

    def __init__(self, proxy: _Proxy, client: _socket.socket, server: _socket.socket) -> None:
        self._proxy = proxy
        self._sides = (client, server)
        self._waiting = [memoryview(b""), memoryview(b"")]
        self._ended = [False, False]
        self._shut = [False, False]
        for side in self._sides:
            proxy.watch(side.fileno(), self.move, _EDGE)

    def move(self) -> None:
        """Carry over what can be, a fair share of it."""
        try:
            more = [self._carry(0), self._carry(1)]
        except OSError:
            self._close()
            return
        if all(self._shut):
            self._close()
        else:
            self._proxy.set_busy(self, any(more))

    def _carry(self, origin: int) -> bool:
        source, target = self._sides[origin], self._sides[1 - origin]
        if self._shut[origin]:
            return False
        try:
            for _ in range(_TURNS):
                if self._waiting[origin]:
                    sent = target.send(self._waiting[origin])
                    self._waiting[origin] = self._waiting[origin][sent:]
                elif self._ended[origin]:
                    target.shutdown(_socket.SHUT_WR)
                    self._shut[origin] = True
                    return False
                else:
                    data = source.recv(_CHUNK)
                    self._waiting[origin] = memoryview(data)
                    self._ended[origin] = not data
        except BlockingIOError:
            return False
        return True

    def _close(self) -> None:
        self._proxy.set_busy(self, False)
        for side in self._sides:
            self._proxy.forget(side.fileno())
            side.close()


class _Datagrams:
    """One UDP port: every client gets a socket inside, so that answers find their way back."""

    def __init__(self, proxy: _Proxy, outside: _socket.socket, port: int) -> None:
        self._proxy = proxy
        self._outside = outside
        self._port = port
        self.clients: dict[Any, tuple[_socket.socket, list[float]]] = {}

    def receive(self) -> None:
        """Pass on what clients sent; a datagram that cannot be passed on is lost, as datagrams may be."""
        for _ in range(_TURNS):
            try:
                data, client = self._outside.recvfrom(1 << 16)
            except OSError:
                return
            try:
                inside, used = self.clients.get(client) or self._open(client)
                used[0] = time.monotonic()
                inside.send(data)
            except OSError:
                continue

    def expire(self) -> None:
        """Forget clients that have been silent."""
        limit = time.monotonic() - _UDP_IDLE
        for client in [client for client, (_, used) in self.clients.items() if used[0] < limit]:
            inside, _ = self.clients.pop(client)
            self._proxy.forget(inside.fileno())
            inside.close()

    def _open(self, client: Any) -> tuple[_socket.socket, list[float]]:
        inside = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _NONBLOCK)
        inside.connect((self._proxy.target(), self._port))
        used = [time.monotonic()]

        def answer() -> None:
            try:
                for _ in range(_TURNS):
                    self._outside.sendto(inside.recv(1 << 16), client)
                    used[0] = time.monotonic()
            except OSError:
                return

        self._proxy.watch(inside.fileno(), answer, select.EPOLLIN)
        self.clients[client] = (inside, used)
        return inside, used
