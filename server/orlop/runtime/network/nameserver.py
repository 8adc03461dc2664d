"""The name server inside a container of user-defined networks: names of its neighbors, and the host's servers behind.

It asks the ledgers of addresses at each question, so that nobody has to be told who came and went. It listens on
127.0.0.11 as Docker's does, in the container's network namespace, and forwards from the host's. RFC 1035; A records and
their reverse only. Single-threaded, only the standard library; the shim forks it.
"""

from __future__ import annotations

import _socket
import os
import select
import time
from struct import pack, unpack_from

from orlop.runtime.linux import leanjson, syscalls
from orlop.runtime.shim import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADDRESS, PORT = "127.0.0.11", 53
_A, _PTR, _AAAA, _ANY, _IN = 1, 12, 28, 255, 1
_NO_ERROR, _SERVER_FAILURE, _NOT_FOUND = 0, 2, 3
_TTL = 0
_PATIENCE = 5.0
_LARGEST = 1 << 16
_MOST_PENDING = 512
_REVERSE = ".in-addr.arpa"


def serve(request: dict[str, Any], pidfd: int) -> None:
    """Answer until the container behind `pidfd` ends; see `membership` for the request. Returns when it cannot."""
    syscalls.set_process_name("orlop-names")
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    upstream = _upstreams(request["resolver"])
    _keep_only([pidfd, *(each.fileno() for each, _ in upstream)])
    flags = syscalls.CLONE_NEWNET | (syscalls.CLONE_NEWUSER if request["rootless"] else 0)
    try:
        syscalls.setns(pidfd, flags)
        server = _Server(Table(request["state"], request["container"]), upstream)
    except OSError:
        return  # the container has ended, or has a name server of its own there
    server.run(pidfd)


class Table:
    """Who has which name, seen from one container; `directory` is that of all networks' state."""

    def __init__(self, directory: str, container: str) -> None:
        self._directory = directory
        self._container = container

    def addresses(self, name: str) -> list[str]:
        """The addresses of a name, without regard to case, on the networks of the container; empty for a stranger."""
        wanted = name.lower()
        found: list[str] = []
        for network, leases in self._neighbors():
            suffix = f".{network['name'].lower()}"
            plain = wanted.removesuffix(suffix)
            for address, owner in leases.items():
                names = {each.lower() for each in owner[3].get("names", ())}
                if (wanted in names or plain in names) and address not in found:
                    found.append(address)
        return found

    def name(self, address: str) -> str | None:
        """The first name of a neighbor's address, with its network's behind it."""
        for network, leases in self._neighbors():
            names = leases[address][3].get("names") if address in leases else None
            if names:
                return f"{names[0]}.{network['name']}"
        return None

    def outside(self) -> bool:
        """Whether any network of the container leads out."""
        return any(not network["internal"] for network, _ in self._neighbors())

    def _neighbors(self) -> list[tuple[dict[str, Any], dict[str, list[Any]]]]:
        """(network, address -> lease of a living process) of each network that the container is on."""
        found = []
        try:
            entries = sorted(os.listdir(self._directory))
        except OSError:
            return []
        for entry in entries:
            try:
                leases = _read(f"{self._directory}/{entry}/leases.json")["leases"]
                if any(owner[0] == self._container for owner in leases.values()):
                    living = {place: owner for place, owner in leases.items() if len(owner) > 3 and _lives(owner)}
                    found.append((_read(f"{self._directory}/{entry}/network.json"), living))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # no network, or one that is being cleared away
        return found


class _Server:
    """The loop; `upstream` are sockets of the host's namespace, each connected to a server and with its turn."""

    def __init__(self, table: Table, upstream: list[tuple[_socket.socket, str]]) -> None:
        self._table = table
        self._upstream = upstream
        self._pending: dict[int, tuple[Any, bytes, float, int]] = {}
        self._datagrams = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self._datagrams.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        self._datagrams.bind((ADDRESS, PORT))
        self._datagrams.setblocking(False)

    def run(self, pidfd: int) -> None:
        """Until the container ends."""
        poll = select.poll()
        for fd in (pidfd, self._datagrams.fileno(), *(each.fileno() for each, _ in self._upstream)):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(1000 if self._pending else None)}
            if pidfd in ready:
                return
            if self._datagrams.fileno() in ready:
                self._ask()
            for each, _ in self._upstream:
                if each.fileno() in ready:
                    self._pass_back(each)
            self._hurry()

    def _ask(self) -> None:
        try:
            query, client = self._datagrams.recvfrom(_LARGEST)
        except OSError:
            return
        answer = answered(query, self._table)
        if answer is None:
            self._forward(query, client)
        elif answer:
            self._reply(answer, client)

    def _forward(self, query: bytes, client: Any, turn: int = 0) -> None:
        if turn >= len(self._upstream) or len(self._pending) >= _MOST_PENDING:
            self._reply(_response(query, _SERVER_FAILURE), client)
            return
        # Under a number of our own, which nobody who does not see the query can guess.
        number = int.from_bytes(os.urandom(2), "big")
        while number in self._pending:
            number = int.from_bytes(os.urandom(2), "big")
        self._pending[number] = (client, query, time.monotonic() + _PATIENCE / 2, turn)
        try:
            self._upstream[turn][0].send(pack("!H", number) + query[2:])
        except OSError:
            del self._pending[number]
            self._forward(query, client, turn + 1)

    def _pass_back(self, upstream: _socket.socket) -> None:
        try:
            answer = upstream.recv(_LARGEST)
        except OSError:
            return
        if len(answer) < 12:
            return
        asked = self._pending.get(unpack_from("!H", answer)[0])
        if asked is None or self._upstream[asked[3]][0] is not upstream or not _same_question(asked[1], answer):
            return
        del self._pending[unpack_from("!H", answer)[0]]
        self._reply(asked[1][:2] + answer[2:], asked[0])

    def _hurry(self) -> None:
        """Ask the next server where one has been silent."""
        now = time.monotonic()
        for number, (client, query, until, turn) in list(self._pending.items()):
            if until < now:
                del self._pending[number]
                self._forward(query, client, turn + 1)

    def _reply(self, answer: bytes, client: Any) -> None:
        try:
            self._datagrams.sendto(answer, client)
        except OSError:
            return


def answered(query: bytes, table: Table) -> bytes | None:
    """The answer to a query (RFC 1035, section 4), None for one that others must answer, empty for no query at all."""
    if len(query) < 12:
        return b""
    try:
        flags, questions = unpack_from("!HH", query, 2)
        name, offset = _read_name(query, 12)
        if len(query) < offset + 4:
            return b""
        kind, family = unpack_from("!HH", query, offset)
    except (ValueError, IndexError, UnicodeDecodeError):
        return b""
    if flags & 0x8000 or questions != 1 or family != _IN:
        return b"" if flags & 0x8000 else _response(query, _SERVER_FAILURE)
    if kind == _PTR and name.endswith(_REVERSE):
        place = ".".join(reversed(name.removesuffix(_REVERSE).split(".")))
        host = table.name(place)
        if host is not None:
            return _response(query, _NO_ERROR, [(_PTR, _write_name(host))])
    else:
        found = table.addresses(name)
        if found:
            records = [(_A, _socket.inet_aton(each)) for each in found] if kind in (_A, _ANY) else []
            return _response(query, _NO_ERROR, records)
    if not table.outside():
        return _response(query, _NOT_FOUND)
    return None


def _response(query: bytes, code: int, records: list[tuple[int, bytes]] | None = None) -> bytes:
    """An answer that repeats the first question; its records all belong to that name."""
    try:
        _, end = _read_name(query, 12)
        question = query[12 : end + 4]
    except (ValueError, IndexError, UnicodeDecodeError):
        question = b""
    asked = unpack_from("!H", query, 2)[0]
    head = query[:2] + pack(
        "!HHHHH", 0x8000 | asked & 0x7900 | 0x0480 | code, 1 if question else 0, len(records or ()), 0, 0
    )
    rows = (pack("!HHHIH", 0xC00C, kind, _IN, _TTL, len(data)) + data for kind, data in records or ())
    return head + question + b"".join(rows)


def _read_name(message: bytes, offset: int) -> tuple[str, int]:
    """A name without compression, in small letters, and where it ends; raises `ValueError` or `IndexError`."""
    labels: list[str] = []
    while (length := message[offset]) != 0:
        if length > 63 or offset + 1 + length > len(message) or len(labels) > 127:
            raise ValueError("a label is too long")
        labels.append(message[offset + 1 : offset + 1 + length].decode("ascii").lower())
        offset += 1 + length
    return ".".join(labels), offset + 1


def _write_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in (part.encode()[:63] for part in name.split("."))) + b"\0"


def _same_question(query: bytes, answer: bytes) -> bool:
    """Whether an answer is to what was asked; a server may have changed the case of letters."""
    try:
        mine, ours = _read_name(query, 12), _read_name(answer, 12)
        return mine == ours and query[mine[1] : mine[1] + 4] == answer[ours[1] : ours[1] + 4]
    except (ValueError, IndexError, UnicodeDecodeError):
        return False


def _upstreams(servers: list[str]) -> list[tuple[_socket.socket, str]]:
    """A socket for each server, made where the host's own addresses are reachable."""
    found = []
    for server in servers[:4]:
        family = _socket.AF_INET6 if ":" in server else _socket.AF_INET
        try:
            each = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
            each.connect((server, PORT))
        except OSError:
            continue
        found.append((each, server))
    return found


def _keep_only(fds: list[int]) -> None:
    before = 2
    for fd in sorted(fds):
        os.closerange(before + 1, fd)
        before = fd
    os.closerange(before + 1, 1 << 16)


def _read(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        value: dict[str, Any] = leanjson.loads(file.read())
    return value


def _lives(owner: list[Any]) -> bool:
    start: int | None = state.start_time(owner[1])
    return start is not None and start == owner[2]
