"""User-defined networks and the containers on them: what is written down, and what is changed while they run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.runtime import memberships, userns
from orlop.runtime.container import Container
from orlop.runtime.memberships import Membership
from orlop.runtime.network import membership
from orlop.runtime.network.addresses import Ledger
from orlop.runtime.network.definitions import Definition, Definitions
from orlop.runtime.shims import Shims
from orlop.runtime.starting import NETWORKS


@attrs.frozen(slots=True)
class Endpoint:
    """A running container on a network."""

    container: str
    address: IPv4Address
    names: tuple[str, ...]


class Networks:
    """`root` holds the definitions, `run_dir` the live state. Containers are given with their lock held."""

    def __init__(self, root: Path, run_dir: Path, mapping: userns.IdMapping, shims: Shims) -> None:
        self.defined = Definitions(root)
        self._directory = run_dir / NETWORKS
        self._mapping = mapping
        self._shims = shims

    def endpoints(self, network: str) -> tuple[Endpoint, ...]:
        """Who is on the network of an ID now."""
        found = Ledger(self._directory / network).members()
        return tuple(Endpoint(owner, place, tuple(more.get("names", ()))) for place, (owner, _, more) in found.items())

    def address(self, network: str, container: str) -> IPv4Address | None:
        """The address that a running container has there."""
        return next((each.address for each in self.endpoints(network) if each.container == container), None)

    def connect(self, container: Container, network: Definition, aliases: Sequence[str]) -> tuple[str, ...]:
        """Put a container on one more network, at once when it runs; returns notes worth telling."""
        known = container.memberships
        if container.spec.network != "private" or known.shared is not None:
            kind = "another container's" if known.shared is not None else container.spec.network
            raise errors.Conflict(
                f"cannot connect {container.name} to {network.name}: its network is {kind}",
                hint="Create the container anew with --network.",
            )
        if known.of(network.id) is not None:
            raise errors.Conflict(f"endpoint with name {container.name} already exists in network {network.name}")
        after = known.with_network(Membership(network.id, network.name, tuple(aliases)))
        notes: tuple[str, ...] = ()
        if container.pid is not None:
            first = not known.networks
            request = self._request(container, [(network, aliases)], names=first)
            answer = self._ask({**request, "attach": container.pid})
            notes = tuple(answer["notes"])
            if first:
                text = memberships.resolver_text(container.spec.dns)
                (container.bundle / "resolv.conf").write_text(text, encoding="utf-8")
        memberships.write(container.bundle, after)
        return notes

    def disconnect(self, container: Container, network: Definition) -> None:
        """Take a container off a network, at once when it runs."""
        known = container.memberships
        if known.of(network.id) is None:
            raise errors.Conflict(f"container {container.name} is not connected to network {network.name}")
        after = known.without(network.id)
        if container.pid is not None:
            rest = [(found, each.aliases) for each in after.networks if (found := self._find(each.id)) is not None]
            others = self._request(container, rest)["networks"]
            request = self._request(container, [(network, ())])
            self._ask({**request, "detach": container.pid, "rest": others})
        memberships.write(container.bundle, after)

    def rename(self, container: Container, name: str) -> None:
        """Let the other containers find a running one by its new name."""
        for each in container.memberships.networks:
            ledger = Ledger(self._directory / each.id)
            with ledger.locked():
                for address, (owner, _, details) in ledger.members().items():
                    if owner == container.id:
                        names = [name if known == container.name else known for known in details["names"]]
                        ledger.set_details(address, {**details, "names": names})

    def remove(self, network: Definition) -> None:
        """Take a network away; raises `Conflict` while running containers are on it."""
        with self.defined.locked():
            busy = self.endpoints(network.id)
            if busy:
                names = [each.names[0] if each.names else each.container[:12] for each in busy]
                raise errors.Conflict(
                    f"error while removing network: network {network.name} has active endpoints ({', '.join(names)})",
                    hint=f"Disconnect them first: `orlop network disconnect {network.name} {names[0]}`.",
                )
            self.defined.remove(network)
        if (self._directory / network.id).exists():
            self.sweep(network)

    def sweep(self, removed: Definition | None = None) -> None:
        """Clear away what killed processes left of networks that nobody is on, and all records of a `removed` one.

        Does nothing when there is nothing.
        """
        left = [each for each in self._directory.glob("*/network.json") if not Ledger(each.parent).leases()]
        holder = self._mapping.kind != "identity" and (self._directory / "holder.json").exists()
        if left or holder or removed is not None:
            request = memberships.request(
                directory=self._directory,
                mapping=self._mapping.to_json(),
                container="",
                name="",
                networks=() if removed is None else ((removed, ()),),
            )
            self._ask({**request, "sweep": True})

    def _find(self, identifier: str) -> Definition | None:
        with contextlib.suppress(errors.NotFound):
            return self.defined.find(identifier)
        return None

    def _request(
        self, container: Container, networks: Sequence[tuple[Definition, Sequence[str]]], *, names: bool = False
    ) -> dict[str, Any]:
        return memberships.request(
            directory=self._directory,
            mapping=self._mapping.to_json(),
            container=container.id,
            name=container.name,
            networks=networks,
            resolver=memberships.upstream(container.spec.dns) if names else None,
        )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        channel = self._shims.request({"network": request})
        with contextlib.closing(channel):
            received = channel.receive()
        if received is None:
            raise errors.Unavailable("cannot change networks: the process that does it was killed", hint="Try again.")
        answer = received[0]
        if "failed" in answer:
            raise membership.raised(answer)
        done: dict[str, Any] = answer["done"]
        return done
