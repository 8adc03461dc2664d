"""The shim's event loop: the program's streams on one side, the log and attached clients on the other."""

from __future__ import annotations

import _signal  # `signal` would load the enumerations
import fcntl
import os
import select
import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET
from _socket import socket as Socket  # noqa: N812 - the class under the `socket` module, whose imports are slow
from struct import unpack

from orlop.runtime.init import console
from orlop.runtime.shim import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.runtime.shim.log import JsonLog

_CHUNK = 64 << 10
# A client of this many unread bytes holds the program back if it was there first, and is let go otherwise.
_HOLD_BACK, _LET_GO = 1 << 20, 8 << 20
_STDIN_QUEUE = 256 << 10
_DRAIN_SECONDS = 2.0
_TIOCGPTPEER = 0x5441
_PEER_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


class Client:
    """One attached front-end; `primary` is the one that started the container in the foreground."""

    def __init__(self, fd: int, *, primary: bool) -> None:
        self.fd = fd
        self.primary = primary
        self.decoder = frames.Decoder()
        self.unsent = bytearray()
        self.reading = True
        os.set_blocking(fd, False)


class Streams:
    """Carries bytes until the program has ended and its output is drained."""

    def __init__(
        self,
        log: JsonLog,
        pidfd: int,
        *,
        terminal: int | None,
        stdin: int | None,
        stdout: int | None,
        stderr: int | None,
        close_stdin_with_client: bool,
    ) -> None:
        self._log = log
        self._pidfd = pidfd
        self._terminal = terminal
        self._stdin = terminal if terminal is not None else stdin
        # Our own descriptor of the other side keeps the terminal from ending while nobody else has it open.
        self._peer = None if terminal is None else fcntl.ioctl(terminal, _TIOCGPTPEER, _PEER_FLAGS)
        self._outputs: dict[int, tuple[int, str]] = {}
        for fd, kind, name in (
            (terminal, frames.STDOUT, "stdout"),
            (stdout, frames.STDOUT, "stdout"),
            (stderr, frames.STDERR, "stderr"),
        ):
            if fd is not None:
                self._outputs[fd] = (kind, name)
        self._once = close_stdin_with_client
        self._typed = bytearray()
        self._closing_stdin = False
        self._clients: dict[int, Client] = {}
        self._listener: Socket | None = None
        self._held_back = False
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._ended = False
        for fd in (*self._outputs, *(() if self._stdin is None else (self._stdin,))):
            os.set_blocking(fd, False)
        for fd in self._outputs:
            self._watch(fd, self._on_output if fd != terminal else self._on_terminal, select.EPOLLIN)
        if self._stdin is not None and self._stdin != terminal:
            self._watch(self._stdin, self._on_stdin, 0)
        self._watch(pidfd, self._on_end, select.EPOLLIN)

    def listen(self, listener: Socket) -> None:
        """Accept clients on a listening socket from now on."""
        self._listener = listener
        listener.setblocking(False)
        self._watch(listener.fileno(), self._on_connection, select.EPOLLIN)

    def add(self, fd: int, *, primary: bool) -> None:
        """Take a connected client."""
        client = Client(fd, primary=primary)
        self._clients[fd] = client
        self._watch(fd, self._on_client, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the program has ended and everything it wrote is read, at most two seconds later."""
        while not self._ended:
            self._step(-1)
        if self._peer is not None:
            os.close(self._peer)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._outputs and time.monotonic() < deadline:
            self._hold_back(False)
            self._step(0.1)

    def watched(self) -> bool:
        """Whether the front-end that started the program is still connected."""
        return any(client.primary for client in self._clients.values())

    def finish(self, code: int) -> None:
        """Tell every client the exit code: the primary one reads all before it in its own time, others in 2 s."""
        for client in list(self._clients.values()):
            client.unsent += frames.exit_frame(code)
            self._flush(client)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while any(client.unsent for client in self._clients.values()):
            if time.monotonic() > deadline and not any(each.primary and each.unsent for each in self._clients.values()):
                break
            self._step(0.1)
        for client in list(self._clients.values()):
            self._drop(client)

    def _step(self, seconds: float) -> bool:
        events = self._poll.poll(seconds)
        for fd, event in events:
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(event)
        return bool(events)

    def _watch(self, fd: int, handler: Callable[..., None], events: int) -> None:
        self._handlers[fd] = lambda event: handler(fd, event)
        self._poll.register(fd, events)

    def _forget(self, fd: int) -> None:
        del self._handlers[fd]
        self._poll.unregister(fd)

    def _on_end(self, fd: int, _event: int) -> None:
        self._ended = True
        self._forget(fd)

    def _on_terminal(self, fd: int, event: int) -> None:
        if event & select.EPOLLOUT:
            self._feed_stdin()
        if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._on_output(fd, event)

    def _on_output(self, fd: int, _event: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last process with the terminal open has ended
            data = b""
        if not data:
            self._end_of_output(fd)
            return
        kind, name = self._outputs[fd]
        self._log.write(name, data)
        if not self._clients:
            return
        frame = frames.encode(kind, data)
        for client in list(self._clients.values()):
            client.unsent += frame
            self._flush(client)

    def _end_of_output(self, fd: int) -> None:
        del self._outputs[fd]
        self._forget(fd)
        if fd != self._terminal:
            os.close(fd)

    def _on_connection(self, _fd: int, _event: int) -> None:
        assert self._listener is not None
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - as `socket.accept` does
        except OSError:
            return
        os.set_inheritable(fd, False)
        if _peer(fd) not in (0, os.geteuid()):
            os.close(fd)
            return
        self.add(fd, primary=False)

    def _on_client(self, fd: int, event: int) -> None:
        client = self._clients[fd]
        if event & select.EPOLLOUT:
            self._flush(client)
        if fd not in self._clients or not event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            return
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        try:
            for kind, payload in client.decoder.feed(data):
                self._obey(kind, payload)
        except frames.BadFrame:
            self._drop(client)

    def _obey(self, kind: int, payload: bytes) -> None:
        if kind == frames.STDIN and not self._closing_stdin and self._stdin is not None:
            self._typed += payload
            self._feed_stdin()
        elif kind == frames.CLOSE_STDIN and self._terminal is None:
            self._closing_stdin = True
            self._feed_stdin()
        elif kind == frames.RESIZE and self._terminal is not None:
            console.set_size(self._terminal, *frames.size_of(payload))
        elif kind == frames.SIGNAL and len(payload) == 1:
            try:
                _signal.pidfd_send_signal(self._pidfd, payload[0])
            except OSError:
                return  # it has ended meanwhile

    def _on_stdin(self, fd: int, event: int) -> None:
        if event & select.EPOLLERR:  # the program closed its end
            self._typed.clear()
            self._closing_stdin = True
        if fd == self._stdin:
            self._feed_stdin()

    def _feed_stdin(self) -> None:
        """Write what clients typed; the program may be slow to read, then they are not read either."""
        if self._stdin is None:
            return
        while self._typed:
            try:
                written = os.write(self._stdin, self._typed[:_CHUNK])
            except BlockingIOError:
                break
            except OSError:
                self._typed.clear()
                self._closing_stdin = self._terminal is None
                break
            del self._typed[:written]
        waiting = bool(self._typed)
        if self._closing_stdin and not waiting and self._terminal is None:
            self._forget(self._stdin)
            os.close(self._stdin)
            self._stdin = None
        elif self._terminal is None:
            self._poll.modify(self._stdin, select.EPOLLOUT if waiting else 0)
        elif self._terminal in self._outputs:
            self._poll.modify(self._terminal, self._terminal_events())
        self._read_clients(len(self._typed) < _STDIN_QUEUE)

    def _terminal_events(self) -> int:
        return (0 if self._held_back else select.EPOLLIN) | (select.EPOLLOUT if self._typed else 0)

    def _read_clients(self, wanted: bool) -> None:
        for client in self._clients.values():
            if client.reading != wanted:
                client.reading = wanted
                self._poll.modify(client.fd, self._client_events(client))

    @staticmethod
    def _client_events(client: Client) -> int:
        return (select.EPOLLIN if client.reading else 0) | (select.EPOLLOUT if client.unsent else 0)

    def _flush(self, client: Client) -> None:
        try:
            while client.unsent:
                del client.unsent[: os.write(client.fd, client.unsent[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if not client.primary and len(client.unsent) > _LET_GO:
            self._drop(client)
            return
        self._poll.modify(client.fd, self._client_events(client))
        self._hold_back(any(each.primary and len(each.unsent) > _HOLD_BACK for each in self._clients.values()))

    def _hold_back(self, wanted: bool) -> None:
        """Stop or go on reading the program's output; the kernel then makes it wait."""
        if wanted == self._held_back:
            return
        self._held_back = wanted
        for fd in self._outputs:
            self._poll.modify(
                fd, self._terminal_events() if fd == self._terminal else (0 if wanted else select.EPOLLIN)
            )

    def _drop(self, client: Client) -> None:
        self._forget(client.fd)
        del self._clients[client.fd]
        os.close(client.fd)
        if client.primary:
            self._hold_back(False)
            if self._once and self._terminal is None:
                self._closing_stdin = True
                self._feed_stdin()


def _peer(fd: int) -> int:
    """The user at the other end (SO_PEERCRED, unix(7))."""
    connection = Socket(AF_UNIX, SOCK_STREAM, 0, fd)
    try:
        _, uid, _ = unpack("iII", connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))
    finally:
        connection.detach()
    return int(uid)


def listening_socket(path: str) -> Socket:
    """A socket for clients at `path` (108 bytes at most), open to this user only; an old one is replaced."""
    if os.path.lexists(path):
        os.unlink(path)
    listener = Socket(AF_UNIX, SOCK_STREAM | os.O_CLOEXEC, 0)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(16)
    return listener
