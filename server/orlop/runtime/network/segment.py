"""One user-defined network where it is live: its bridge, its packet rules, and the links of containers on it.

All this happens in the network namespace of the caller: the host's for root, the holder's (`holder`) for others. Only
the standard library, since shims do it in a forked child. A network is the JSON object of `definitions.Definition`.
"""

from __future__ import annotations

import contextlib
import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from orlop.core import errors
from orlop.runtime.linux import leanjson
from orlop.runtime.network import firewall, netlink
from orlop.runtime.network.addresses import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# The network as it was when its bridge was made, in its directory; the ledger of addresses lies beside it.
RECORD = "network.json"
# Beside it: the generation of packet rules that was seen complete, and that forwarding was off before.
_RULES, _SWITCHED = "rules-seen", "forwarding-switched-on"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_LARGEST_MTU = 65535


class Segment:
    """The live side of one network; `directory` is its state. Whoever calls holds the lock of all networks."""

    def __init__(self, directory: Path, network: dict[str, Any], *, alone: bool) -> None:
        self.directory = directory
        self.network = network
        self.subnet = IPv4Network(network["subnet"])
        self.gateway = IPv4Address(network["gateway"])
        self.name = f"orlop{network['id'][:10]}"
        self._alone = alone
        self.ledger = Ledger(directory)

    def connect(self, container: str, pid: int, names: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Give the network namespace of process `pid` a link here: (what it got, notes worth telling).

        What it got: "id", "name", "address", "gateway" (or null), "link" (inside). A default route is set unless there
        is one or the network is internal. Everything vanishes with the namespace. Raises `Unavailable` or `Conflict`.
        """
        try:
            netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise errors.Conflict(f"cannot connect process {pid} to the network: it has ended") from None
        try:
            with netlink.Channel() as channel, netlink.Channel(netns) as inside:
                outer, inner = f"veo{os.urandom(6).hex()}", _free_name(inside)
                details = {"names": list(names), "link": outer}
                with self.ledger.locked():  # whoever sweeps out idle bridges must not see it without a lease
                    bridge, notes = self._ensure(channel)
                    address = self.ledger.lease(self.subnet, container, pid, gateway=self.gateway, details=details)
                try:
                    self._tie(channel, inside, bridge, netns, outer, inner, address)
                except BaseException:
                    self.ledger.release(address, pid)
                    raise
        except OSError as error:
            raise errors.Unavailable(
                f"cannot connect a container to the network {self.network['name']}: "
                f"{(error.strerror or str(error)).lower()}",
                hint="Load the kernel's drivers with `modprobe veth bridge`, or use the default network.",
            ) from error
        finally:
            os.close(netns)
        gateway = None if self.network["internal"] else str(self.gateway)
        return {
            "id": self.network["id"], "name": self.network["name"], "address": str(address), "gateway": gateway,
            "link": inner,
        }, notes  # fmt: skip

    def disconnect(self, container: str) -> bool:
        """Take a container's link away; tells whether it had one."""
        found = False
        with netlink.Channel() as channel:
            links = channel.links()
            for address, (owner, pid, details) in self.ledger.members().items():
                if owner == container:
                    found = True
                    link = links.get(details.get("link", ""))
                    if link is not None:
                        channel.delete_link(link[0])
                    self.ledger.release(address, pid)
        return found

    def set_default_route(self, pid: int) -> bool:
        """Let a container that has no default route go out by this network; tells whether it did so."""
        if self.network["internal"]:
            return False
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with netlink.Channel(netns) as inside:
                own = {index for index, place, _ in inside.addresses() if IPv4Address(place) in self.subnet}
                if not own or _has_default_route(inside):
                    return False
                inside.add_default_route(own.pop(), self.gateway.packed)
                return True
        finally:
            os.close(netns)

    def release(self, container: str) -> None:
        """Give back the addresses of a container that has ended; its links went with its namespace."""
        for text, owner in self.ledger.everybody().items():
            if owner[0] == container:
                self.ledger.release(text, owner[1])

    def remove_if_idle(self) -> bool:
        """Take the bridge and its rules away when no living container is on it; tells whether it is gone."""
        if self.ledger.leases():
            return False
        with netlink.Channel() as channel:
            link = channel.links().get(self.name)
            if link is not None or self.ledger.note(_RULES) is not None:
                firewall.remove(self.name, alone=self._alone)
            if link is not None:
                channel.delete_link(link[0])
            if self.ledger.note(_SWITCHED) is not None and not _other_bridges(channel):
                _FORWARDING.write_text("0")
        self.forget()
        return True

    def forget(self) -> None:
        """Drop the records of what is gone."""
        self.ledger.clear()
        for note in (_SWITCHED, _RULES, RECORD):
            self.ledger.set_note(note, None)

    def erase(self) -> None:
        """Remove the directory of a network that was removed, unless somebody is on it; never raises."""
        with contextlib.suppress(OSError):
            if not self.ledger.leases():
                for each in os.listdir(self.directory):
                    (self.directory / each).unlink()
                self.directory.rmdir()

    def _ensure(self, channel: netlink.Channel) -> tuple[int, tuple[str, ...]]:
        """The index of the bridge, made if need be, with its rules and forwarding on."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.ledger.note(RECORD) is None:
            self.ledger.set_note(RECORD, leanjson.dumps(self.network))
        notes: tuple[str, ...] = ()
        link = channel.links().get(self.name)
        if link is None:
            self._check_subnet(channel)
            self.ledger.set_note(_RULES, None)
            index = channel.add_bridge(self.name, f"orlop:{self.directory.resolve()}")
        else:
            index = link[0]
        try:
            if not any(each == index for each, _, _ in channel.addresses()):
                channel.add_address(index, self.gateway.packed, self.subnet.prefixlen)
            if not self.network["internal"] and _FORWARDING.read_text().strip() != "1":
                self.ledger.set_note(_SWITCHED, "1")
                _FORWARDING.write_text("1")
            generation = str(netlink.ruleset_generation())
            if generation == "None" or self.ledger.note(_RULES) != generation:
                self.ledger.set_note(_RULES, "0")  # before the rules are made: whoever cleans up looks for them
                ways = {way for _, prefix, way, _ in channel.routes() if prefix == 0}
                uplinks = [name for name, each in channel.links().items() if each[0] in ways]
                notes = firewall.ensure(self, uplinks=uplinks, internal=self.network["internal"], alone=self._alone)
                self.ledger.set_note(_RULES, str(netlink.ruleset_generation()))
        except BaseException:
            if link is None:
                firewall.remove(self.name, alone=self._alone)
                channel.delete_link(index)
            raise
        return index, notes

    def _check_subnet(self, channel: netlink.Channel) -> None:
        places = [(place, prefix) for place, prefix, _, _ in channel.routes() if prefix > 0]
        places += [(place, prefix) for _, place, prefix in channel.addresses()]
        for place, prefix in places:
            other = IPv4Network((place, prefix), strict=False)
            if self.subnet.overlaps(other):
                raise errors.Unavailable(
                    f"cannot use the network {self.network['name']}: its subnet {self.subnet} overlaps with {other}, "
                    "which this host has a route to",
                    hint="Remove it, and create it again with another --subnet.",
                )

    def _tie(
        self, channel: netlink.Channel, inside: netlink.Channel, bridge: int, netns: int, outer: str, inner: str,
        address: IPv4Address,
    ) -> None:  # fmt: skip
        mac = b"\x02\x6f" + address.packed
        channel.add_veth(outer, master=bridge, mtu=_mtu(channel), peer_name=inner, peer_netns_fd=netns, peer_mac=mac)
        index = inside.links()[inner][0]
        inside.set_up(1)
        inside.set_up(index)
        inside.add_address(index, address.packed, self.subnet.prefixlen)
        if not self.network["internal"] and not _has_default_route(inside):
            inside.add_default_route(index, self.gateway.packed)


def recorded(state: Path) -> dict[str, dict[str, Any]]:
    """Id -> network of all that are live, or were when somebody was killed; `state` is the directory of all."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(state):
            with contextlib.suppress(OSError, ValueError):
                found[entry] = leanjson.loads((state / entry / RECORD).read_bytes())
    return found


def _other_bridges(channel: netlink.Channel) -> bool:
    return any(
        alias.startswith("orlop:") or name.startswith(("docker", "br-", "podman", "cni", "virbr", "lxcbr", "lxdbr"))
        for name, (_, _, alias, _) in channel.links().items()
    )


def _has_default_route(channel: netlink.Channel) -> bool:
    return any(prefix == 0 for _, prefix, _, _ in channel.routes())


def _free_name(channel: netlink.Channel) -> str:
    taken, number = channel.links(), 0
    while f"eth{number}" in taken:
        number += 1
    return f"eth{number}"


def _mtu(channel: netlink.Channel) -> int:
    ways = sorted((metric, index) for _, prefix, index, metric in channel.routes() if prefix == 0 and index)
    link = channel.link(ways[0][1]) if ways else None
    return min(link[1], _LARGEST_MTU) if link is not None and link[1] >= 576 else 1500
