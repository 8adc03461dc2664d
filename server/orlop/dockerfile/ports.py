"""Port words of EXPOSE: `port[-port][/protocol]`, and the host parts that do not belong there.

Source: BuildKit's `dockerfile2llb/convert_expose.go`; the complaints are its own.
"""

from __future__ import annotations

import ipaddress

import attrs

from orlop.dockerfile.problems import quoted

_MAX_PORT = 65535
_PROTOCOLS = ("tcp", "udp", "sctp")


class PortError(ValueError):
    """A word that names no port."""


@attrs.frozen(slots=True)
class PortSpec:
    """One word: the ports in the container, `protocol` as written, and whether an address or a host port was given."""

    first: int
    last: int
    protocol: str
    has_host: bool


def parse(text: str) -> PortSpec:
    """Read one word after expansion; raises `PortError`."""
    parts = text.split(":")
    address, host, inside = ":".join(parts[:-2]), parts[-2] if len(parts) > 1 else "", parts[-1]
    ports, _, protocol = inside.partition("/")
    if not ports:
        raise PortError(f"invalid port: {quoted(text)}: no port specified")
    if protocol and protocol.lower() not in _PROTOCOLS:
        raise PortError(f"invalid port: {quoted(text)}: invalid proto: {protocol}")
    if address:
        _check_address(address)
    first, last = _range(ports, "containerPort")
    if host:
        low, high = _range(host, "hostPort")
        if last - first != high - low and last != first:
            raise PortError(f"invalid ranges specified for container and host Ports: {ports} and {host}")
    return PortSpec(first, last, protocol or "tcp", bool(address or host))


def _check_address(address: str) -> None:
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        raise PortError(f"invalid IP address: {bare}") from None


def _range(text: str, what: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    first = _number(start)
    last = _number(end) if dash and end != start else first
    if first is None or last is None or last < first:
        raise PortError(f"invalid {what}: {text}")
    return first, last


def _number(text: str) -> int | None:
    digits = text[1:] if text[:1] == "+" else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = int(digits[-9:])
    return number if number <= _MAX_PORT and len(digits.lstrip("0")) <= 5 else None
