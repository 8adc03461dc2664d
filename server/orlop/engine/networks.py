"""User-defined networks: made, shown and removed, and containers connected to them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime.container import Container
from orlop.runtime.manager import Manager
from orlop.runtime.memberships import Membership, Memberships
from orlop.runtime.network.definitions import PREDEFINED, Definition
from orlop.store.journal import Journal

Kind = Literal["builtin", "custom"]
_DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}
_SHARED = "container:"


@attrs.frozen(kw_only=True)
class Network:
    """A network as lists show it; `defined` is None for those that every store has."""

    id: str
    name: str
    driver: str
    created: str
    internal: bool
    labels: Mapping[str, str]
    defined: Definition | None = None

    @property
    def kind(self) -> Kind:
        """Whether somebody made it."""
        return "builtin" if self.defined is None else "custom"


class Networks:
    """The use-cases of networks; `manager` is asked for when containers are needed."""

    def __init__(self, journal: Journal, manager: Callable[[], Manager]) -> None:
        self._journal = journal
        self._manager = manager

    def list(self) -> tuple[Network, ...]:
        """All, by name."""
        custom = [_of(each) for each in self._manager().networks.defined.list()]
        return tuple(sorted((*map(_builtin, PREDEFINED), *custom), key=lambda each: each.name))

    def find(self, text: str) -> Network:
        """By name, ID or unique prefix; raises `NotFound`, or `Conflict` for an ambiguous prefix."""
        for name in PREDEFINED:
            each = _builtin(name)
            if text in (name, each.id):
                return each
        return _of(self._manager().networks.defined.find(text))

    def create(
        self,
        name: str,
        *,
        subnet: str | None = None,
        gateway: str | None = None,
        internal: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> Network:
        """Make one; raises `Conflict` for a name or subnet that is taken, `Invalid` for one that makes no sense."""
        made = self._manager().networks.defined.create(
            name, subnet=subnet, gateway=gateway, internal=internal, labels=labels or {}
        )
        self._journal.bump(("networks",))
        return _of(made)

    def remove(self, text: str) -> Network:
        """Remove one; raises `Conflict` while running containers are on it, and for those that every store has."""
        found = self.find(text)
        if found.defined is None:
            raise errors.Conflict(f"{found.name} is a pre-defined network and cannot be removed")
        self._manager().networks.remove(found.defined)
        self._journal.bump(("networks",))
        return found

    def prune(self, wanted: Callable[[Network], bool]) -> tuple[str, ...]:
        """Remove the wanted ones that no running container is on; their names."""
        gone = []
        for each in self.list():
            if each.defined is not None and wanted(each):
                with contextlib.suppress(errors.Conflict, errors.NotFound):
                    gone.append(self.remove(each.id).name)
        self._manager().networks.sweep()
        return tuple(gone)

    def connect(self, text: str, container: str, aliases: Sequence[str], job: Job) -> None:
        """Put a container on one more network; raises `Conflict` when it is there, `Unavailable` when it cannot be."""
        found = self.find(text)
        if found.defined is None:
            raise errors.Conflict(
                f"cannot connect {container} to {found.name}: only networks that were created can be joined later",
                hint="Create the container with --network, or make a network with `orlop network create`.",
            )
        with self._manager().locked(container, job) as current:
            for note in self._manager().networks.connect(current, found.defined, aliases):
                job.note(note, "warning")
        self._journal.bump(("networks", "containers"))

    def disconnect(self, text: str, container: str, job: Job) -> None:
        """Take a container off a network; raises `Conflict` when it is not there."""
        found = self.find(text)
        if found.defined is None:
            raise errors.Conflict(
                f"cannot disconnect {container} from {found.name}: only networks that were created can be left",
                hint="Create the container anew with another --network.",
            )
        with self._manager().locked(container, job) as current:
            self._manager().networks.disconnect(current, found.defined)
        self._journal.bump(("networks", "containers"))

    def wanted(self, network: str, aliases: Sequence[str]) -> Memberships:
        """What `--network` asks for; raises `NotFound`, or `Invalid` for aliases where there are no names."""
        if network.startswith(_SHARED):
            other = self._manager().inspect(network.removeprefix(_SHARED))
            chosen = Memberships(default=False, shared=other.id)
        elif network in ("default", *PREDEFINED):
            chosen = Memberships()
        else:
            found = self._manager().networks.defined.find(network)
            return Memberships(False, (Membership(found.id, found.name, tuple(aliases)),))
        if aliases:
            raise errors.Invalid(
                "network-scoped alias is supported only for containers in user defined networks",
                hint="Make a network with `orlop network create`, and give its name to --network.",
            )
        return chosen

    def document(self, text: str) -> dict[str, Any]:
        """Docker's inspect document of a network."""
        found = self.find(text)
        config, members = [], {}
        if found.defined is not None:
            prefix = found.defined.subnet.partition("/")[2]
            config = [{"Subnet": found.defined.subnet, "Gateway": found.defined.gateway}]
            for each in self._manager().networks.endpoints(found.id):
                members[each.container] = {
                    "Name": each.names[0] if each.names else "",
                    "EndpointID": _endpoint(found.id, each.container),
                    "MacAddress": _mac(each.address.packed),
                    "IPv4Address": f"{each.address}/{prefix}",
                    "IPv6Address": "",
                }
        return {
            "Name": found.name, "Id": found.id, "Created": found.created, "Scope": "local", "Driver": found.driver,
            "EnableIPv4": True, "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": {}, "Config": config},
            "Internal": found.internal, "Attachable": False, "Ingress": False, "ConfigFrom": {"Network": ""},
            "ConfigOnly": False, "Containers": members, "Options": {}, "Labels": dict(found.labels),
        }  # fmt: skip

    def settings(self, container: Container) -> dict[str, Any]:
        """What Docker's inspect document of a container says in `NetworkSettings.Networks`."""
        known = container.memberships
        found: dict[str, Any] = {}
        if known.shared is None and known.default:
            name = "bridge" if container.spec.network == "private" else container.spec.network
            found[name] = _entry(_builtin(name).id, container, container.address if not known.networks else None, ())
        for each in known.networks:
            defined = next((one for one in self._manager().networks.defined.list() if one.id == each.id), None)
            place = self._manager().networks.address(each.id, container.id) if container.alive else None
            entry = _entry(each.id, container, str(place) if place else None, each.aliases)
            if place is not None and defined is not None:
                entry["Gateway"] = "" if defined.internal else defined.gateway
                entry["IPPrefixLen"] = int(defined.subnet.partition("/")[2])
                entry["MacAddress"] = _mac(place.packed)
            found[each.name if defined is None else defined.name] = entry
        return found


def matches(network: Network, filters: Sequence[tuple[str, str]]) -> bool:
    """Whether a network fits the filters of `docker network ls`: any value of a kind, and every kind."""
    kinds: dict[str, list[bool]] = {}
    for kind, value in filters:
        kinds.setdefault(kind, []).append(_fits(network, kind, value))
    return all(any(each) for each in kinds.values())


def mode(container: Container) -> str:
    """`HostConfig.NetworkMode` of Docker's document."""
    known = container.memberships
    if known.shared is not None:
        return f"{_SHARED}{known.shared}"
    if known.networks and not known.default:
        return known.networks[0].name
    return "bridge" if container.spec.network == "private" else container.spec.network


def _fits(network: Network, kind: str, value: str) -> bool:
    match kind:
        case "name":
            return value in network.name
        case "id":
            return network.id.startswith(value)
        case "driver":
            return network.driver == value
        case "scope":
            return value == "local"
        case "type" if value in ("builtin", "custom"):
            return network.kind == value
        case "label":
            key, equals, wanted = value.partition("=")
            return key in network.labels and (not equals or network.labels[key] == wanted)
    raise errors.Invalid(
        f"invalid filter '{kind}={value}'", hint="Use name=, id=, driver=, scope=, type=builtin, type=custom or label=."
    )


def _of(found: Definition) -> Network:
    return Network(
        id=found.id, name=found.name, driver="bridge", created=found.created, internal=found.internal,
        labels=found.labels, defined=found,
    )  # fmt: skip


def _builtin(name: str) -> Network:
    identifier = hashlib.sha256(f"orlop network {name}".encode()).hexdigest()
    epoch = datetime.fromtimestamp(0, UTC).isoformat().replace("+00:00", "Z")
    return Network(id=identifier, name=name, driver=_DRIVERS[name], created=epoch, internal=False, labels={})


def _entry(network: str, container: Container, address: str | None, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        "IPAMConfig": None, "Links": None, "Aliases": list(aliases) or None, "MacAddress": "", "DriverOpts": None,
        "NetworkID": network, "EndpointID": _endpoint(network, container.id) if container.alive else "", "Gateway": "",
        "IPAddress": address or "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": [container.name, *aliases, container.id[:12]] if len(aliases) or address else None,
    }  # fmt: skip


def _endpoint(network: str, container: str) -> str:
    return hashlib.sha256(f"{network} {container}".encode()).hexdigest()


def _mac(address: bytes) -> str:
    return ":".join(f"{each:02x}" for each in b"\x02\x6f" + address)
