"""User-defined networks as they are written down: one file each, in a directory of the store; and subnets for them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.runtime.network import bridge, netlink
from orlop.runtime.network.addresses import free_subnet
from orlop.runtime.shim import state

# Networks that every store has; nobody makes or removes them.
PREDEFINED = ("bridge", "host", "none")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_SHORT = 12


@attrs.frozen(slots=True, kw_only=True)
class Definition:
    """One network; `created` is RFC 3339, `subnet` and `gateway` IPv4, `internal` has no way out."""

    id: str
    name: str
    created: str
    subnet: str
    gateway: str
    internal: bool = False
    labels: Mapping[str, str] = attrs.field(factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form of the file, and what `segment.Segment` takes."""
        return attrs.asdict(self)


class Definitions:
    """The networks of one store; any number of processes share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self) -> tuple[Definition, ...]:
        """All, by name; broken files are left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.listdir(self.root):
                if entry.endswith(".json"):
                    with contextlib.suppress(OSError, ValueError, TypeError):
                        found.append(Definition(**json.loads((self.root / entry).read_bytes())))
        return tuple(sorted(found, key=lambda each: each.name))

    def find(self, text: str) -> Definition:
        """By name, ID or a prefix that only one ID has; raises `NotFound` or `Conflict`."""
        everything = self.list()
        for each in everything:
            if text in (each.name, each.id):
                return each
        matches = [each for each in everything if text and each.id.startswith(text)]
        if len(matches) > 1:
            raise errors.Conflict(f"the ID {text} is ambiguous: several networks have it", hint="Give more of it.")
        if not matches:
            raise errors.NotFound(
                f"network {text or '(empty name)'} not found", hint="List all networks with `orlop network ls`."
            )
        return matches[0]

    def create(
        self, name: str, *, subnet: str | None, gateway: str | None, internal: bool, labels: Mapping[str, str]
    ) -> Definition:
        """Write a new one down; raises `Conflict` for a taken name or subnet, `Invalid` for what makes no sense."""
        if _NAME.fullmatch(name) is None:
            raise errors.Invalid(
                f"invalid network name: {name!r}",
                hint="Use letters, digits, `_`, `.` and `-`, beginning with a letter or digit.",
            )
        if name in (*PREDEFINED, "default", "container"):
            raise errors.Conflict(
                f"cannot create the network {name}: the name is that of a pre-defined one", hint="Choose another name."
            )
        with self.locked():
            everything = self.list()
            if any(each.name == name for each in everything):
                raise errors.Conflict(f"network with name {name} already exists", hint="Choose another name.")
            taken = [IPv4Network(each.subnet) for each in everything]
            chosen = _chosen_subnet(subnet, taken)
            made = Definition(
                id=secrets.token_hex(32),
                name=name,
                created=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                subnet=str(chosen),
                gateway=str(_chosen_gateway(gateway, chosen, asked=subnet is not None)),
                internal=internal,
                labels=dict(labels),
            )
            try:
                state.write(f"{self.root}/{made.id}.json", made.to_json())
            except OSError as error:
                raise errors.from_os(error, f"create the network {name}") from error
        return made

    def remove(self, found: Definition) -> None:
        """Forget one; returns normally when it is gone. The caller holds the lock."""
        (self.root / f"{found.id}.json").unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else makes, removes or promises a network meanwhile."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise errors.from_os(error, f"keep networks in {self.root}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _chosen_subnet(text: str | None, taken: list[IPv4Network]) -> IPv4Network:
    with netlink.Channel() as channel:
        used = bridge.used(channel)
    if text is None:
        # Stores do not know of each other's networks, so none begins where another does.
        return free_subnet([*used, *taken], skip=secrets.randbelow(1000))
    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise errors.Invalid(
            f"invalid subnet {text}: {error}", hint="Write an IPv4 network such as 10.5.0.0/24."
        ) from None
    if subnet.prefixlen > 29:
        raise errors.Invalid(f"invalid subnet {text}: it is too small", hint="Give it a prefix of /29 or shorter.")
    for other in (*taken, *(each for each in used if each.prefixlen > 0)):
        if subnet.overlaps(other):
            raise errors.Conflict(
                f"cannot use the subnet {text}: pool overlaps with other one on this address space ({other})",
                hint="Choose another subnet, or leave --subnet out.",
            )
    return subnet


def _chosen_gateway(text: str | None, subnet: IPv4Network, *, asked: bool) -> IPv4Address:
    if text is None:
        return subnet[1]
    try:
        gateway = IPv4Address(text)
    except ValueError:
        raise errors.Invalid(f"invalid gateway {text}: not an IPv4 address", hint="Write it as 10.5.0.1.") from None
    if not asked or gateway not in subnet or gateway in (subnet[0], subnet[-1]):
        raise errors.Invalid(
            f"no matching subnet for gateway {text}", hint="Give a --subnet that the gateway is a host of."
        )
    return gateway


def short(identifier: str) -> str:
    """The first characters of an ID, as lists show it."""
    return identifier[:_SHORT]
