"""Links, addresses and routes by the kernel's own protocol: what starting one container needs, in under a millisecond.

rtnetlink(7), linux/rtnetlink.h, linux/if_link.h. Only the standard library, so that lean interpreters may use it; the
bridge, set up once, is made with pyroute2 (`links`).
"""

from __future__ import annotations

import _socket
import errno
import os
import sys
from struct import calcsize, pack, unpack_from

from orlop.runtime.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_ROUTE, _NETFILTER = 0, 12
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE = 16, 17, 18, 20, 22, 24, 26
_NFT_GETGEN, _NFTA_GEN_ID = 10 << 8 | 16, 1
_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_IFALIAS, _IFLA_NET_NS_FD = 20, 28
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 1, 4, 5, 6
_LINK_HEADER = "=BxHiII"  # family, type, index, flags, changed flags
_MESSAGE_HEADER = "=IHHII"  # length, type, flags, sequence, port

Attributes = dict[int, bytes]


class Channel:
    """A conversation with the kernel about one network namespace: that of the thread, or the one `netns_fd` is."""

    def __init__(self, netns_fd: int | None = None, *, protocol: int = _ROUTE) -> None:
        self._socket = _open_socket(protocol) if netns_fd is None else _open_in(netns_fd, protocol)
        self._sequence = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_veth(
        self, name: str, *, master: int, mtu: int, peer_name: str, peer_netns_fd: int, peer_mac: bytes
    ) -> None:
        """A pair of links: `name` here, up and on the bridge with index `master`; its peer in the other namespace.

        The peer stays down: the kernel makes it first, and a veth without peer does not come up.

        Raises `OSError`: EEXIST for a taken name, EPERM without CAP_NET_ADMIN, EOPNOTSUPP without the veth driver.
        """
        peer = (
            pack(_LINK_HEADER, 0, 0, 0, 0, 0)
            + _attribute(_IFLA_IFNAME, peer_name.encode() + b"\0")
            + _attribute(_IFLA_MTU, pack("=I", mtu))
            + _attribute(_IFLA_ADDRESS, peer_mac)
            + _attribute(_IFLA_NET_NS_FD, pack("=I", peer_netns_fd))
        )
        information = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_INFO_PEER, peer))
        self._ask(
            _NEWLINK,
            _CREATE | _EXCL,
            pack(_LINK_HEADER, 0, 0, 0, _IFF_UP, _IFF_UP)
            + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
            + _attribute(_IFLA_MTU, pack("=I", mtu))
            + _attribute(_IFLA_MASTER, pack("=I", master))
            + _attribute(_IFLA_LINKINFO, information),
        )

    def add_bridge(self, name: str, alias: str) -> int:
        """A bridge, up, with an alias; returns its index. Raises `OSError`: EEXIST for a taken name."""
        information = _attribute(_INFO_KIND, b"bridge")
        self._ask(
            _NEWLINK,
            _CREATE | _EXCL,
            pack(_LINK_HEADER, 0, 0, 0, _IFF_UP, _IFF_UP)
            + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
            + _attribute(_IFLA_LINKINFO, information),
        )
        index = self.links()[name][0]
        self._ask(_NEWLINK, 0, pack(_LINK_HEADER, 0, 0, index, 0, 0) + _attribute(_IFLA_IFALIAS, alias.encode()))
        return index

    def set_up(self, index: int) -> None:
        """Switch a link on."""
        self._ask(_NEWLINK, 0, pack(_LINK_HEADER, 0, 0, index, _IFF_UP, _IFF_UP))

    def delete_link(self, index: int) -> None:
        """Remove a link; returns normally when it is gone already."""
        try:
            self._ask(_DELLINK, 0, pack(_LINK_HEADER, 0, 0, index, 0, 0))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, index: int, address: bytes, prefix: int) -> None:
        """Give a link an IPv4 address (4 bytes)."""
        hosts = (1 << 32 - prefix) - 1
        broadcast = pack("!I", int.from_bytes(address, "big") | hosts)
        self._ask(
            _NEWADDR,
            _CREATE | _EXCL,
            pack("=BBBBI", _socket.AF_INET, prefix, 0, 0, index)
            + _attribute(_IFA_LOCAL, address)
            + _attribute(_IFA_ADDRESS, address)
            + _attribute(_IFA_BROADCAST, broadcast),
        )

    def add_default_route(self, index: int, gateway: bytes) -> None:
        """Send everything else to an IPv4 gateway (4 bytes) on a link."""
        main_table, protocol_boot, scope_universe, unicast = 254, 3, 0, 1
        self._ask(
            _NEWROUTE,
            _CREATE | _EXCL,
            pack("=BBBBBBBBI", _socket.AF_INET, 0, 0, 0, main_table, protocol_boot, scope_universe, unicast, 0)
            + _attribute(_RTA_GATEWAY, gateway)
            + _attribute(_RTA_OIF, pack("=I", index)),
        )

    def links(self) -> dict[str, tuple[int, int, str, int]]:
        """Name -> (index, MTU in bytes, alias, index of the bridge it is on or 0) of all links."""
        bodies = self._dump(_GETLINK, pack(_LINK_HEADER, 0, 0, 0, 0, 0))
        return {name: (index, mtu, alias, master) for name, index, mtu, alias, master in map(_link, bodies)}

    def link(self, index: int) -> tuple[str, int, str] | None:
        """(name, MTU in bytes, alias) of one link, None when it is gone."""
        try:
            for body in self._exchange(_GETLINK, _REQUEST | _ACK, pack(_LINK_HEADER, 0, 0, index, 0, 0)):
                name, _, mtu, alias, _ = _link(body)
                return name, mtu, alias
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        return None

    def addresses(self) -> list[tuple[int, bytes, int]]:
        """(link index, IPv4 address, prefix length) of all addresses."""
        found = []
        for body in self._dump(_GETADDR, pack("=BBBBI", _socket.AF_INET, 0, 0, 0, 0)):
            _, prefix, _, _, index = unpack_from("=BBBBI", body)
            attributes = _attributes(body, 8)
            found.append((index, attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, bytes(4))), prefix))
        return found

    def routes(self) -> list[tuple[bytes, int, int, int]]:
        """(IPv4 destination, prefix length, link index or 0, metric) of the main table."""
        found = []
        for body in self._dump(_GETROUTE, pack("=BBBBBBBBI", _socket.AF_INET, *bytes(7), 0)):
            _, prefix, _, _, table, _, _, _, _ = unpack_from("=BBBBBBBBI", body)
            if table == 254:
                attributes = _attributes(body, 12)
                metric, index = (
                    int.from_bytes(attributes.get(x, b""), sys.byteorder) for x in (_RTA_PRIORITY, _RTA_OIF)
                )
                found.append((attributes.get(_RTA_DST, bytes(4)), prefix, index, metric))
        return found

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        for _ in self._exchange(kind, _REQUEST | _ACK | flags, body):
            pass

    def _dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        return self._exchange(kind, _REQUEST | _DUMP, body)

    def _exchange(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        header = pack(_MESSAGE_HEADER, 16 + len(body), kind, flags, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            data, offset = self._socket.recv(1 << 17), 0
            while offset < len(data):
                length, kind, _, sequence, _ = unpack_from(_MESSAGE_HEADER, data, offset)
                payload = data[offset + 16 : offset + length]
                offset += length + 3 & ~3
                if sequence != self._sequence:
                    continue
                if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    code = -unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                yield payload


def loopback_up(netns_fd: int | None = None) -> None:
    """Switch the loopback link on, in the caller's own network namespace or another; a new one has it off."""
    with Channel(netns_fd) as channel:
        channel.set_up(1)


def ruleset_generation() -> int | None:
    """A number that changes with every change of nftables rules (iptables-nft's too) in this network namespace.

    None where the kernel does not tell. nfnetlink, `NFT_MSG_GETGEN` (linux/netfilter/nf_tables.h).
    """
    try:
        with Channel(protocol=_NETFILTER) as channel:
            for body in channel._exchange(_NFT_GETGEN, _REQUEST | _ACK, pack("=BBH", 0, 0, 0)):  # noqa: SLF001
                value = _attributes(body, 4).get(_NFTA_GEN_ID)
                if value is not None:
                    return int.from_bytes(value, "big")
    except OSError:
        pass
    return None


def _open_socket(protocol: int) -> _socket.socket:
    channel = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, protocol)
    channel.bind((0, 0))
    channel.settimeout(10)
    return channel


def _open_in(netns_fd: int, protocol: int) -> _socket.socket:
    # A namespace is joined by one thread alone, and a socket belongs to the namespace it was made in: a thread that
    # joins, opens and ends leaves everybody else where they were.
    import threading  # noqa: PLC0415 - lean processes never need it

    outcome: list[_socket.socket | OSError] = []

    def enter() -> None:
        try:
            syscalls.setns(netns_fd, syscalls.CLONE_NEWNET)
            outcome.append(_open_socket(protocol))
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _link(body: bytes) -> tuple[str, int, int, str, int]:
    index = unpack_from(_LINK_HEADER, body)[2]
    attributes = _attributes(body, calcsize(_LINK_HEADER))
    name, alias = (attributes.get(x, b"").rstrip(b"\0").decode(errors="replace") for x in (_IFLA_IFNAME, _IFLA_IFALIAS))
    mtu, master = (int.from_bytes(attributes.get(x, b""), sys.byteorder) for x in (_IFLA_MTU, _IFLA_MASTER))
    return name, index, mtu, alias, master


def _attribute(kind: int, value: bytes) -> bytes:
    return pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(body: bytes, offset: int) -> Attributes:
    found = {}
    while offset + 4 <= len(body):
        length, kind = unpack_from("=HH", body, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = body[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found
