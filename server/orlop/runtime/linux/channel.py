"""Two processes talking: JSON messages with descriptors over a pair of sockets that keep message boundaries."""

from __future__ import annotations

import os
from _socket import AF_UNIX, MSG_CTRUNC, SCM_RIGHTS, SHUT_RD, SO_SNDBUF, SOCK_SEQPACKET, SOL_SOCKET
from _socket import socket as Socket  # noqa: N812 - the class under the `socket` module, whose imports are slow
from _socket import socketpair as _socketpair
from struct import calcsize, pack, unpack

from orlop.runtime.linux import leanjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LARGEST = 1 << 20
_MOST_FDS = 250
_MSG_CMSG_CLOEXEC = 0x40000000
_SOCK_CLOEXEC = os.O_CLOEXEC


class Channel:
    """One end; closed when it is collected or `close` is called."""

    def __init__(self, fd: int) -> None:
        self._socket = Socket(AF_UNIX, SOCK_SEQPACKET, 0, fd)
        self._socket.setsockopt(SOL_SOCKET, SO_SNDBUF, _LARGEST)

    def fileno(self) -> int:
        """The descriptor, for polling and for passing on."""
        return self._socket.fileno()

    def detach(self) -> int:
        """Give the descriptor away; the channel is closed without closing it."""
        return self._socket.detach()

    def close(self) -> None:
        """Close this end; the other one reads the end of the conversation."""
        self._socket.close()

    def refuse(self) -> None:
        """Take no further message: from now on the other end's `send` fails, what is here already can be received."""
        self._socket.shutdown(SHUT_RD)

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send one message; raises `OSError` (EPIPE) when the other end is gone."""
        rights = [(SOL_SOCKET, SCM_RIGHTS, pack(f"{len(fds)}i", *fds))] if fds else []
        self._socket.sendmsg([leanjson.dumps(message).encode()], rights, 0x4000)  # MSG_NOSIGNAL

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Wait for a message and its descriptors (close-on-exec); None when the other end is gone."""
        while True:
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(
                    _LARGEST, _MOST_FDS * calcsize("i") + 64, _MSG_CMSG_CLOEXEC
                )
                break
            except ConnectionResetError:
                continue  # told once when the other end went without reading everything; what it sent comes after
        fds: list[int] = []
        for level, kind, payload in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                count = len(payload) // calcsize("i")
                fds.extend(unpack(f"{count}i", payload[: count * calcsize("i")]))
        if flags & MSG_CTRUNC:
            for fd in fds:
                os.close(fd)
            raise OSError("too many descriptors in one message")
        if not data:
            return None
        return leanjson.loads(data), fds


def pair() -> tuple[Channel, Channel]:
    """Two connected ends, both close-on-exec."""
    first, second = _socketpair(AF_UNIX, SOCK_SEQPACKET | _SOCK_CLOEXEC, 0)
    return Channel(first.detach()), Channel(second.detach())
