"""The bridge of this host's containers, and the pair of links that ties one container to it.

The bridge is made once, with pyroute2; the links of each container go through `netlink`, see
docs/decisions/network-links.md.
"""

from __future__ import annotations

import errno
import os
import secrets
from ipaddress import IPv4Address, IPv4Network

import attrs

from orlop.core import errors
from orlop.runtime.network import netlink

# Alias of a bridge: which state directory it belongs to, so that two of them never share one (IFLA_IFALIAS).
ALIAS = "orlop:"
_PREFIX = "orlop"
INSIDE_NAME = "eth0"


@attrs.frozen(slots=True)
class Bridge:
    """A bridge: link name and index, its IPv4 network, and the gateway (its own address there)."""

    name: str
    index: int
    subnet: IPv4Network
    gateway: IPv4Address


def find_bridge(channel: netlink.Channel, owner: str) -> Bridge | None:
    """The bridge that belongs to the state directory `owner`, if it is there with its address."""
    for name, (index, _, alias, _) in channel.links().items():
        if alias == ALIAS + owner:
            for link, address, prefix in channel.addresses():
                if link == index:
                    gateway = IPv4Address(address)
                    return Bridge(name, index, IPv4Network((address, prefix), strict=False), gateway)
            channel.delete_link(index)  # its maker was killed half-way
    return None


def idle_bridges(channel: netlink.Channel) -> dict[str, str]:
    """Name -> owner of every bridge of ours on which no container is, the longest unused ones likely first."""
    found = channel.links()
    busy = {master for _, _, _, master in found.values()}
    idle = {name: alias.removeprefix(ALIAS) for name, (index, _, alias, _) in found.items() if index not in busy}
    return {name: owner for name, owner in idle.items() if found[name][2].startswith(ALIAS)}


def make_bridge(channel: netlink.Channel, owner: str, subnet: IPv4Network) -> Bridge:
    """A new bridge for `owner`, up, with the first address of `subnet`; raises `OSError`, leaving nothing."""
    from pyroute2 import IPRoute  # noqa: PLC0415 - a quarter of a second, and only here
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415

    gateway = subnet[1]
    try:
        with IPRoute() as route:
            name, index = _claim_name(channel, route, owner)
            try:
                route.addr("add", index=index, address=str(gateway), prefixlen=subnet.prefixlen)
                route.link("set", index=index, state="up")
            except BaseException:
                channel.delete_link(index)
                raise
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error
    return Bridge(name, index, subnet, gateway)


def connect(channel: netlink.Channel, bridge: Bridge, pid: int, address: IPv4Address) -> str:
    """Give the network namespace of process `pid` the link eth0 with `address`, on the bridge; returns the outer name.

    Its own loopback is switched on too. Everything vanishes with the namespace. Raises `Unavailable`.
    """
    try:
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise errors.Conflict(f"cannot connect process {pid} to the network: it has ended") from None
    try:
        mtu = uplink_mtu(channel)
        name = _add_pair(channel, bridge, netns, mtu, b"\x02\x6f" + address.packed)
        with netlink.Channel(netns) as inside:
            index = inside.links()[INSIDE_NAME][0]
            inside.set_up(1)
            inside.set_up(index)
            inside.add_address(index, address.packed, bridge.subnet.prefixlen)
            inside.add_default_route(index, bridge.gateway.packed)
    except OSError as error:
        raise errors.Unavailable(
            f"cannot connect a container to the bridge {bridge.name}: {(error.strerror or str(error)).lower()}",
            hint="Load the kernel's veth driver with `modprobe veth`, or use the host's network.",
        ) from error
    finally:
        os.close(netns)
    return name


def own_address(channel: netlink.Channel) -> str | None:
    """This host's IPv4 address on the link of its default route, or None."""
    for _, prefix, index, _ in sorted(channel.routes(), key=lambda route: route[3]):
        if prefix == 0:
            for link, address, _ in channel.addresses():
                if link == index:
                    return str(IPv4Address(address))
    return None


def uplinks(channel: netlink.Channel) -> tuple[str, ...]:
    """The names of the links that default routes go by."""
    ways = {index for _, prefix, index, _ in channel.routes() if prefix == 0}
    return tuple(name for name, (index, _, _, _) in channel.links().items() if index in ways)


def uplink_mtu(channel: netlink.Channel) -> int:
    """The MTU of the link of the default route: larger packets from a container would be lost on the way."""
    defaults = sorted((metric, index) for _, prefix, index, metric in channel.routes() if prefix == 0 and index)
    if defaults:
        link = channel.link(defaults[0][1])
        if link is not None and link[1] >= 576:
            return min(link[1], 65535)
    return 1500


def _claim_name(channel: netlink.Channel, route: object, owner: str) -> tuple[str, int]:
    for number in range(64):
        name = f"{_PREFIX}{number}"
        if name in channel.links():
            continue
        try:
            route.link("add", ifname=name, kind="bridge")  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno == errno.EEXIST:
                continue
            raise
        index = channel.links()[name][0]
        route.link("set", index=index, ifalias=ALIAS + owner)  # type: ignore[attr-defined]
        return name, index
    raise OSError(errno.EEXIST, "all bridge names are taken")


def _add_pair(channel: netlink.Channel, bridge: Bridge, netns: int, mtu: int, mac: bytes) -> str:
    while True:
        name = f"veo{secrets.token_hex(6)}"
        try:
            channel.add_veth(
                name, master=bridge.index, mtu=mtu, peer_name=INSIDE_NAME, peer_netns_fd=netns, peer_mac=mac
            )
        except OSError as error:
            # EEXIST is also what a namespace that has its eth0 says.
            if error.errno == errno.EEXIST and name in channel.links():
                continue
            raise
        return name
