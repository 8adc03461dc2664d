"""Which networks a container is on, as its bundle says; and what shims and commands need to know to put it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from orlop.runtime.network import nameserver, resolv
from orlop.runtime.network.definitions import Definition
from orlop.runtime.shim import state

RECORD = "networks.json"
_SHORT = 12


@attrs.frozen(slots=True)
class Membership:
    """A user-defined network, by ID and the name it had, and the other names that the container has there."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Memberships:
    """All networks of a container: the `default` one or not, user-defined ones, or those of the container `shared`."""

    default: bool = True
    networks: tuple[Membership, ...] = ()
    shared: str | None = None

    def of(self, network: str) -> Membership | None:
        """What it is on the network of that ID, None when it is not there."""
        return next((each for each in self.networks if each.id == network), None)

    def with_network(self, added: Membership) -> Memberships:
        """On one more."""
        return attrs.evolve(self, networks=(*self.networks, added))

    def without(self, network: str) -> Memberships:
        """On one less."""
        return attrs.evolve(self, networks=tuple(each for each in self.networks if each.id != network))


def read(bundle: Path) -> Memberships:
    """What a bundle says; the default network when it says nothing."""
    found = state.read(f"{bundle}/{RECORD}")
    if found is None:
        return Memberships()
    rows = tuple(Membership(row["id"], row["name"], tuple(row["aliases"])) for row in found["networks"])
    return Memberships(found["default"], rows, found["shared"])


def write(bundle: Path, value: Memberships) -> None:
    """Put it down, whole or not at all."""
    state.write(f"{bundle}/{RECORD}", attrs.asdict(value, value_serializer=_plain))


def request(
    *,
    directory: Path,
    mapping: Mapping[str, Any],
    container: str,
    name: str,
    networks: Iterable[tuple[Definition, Sequence[str]]],
    resolver: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What `network.membership` takes; `networks` come with their aliases, `resolver` is the servers to forward to."""
    own = (name, container[:_SHORT])
    rows = [
        {**found.to_json(), "names": list(dict.fromkeys((*own, *aliases)))} for found, aliases in networks
    ]  # fmt: skip
    return {
        "state": str(directory),
        "rootless": mapping["kind"] != "identity",
        "mapping": dict(mapping),
        "container": container,
        "networks": rows,
        "resolver": None if resolver is None else list(resolver),
    }


def upstream(servers: tuple[str, ...]) -> tuple[str, ...]:
    """The servers behind the container's own: those asked for by name, else the host's."""
    found = resolv.for_container(shares_host=True, servers=servers).servers
    return found or resolv.PUBLIC_SERVERS


def resolver_text(servers: tuple[str, ...]) -> str:
    """The resolv.conf of a container of user-defined networks."""
    host = resolv.for_container(shares_host=True, servers=servers)
    options = (*(each for each in host.options if not each.startswith("ndots:")), "ndots:0")
    return attrs.evolve(host, servers=(nameserver.ADDRESS,), options=options).text()


def _plain(_owner: type, _field: attrs.Attribute[Any] | None, value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
