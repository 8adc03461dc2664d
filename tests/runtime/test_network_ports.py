"""Published ports: what people write, and connections that really go through, to root's and users' containers."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import netlab
import pytest

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime.network import attach, ports
from orlop.runtime.network.ports import Port

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a host of its own")

ECHO = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[2] == "udp" else socket.SOCK_STREAM
listener = socket.socket(socket.AF_INET, kind)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], 7))
if kind == socket.SOCK_DGRAM:
    print("ready", flush=True)
    while True:
        data, client = listener.recvfrom(65536)
        listener.sendto(data.upper(), client)
listener.listen()
print("ready", flush=True)
import threading
def serve(client):
    while data := client.recv(1 << 16):
        client.sendall(data)
    client.sendall(b"after the end")
    client.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def outside() -> Iterator[netlab.Box]:
    with netlab.laboratory() as server:
        yield server


@pytest.fixture
def container(outside: netlab.Box, tmp_path: Path) -> Iterator[netlab.Box]:
    with netlab.box() as box:
        attach.attach("private", box.pid, container_id="x", state_dir=tmp_path, job=Job())
        yield box


def own_address(box: netlab.Box) -> str:
    return box.run("ip", "-4", "-br", "addr", "show", "eth0").split()[2].partition("/")[0]


@needs_root
@pytest.mark.parametrize("way", ["127.0.0.1", "::1", netlab.HOST])
def test_a_port_on_all_addresses_is_reached_by_loopback_ipv6_and_from_outside(
    container: netlab.Box, outside: netlab.Box, way: str
) -> None:
    listener = ports.listen(Port("", 0, 80))
    proxy = ports.start_proxy([listener], container.pid)
    listener.close()
    address = own_address(container)
    with netlab.serving(address, 80, inside=container):
        url = f"http://{f'[{way}]' if ':' in way else way}:{listener.port.host_port}/"
        fetched = outside.fetch(url) if way == netlab.HOST else netlab.run("busybox", "wget", "-qO-", url)
        assert fetched == address, "the proxy connects inside, from the container's own address"
    proxy.close()


@needs_root
def test_a_port_on_loopback_is_not_reached_from_outside(container: netlab.Box, outside: netlab.Box) -> None:
    listener = ports.listen(Port("127.0.0.1", 0, 80))
    proxy = ports.start_proxy([listener], container.pid)
    listener.close()
    with netlab.serving(own_address(container), 80, inside=container):
        port = listener.port.host_port
        assert netlab.run("busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/") != ""
        assert outside.fetch(f"http://{netlab.HOST}:{port}/", 1) == ""
    proxy.close()


@needs_root
def test_much_data_and_half_closed_connections_go_through_unharmed(container: netlab.Box) -> None:
    listener = ports.listen(Port("127.0.0.1", 0, 7))
    proxy = ports.start_proxy([listener], container.pid)
    listener.close()
    with echoing(container, "tcp"):
        payload = os.urandom(1 << 20) * 8
        clients = [socket.create_connection(("127.0.0.1", listener.port.host_port), 10) for _ in range(5)]

        def send(client: socket.socket) -> None:
            client.sendall(payload)
            client.shutdown(socket.SHUT_WR)

        senders = [threading.Thread(target=send, args=(client,)) for client in clients]
        for sender in senders:
            sender.start()
        for client in clients:
            received = b"".join(iter(partial(client.recv, 1 << 20), b""))
            assert received == payload + b"after the end"
            client.close()
        for sender in senders:
            sender.join()
    proxy.close()


@needs_root
def test_datagrams_find_their_way_back_to_each_client(container: netlab.Box) -> None:
    listener = ports.listen(Port("127.0.0.1", 0, 7, "udp"))
    proxy = ports.start_proxy([listener], container.pid)
    listener.close()
    with echoing(container, "udp"):
        clients = []
        for text in (b"one", b"two"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(10)
            client.sendto(text, ("127.0.0.1", listener.port.host_port))
            clients.append(client)
        assert [client.recv(100) for client in clients] == [b"ONE", b"TWO"]
        for client in clients:
            client.close()
    proxy.close()


@needs_root
def test_where_nobody_listens_inside_the_connection_is_closed(container: netlab.Box) -> None:
    listener = ports.listen(Port("127.0.0.1", 0, 81))
    proxy = ports.start_proxy([listener], container.pid)
    listener.close()
    with socket.create_connection(("127.0.0.1", listener.port.host_port), 10) as client, suppress(ConnectionResetError):
        assert client.recv(1) == b""
    proxy.close()


@needs_root
def test_the_proxy_ends_with_its_container_and_frees_the_port(outside: netlab.Box, tmp_path: Path) -> None:
    listener = ports.listen(Port("127.0.0.1", 0, 80))
    with netlab.box() as box:
        proxy = ports.start_proxy([listener], box.pid)
        listener.close()
        assert netlab.alive(proxy.pid)
    assert netlab.eventually(lambda: not netlab.alive(proxy.pid))
    proxy.close()
    ports.listen(listener.port).close()


@needs_root
def test_a_users_container_is_reached_through_its_user_namespace(outside: netlab.Box) -> None:
    with netlab.box(user="orloptest") as box:
        box.run("ip", "link", "set", "lo", "up")
        driver = (
            "import sys; from orlop.runtime.network import ports\n"
            "listener = ports.listen(ports.Port('127.0.0.1', 0, 80))\n"
            f"proxy = ports.start_proxy([listener], {box.pid})\n"
            "print(listener.port.host_port, flush=True); sys.stdin.read(); proxy.close()"
        )
        with (
            netlab.serving("127.0.0.1", 80, inside=box),
            netlab.driven("orloptest", driver) as port,
        ):
            assert netlab.run("busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/") == "127.0.0.1"


@needs_root
def test_users_are_told_how_to_get_low_ports(outside: netlab.Box) -> None:
    driver = (
        "import sys; from orlop.core import errors; from orlop.runtime.network import ports\n"
        "try: ports.listen(ports.Port('127.0.0.1', 80, 80))\n"
        "except errors.Unavailable as error: print(error.message, error.hint, flush=True)\n"
    )
    with netlab.driven("orloptest", driver) as said:
        assert said == (
            "cannot publish 127.0.0.1:80: ordinary users may not listen on this port Choose a port from 1024 on, "
            "or run `sudo sysctl net.ipv4.ip_unprivileged_port_start=80`."
        )


def test_a_taken_port_is_told() -> None:
    listener = ports.listen(Port("127.0.0.1", 0, 80))
    with pytest.raises(errors.Conflict, match=r"cannot publish 127\.0\.0\.1:\d+: it is already in use"):
        ports.listen(listener.port)
    listener.close()


def test_an_address_of_another_host_is_told() -> None:
    with pytest.raises(errors.Invalid, match="this host has no such address"):
        ports.listen(Port("203.0.113.250", 0, 80))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", "0.0.0.0:0->80/tcp"),
        ("8080:80", "0.0.0.0:8080->80/tcp"),
        ("8080:80/udp", "0.0.0.0:8080->80/udp"),
        ("127.0.0.1:8080:80", "127.0.0.1:8080->80/tcp"),
        ("127.0.0.1::80", "127.0.0.1:0->80/tcp"),
        ("[::1]:8080:80/TCP", "[::1]:8080->80/tcp"),
        ("::1:8080:80", "[::1]:8080->80/tcp"),
        ("8000-8001:80-81", "0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp"),
        ("80-81", "0.0.0.0:0->80/tcp 0.0.0.0:0->81/tcp"),
    ],
)
def test_ports_are_read_as_docker_reads_them(text: str, expected: str) -> None:
    assert " ".join(map(str, ports.parse(text))) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "8080:", "0", "65536", "8080:80:90", "80/sctp", "8000-8002:80-81", "9-8", "-1", "300.0.0.1:80:80", "²"],
)
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(errors.Invalid, match="invalid port") as caught:
        ports.parse(text)
    assert f'"{text}"' in caught.value.message


def echoing(box: netlab.Box, kind: str) -> AbstractContextManager[str]:
    return netlab.program(box.command(sys.executable, "-I", "-c", ECHO, own_address(box), kind), stop=True)
