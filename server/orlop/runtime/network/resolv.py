"""What a container finds in /etc/resolv.conf, /etc/hosts and /etc/hostname."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path

import attrs

from orlop.core import errors

_HOST_CONFIGURATION = Path("/etc/resolv.conf")
# The servers behind systemd-resolved's 127.0.0.53, which no other network namespace reaches.
_UPSTREAM_CONFIGURATION = Path("/run/systemd/resolve/resolv.conf")
PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")
HOST_GATEWAY = "host-gateway"

_LOCAL_NAMES = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)


@attrs.frozen(slots=True)
class Resolver:
    """How names are resolved (resolv.conf(5)): servers, search domains, options; and a note when something is lost."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    note: str | None = None

    def text(self) -> str:
        """The file's contents."""
        lines = [f"nameserver {server}" for server in self.servers]
        lines += [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "\n".join(lines) + "\n"


def parse(text: str) -> Resolver:
    """What a resolv.conf says; lines that are not understood say nothing, as for the C library."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(word for word in words[1:] if word != ".")
        elif words[0] == "options":
            options.extend(words[1:])
    return Resolver(tuple(servers), search, tuple(options))


def for_container(
    *,
    shares_host: bool,
    servers: Iterable[str] = (),
    forwarder: str | None = None,
    configuration: Path = _HOST_CONFIGURATION,
    upstream: Path = _UPSTREAM_CONFIGURATION,
) -> Resolver:
    """The resolver of a container.

    `servers` are asked for by name and win. `forwarder` is an address inside that leads to the host's own resolver
    (slirp4netns has one). Otherwise the host's servers serve, but a loopback address leads nowhere unless the container
    `shares_host`'s network; where only such are left, public servers stand in, as with Docker, and a note says so.
    """
    host = _read(configuration)
    chosen = tuple(servers)
    if chosen:
        return attrs.evolve(host, servers=chosen)
    if shares_host:
        return host
    if forwarder is not None:
        return attrs.evolve(host, servers=(forwarder,))
    reachable = _reachable(host)
    if not reachable:
        behind = _read(upstream)
        reachable = _reachable(behind)
        host = attrs.evolve(host, search=host.search or behind.search)
    if reachable:
        return attrs.evolve(host, servers=reachable)
    note = f"this host has no name server that containers can reach; they use {' and '.join(PUBLIC_SERVERS)}"
    return attrs.evolve(host, servers=PUBLIC_SERVERS, note=note)


def hosts_text(
    hostname: str,
    *,
    address: str | None,
    extra: Mapping[str, str] | None = None,
    host_file: str | None = None,
) -> str:
    """The contents of /etc/hosts: the local names, `extra` (name -> address), and the container itself.

    Without an own `address` its name is 127.0.0.1's. A container in the host's network starts from `host_file`.
    """
    if host_file is not None:
        lines = host_file.rstrip("\n").splitlines()
    else:
        lines = [f"{each}\t{names}" for each, names in _LOCAL_NAMES]
    lines += [f"{each}\t{name}" for name, each in (extra or {}).items()]
    if hostname and host_file is None:
        name, _, _ = hostname.partition(".")
        lines.append(f"{address or '127.0.0.1'}\t{hostname}{f' {name}' if name != hostname else ''}")
    return "\n".join(lines) + "\n"


def parse_extra_hosts(items: Iterable[str], *, gateway: str | None) -> dict[str, str]:
    """Docker's `--add-host` items `name:address` or `name=address`; `host-gateway` stands for `gateway`.

    IPv6 addresses may stand in brackets. Raises `Invalid`.
    """
    found: dict[str, str] = {}
    for item in items:
        name, separator, address = item.partition("=") if "=" in item else item.partition(":")
        address = address.strip().removeprefix("[").removesuffix("]")
        if not separator or not name.strip() or any(letter.isspace() for letter in name.strip()):
            raise errors.Invalid(f'invalid extra host "{item}"', hint="Write it as NAME:ADDRESS, such as db:10.0.0.7.")
        if address == HOST_GATEWAY:
            if gateway is None:
                raise errors.Invalid(f'cannot add host "{item}": this network has no way to the host')
            address = gateway
        try:
            found[name.strip()] = str(ip_address(address))
        except ValueError:
            raise errors.Invalid(
                f'invalid address "{address}" of extra host "{name.strip()}"',
                hint="Write it as NAME:ADDRESS, such as db:10.0.0.7.",
            ) from None
    return found


def hostname_text(hostname: str) -> str:
    """The contents of /etc/hostname."""
    return f"{hostname}\n"


def _read(path: Path) -> Resolver:
    try:
        return parse(path.read_text(errors="replace"))
    except OSError:
        return Resolver(())


def _reachable(resolver: Resolver) -> tuple[str, ...]:
    found = []
    for server in resolver.servers:
        try:
            address = ip_address(server)
        except ValueError:
            continue
        # A link-local address names a link of the host; containers have IPv4 only.
        if address.version == 4 and not address.is_loopback and not address.is_unspecified:
            found.append(server)
    return tuple(found)
