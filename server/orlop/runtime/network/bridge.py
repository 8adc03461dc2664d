"""The bridge network as a whole: made ready when first needed, checked cheaply ever after, taken away on request."""

from __future__ import annotations

import contextlib
import secrets
import time
from ipaddress import IPv4Network
from pathlib import Path

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime.network import firewall, links, netlink, resolv
from orlop.runtime.network.addresses import Ledger, free_subnet

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Kept beside the leases: the generation of packet rules that was seen complete, and that forwarding was off before us.
_SEEN, _SWITCHED = "rules-seen", "forwarding-switched-on"
# How long rules count as seen where the kernel tells no generation (iptables-legacy has none), in seconds.
_TRUST = 10.0
# How many bridges of other state directories may stay although no container is on them.
_IDLE = 3
_ATTEMPTS = 8


def ensure(state_dir: Path, job: Job) -> links.Bridge:
    """The bridge that belongs to `state_dir`, made if need be, with its packet rules and forwarding on.

    Costs a millisecond when all is there, which is told from the generation of the kernel's rules. Raises `OSError` or
    `Unavailable`, and then leaves no bridge that was not there before.
    """
    ledger, owner = Ledger(state_dir), str(state_dir.resolve())
    with netlink.Channel() as channel:
        seen = _seen(ledger, channel, owner)
        if seen is not None:
            return seen
        with ledger.locked():
            seen = _seen(ledger, channel, owner)
            if seen is not None:
                return seen
            bridge = links.find_bridge(channel, owner)
            job.checkpoint()
            made = None
            if bridge is None:
                _sweep(channel)
                ledger.clear()
                bridge = made = _make(channel, owner)
            try:
                _switch_forwarding_on(ledger, job)
                for note in firewall.ensure(bridge, uplinks=links.uplinks(channel)):
                    job.note(note, "warning")
            except BaseException:
                if made is not None:
                    firewall.remove(made.name)
                    channel.delete_link(made.index)
                raise
            ledger.set_note(_SEEN, _stamp(bridge))
            return bridge


def cleanup(state_dir: Path) -> bool:
    """Remove the bridge of `state_dir`, its packet rules and its records; tells whether there was one.

    Forwarding goes off again if it was switched on for the bridge and no other bridge is left. Raises `Conflict` while
    containers are connected.
    """
    ledger = Ledger(state_dir)
    with ledger.locked(), netlink.Channel() as channel:
        living = ledger.leases()
        if living:
            raise errors.Conflict(
                f"cannot remove the network: {len(living)} containers are connected",
                hint="Stop the running containers first.",
            )
        bridge = links.find_bridge(channel, str(state_dir.resolve()))
        _remove(channel, ledger, bridge.name if bridge else None)
    return bridge is not None


def _make(channel: netlink.Channel, owner: str) -> links.Bridge:
    # Owners of other state directories may choose at the same moment: each looks again after it took a subnet, so at
    # least the later one sees the other; it tries elsewhere.
    for attempt in range(_ATTEMPTS):
        skip = secrets.randbelow(1000) if attempt else 0
        bridge = links.make_bridge(channel, owner, free_subnet(used(channel), skip=skip))
        others = [
            IPv4Network((place, size), strict=False) for x, place, size in channel.addresses() if x != bridge.index
        ]
        if not any(bridge.subnet.overlaps(each) for each in others):
            return bridge
        channel.delete_link(bridge.index)
    raise errors.Unavailable("cannot choose a subnet for containers: others keep taking the same one")


def _remove(channel: netlink.Channel, ledger: Ledger | None, name: str | None) -> None:
    if name is not None:
        firewall.remove(name)
        link = channel.links().get(name)
        if link is not None:
            channel.delete_link(link[0])
    if ledger is not None:
        if name is not None and ledger.note(_SWITCHED) is not None and not _has_bridges(channel):
            _FORWARDING.write_text("0")
        ledger.clear()
        for note in (_SEEN, _SWITCHED):
            ledger.set_note(note, None)


def _sweep(channel: netlink.Channel) -> None:
    """Remove bridges that nobody uses: those whose state directory is gone, and of the others all but a few.

    Their owners make them again when they need one.
    """
    idle = links.idle_bridges(channel)
    gone = [name for name, owner in idle.items() if not Path(owner).is_dir()]
    for name in gone:
        _remove(channel, None, name)
    kept = [name for name in idle if name not in gone]
    for name in kept[: max(0, len(kept) - _IDLE)]:
        ledger = Ledger(Path(idle[name]))
        # Whoever holds the lock, or an address, is about to use the bridge.
        with contextlib.suppress(BlockingIOError, errors.Unavailable), ledger.locked(wait=False):
            if not ledger.leases():
                _remove(channel, ledger, name)


def _seen(ledger: Ledger, channel: netlink.Channel, owner: str) -> links.Bridge | None:
    """The bridge, when it is as it was seen last and so are all packet rules of this host."""
    note = ledger.note(_SEEN)
    if note is None or _FORWARDING.read_text().strip() != "1":
        return None
    try:
        name, index, subnet, generation, moment = note.split()
        bridge = links.Bridge(name, int(index), IPv4Network(subnet), IPv4Network(subnet)[1])
        age = time.monotonic() - float(moment)
    except ValueError:  # cut short by a crash of the machine
        return None
    link = channel.link(bridge.index)
    if link is None or link[0] != name or link[2] != links.ALIAS + owner:
        return None
    if generation != str(netlink.ruleset_generation()):
        return None
    return bridge if _has_generations(generation) or 0 <= age < _TRUST else None


def _stamp(bridge: links.Bridge) -> str:
    generation = netlink.ruleset_generation()
    return f"{bridge.name} {bridge.index} {bridge.subnet} {generation} {time.monotonic():.1f}"


def _has_generations(generation: str) -> bool:
    if generation == "None":
        return False
    try:
        return not Path("/proc/net/ip_tables_names").read_text().split()
    except OSError:
        return True


def _switch_forwarding_on(ledger: Ledger, job: Job) -> None:
    if _FORWARDING.read_text().strip() == "1":
        return
    ledger.set_note(_SWITCHED, "1")
    _FORWARDING.write_text("1")
    job.note("switched on net.ipv4.ip_forward, so that containers reach the network")


def used(channel: netlink.Channel) -> list[IPv4Network]:
    """The networks that this host has addresses in, or routes or name servers."""
    places = [(address, prefix) for _, address, prefix in channel.addresses()]
    places += [(destination, prefix) for destination, prefix, _, _ in channel.routes()]
    servers = resolv.for_container(shares_host=True).servers
    found = [IPv4Network(place, strict=False) for place in places]
    return found + [IPv4Network(server) for server in servers if server.count(".") == 3 and ":" not in server]


def _has_bridges(channel: netlink.Channel) -> bool:
    return any(
        name.startswith(("docker", "br-", "podman", "cni", "virbr", "lxcbr", "lxdbr")) or alias.startswith("orlop:")
        for name, (_, _, alias, _) in channel.links().items()
    )
