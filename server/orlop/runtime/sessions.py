"""Being attached: bytes, sizes and signals to a container's program, its output and exit code back."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime.init import console
from orlop.runtime.linux.channel import Channel
from orlop.runtime.shim import frames

_CHUNK = 64 << 10


class Session:
    """A connection to a shim. One thread reads `output`; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._closed = False
        self.exit_code: int | None = None

    def output(self, job: Job) -> Iterator[tuple[str, bytes]]:
        """("stdout" or "stderr", bytes) until the program ends; `exit_code` is set then, None if the shim went away.

        Raises `Cancelled` when the job is; the container goes on.
        """
        decoder = frames.Decoder()
        with _woken_at_cancel(job, self._connection):
            while True:
                try:
                    data = self._connection.recv(_CHUNK)
                except OSError:
                    data = b""
                job.checkpoint()
                if not data:
                    return
                for kind, payload in decoder.feed(data):
                    if kind == frames.EXIT:
                        self.exit_code = frames.code_of(payload)
                    elif kind in (frames.STDOUT, frames.STDERR):
                        yield ("stdout" if kind == frames.STDOUT else "stderr"), payload

    def send(self, data: bytes) -> None:
        """Type into the program's standard input."""
        for start in range(0, len(data), _CHUNK):
            self._send(frames.encode(frames.STDIN, data[start : start + _CHUNK]))

    def close_stdin(self) -> None:
        """Tell the program that its input has ended."""
        self._send(frames.encode(frames.CLOSE_STDIN))

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._send(frames.resize(columns, rows))

    def signal(self, number: int) -> None:
        """Send a signal to the container's first process."""
        self._send(frames.encode(frames.SIGNAL, bytes([number])))

    def close(self) -> None:
        """Detach; the container goes on."""
        with self._lock:
            self._closed = True
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()

    def pump(self, stdin: int | None, stdout: int, stderr: int, job: Job) -> int | None:
        """Carry descriptors of this process until the program ends; returns its exit code, None if the shim went away.

        `stdin` is read by a thread that ends with its input or with the session.
        """
        stop_read, stop_write = os.pipe()
        feeder = None
        if stdin is not None:
            feeder = threading.Thread(target=self._feed, args=(stdin, stop_read), name="session-input", daemon=True)
            feeder.start()
        try:
            for stream, data in self.output(job):
                _write_all(stdout if stream == "stdout" else stderr, data)
        finally:
            os.close(stop_write)
            if feeder is not None:
                feeder.join()
            os.close(stop_read)
        return self.exit_code

    def _feed(self, stdin: int, stop: int) -> None:
        poll = select.poll()
        for fd in (stdin, stop):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if stop in ready:
                return
            try:
                data = os.read(stdin, _CHUNK)
            except OSError:
                data = b""
            if not data:
                self.close_stdin()
                return
            self.send(data)

    def _send(self, frame: bytes) -> None:
        with self._lock:
            if self._closed:
                return
            with contextlib.suppress(OSError):  # the program has ended; its exit code says so
                self._connection.sendall(frame)


class ExecSession:
    """A program started in a running container; `terminal` is the master of its terminal, if it has one."""

    def __init__(self, channel: Channel, terminal: int | None) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._finished = False
        self.terminal = terminal

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        if self.terminal is not None:
            console.set_size(self.terminal, columns, rows)

    def output(self, job: Job) -> Iterator[bytes]:
        """What the program's terminal shows, until the program ends; what it left in the background does not count.

        Raises `Cancelled` when the job is; `wait` tells how the program ended.
        """
        assert self.terminal is not None
        woken, waker = socket.socketpair()
        forget = job.token.on_cancel(lambda: _shut(waker))
        poll = select.poll()
        for fd in (self.terminal, self._channel.fileno(), woken.fileno()):
            poll.register(fd, select.POLLIN)
        try:
            ended = False
            while True:
                ready = {fd for fd, _ in poll.poll(0 if ended else None)}
                job.checkpoint()
                if self.terminal in ready:
                    try:
                        data = os.read(self.terminal, _CHUNK)
                    except OSError:
                        return
                    if not data:
                        return
                    yield data
                elif ended:
                    return
                ended = self._channel.fileno() in ready
        finally:
            forget()
            woken.close()
            waker.close()

    def send(self, data: bytes) -> None:
        """Type into its terminal; waits while the program does not read."""
        view = memoryview(data)
        with contextlib.suppress(OSError):
            while view and self.terminal is not None:
                view = view[os.write(self.terminal, view[:_CHUNK]) :]

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        with self._lock, contextlib.suppress(OSError):
            if not self._finished:
                self._channel.send({"signal": number})

    def wait(self, job: Job) -> tuple[int, str | None]:
        """(exit code, why it could not start or None); a cancelled job kills the program and raises `Cancelled`."""
        forget = job.token.on_cancel(lambda: self.signal(9))
        try:
            received = self._channel.receive()
        finally:
            forget()
            with self._lock:
                self._finished = True
                self._channel.close()
        job.checkpoint()
        if received is None:
            raise errors.Unavailable("cannot tell how the program ended: its helper was killed")
        return received[0]["exit"], received[0]["error"]

    def close(self) -> None:
        """Let go of the terminal; a program that still runs without `wait` is killed."""
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None
        with self._lock:
            if not self._finished:
                self._finished = True
                self._channel.close()


def connect(path: str) -> Session:
    """Attach to the shim that listens at `path`; raises `OSError`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return Session(connection)


def _shut(waker: socket.socket) -> None:
    with contextlib.suppress(OSError):
        waker.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _woken_at_cancel(job: Job, connection: socket.socket) -> Iterator[None]:
    def wake() -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RD)

    forget = job.token.on_cancel(wake)
    try:
        yield
    finally:
        forget()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
