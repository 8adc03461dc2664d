"""How registries are reached: mirrors, certificates, proxies, patience; read from the [registries] table."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from orlop.core import errors
from orlop.core.reference import HUB

HUB_API = "https://hub.docker.com"
HUB_INDEX = "https://index.docker.io"
USER_AGENT = "orlop"
_NOTHING: Mapping[str, Any] = {}
_HOST_KEYS = ("mirrors", "insecure", "ca", "client-cert", "client-key", "path-prefix", "headers")
_KEYS = ("hosts", "certs-dirs", "hub-api", "hub-index", "stall-timeout", "connect-timeout", "attempts")


@attrs.frozen(kw_only=True)
class HostConfig:
    """What is special about one registry.

    `mirrors` are base URLs, tried in order before the host itself; `insecure` allows it plain HTTP and any certificate;
    `ca_files` are trusted beside the system's; `path_prefix` stands before `/v2/`.
    """

    host: str
    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    ca_files: tuple[Path, ...] = ()
    client_cert: Path | None = None
    client_key: Path | None = None
    path_prefix: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RegistryConfig:
    """All that is configured of registries.

    `certs_dirs` hold `<host[:port]>/*.crt` and pairs `X.cert`, `X.key` as Docker's `certs.d` does; `ca_files` are
    trusted for every host; `proxies` maps `http` and `https` to proxy URLs and `no_proxy` to a comma list. A transfer
    that brings no byte for `stall_seconds` is broken off and tried again, `attempts` times in all, after waits that
    double from `backoff` seconds.
    """

    hosts: Mapping[str, HostConfig] = attrs.field(factory=dict)
    certs_dirs: tuple[Path, ...] = ()
    ca_files: tuple[Path, ...] = ()
    proxies: Mapping[str, str] = attrs.field(factory=dict)
    hub_api: str = HUB_API
    hub_index: str = HUB_INDEX
    stall_seconds: float = 30.0
    connect_seconds: float = 30.0
    attempts: int = 5
    backoff: float = 1.0
    user_agent: str = USER_AGENT

    def host(self, host: str) -> HostConfig:
        """What is configured of a host (`docker.io` for Hub), or the defaults."""
        return self.hosts.get(host) or HostConfig(host=host)


def parse(
    table: Mapping[str, Any],
    *,
    certs_dirs: tuple[Path, ...] = (),
    ca_files: tuple[Path, ...] = (),
    proxies: Mapping[str, str] = _NOTHING,
    user_agent: str = USER_AGENT,
) -> RegistryConfig:
    """Read the `[registries]` table of the configuration file; raises `Invalid` naming the key.

    `certs_dirs` serve when the table names none. A `ca` is one path or a list of them.
    """
    _check_keys(table, _KEYS, "registries")
    hosts = _table(table, "hosts", "registries")
    dirs = _strings(table, "certs-dirs", "registries")
    return RegistryConfig(
        hosts={domain_of(name): _host(domain_of(name), hosts[name]) for name in hosts},
        certs_dirs=tuple(map(Path, dirs)) or certs_dirs,
        ca_files=ca_files,
        proxies=dict(proxies),
        hub_api=_base_url(table.get("hub-api", HUB_API), "registries.hub-api"),
        hub_index=_base_url(table.get("hub-index", HUB_INDEX), "registries.hub-index"),
        stall_seconds=_seconds(table, "stall-timeout", 30.0),
        connect_seconds=_seconds(table, "connect-timeout", 30.0),
        attempts=_count(table, "attempts", 5),
        user_agent=user_agent,
    )


def is_loopback(netloc: str) -> bool:
    """Whether a `host[:port]` is this machine by its name: localhost, *.localhost, 127.0.0.0/8 or ::1."""
    name = (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def domain_of(netloc: str) -> str:
    """The name by which a host is configured and logged in to: `docker.io` for the hosts of Hub."""
    return HUB if netloc in ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com") else netloc


def _host(name: str, value: Any) -> HostConfig:
    where = f'registries.hosts."{name}"'
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "a table")
    _check_keys(value, _HOST_KEYS, where)
    cert, key = _path(value, "client-cert", where), _path(value, "client-key", where)
    if key is not None and cert is None:
        raise errors.Invalid(f"{where} has a client-key but no client-cert", hint="Name both, or neither.")
    cas = value.get("ca", ())
    headers = _table(value, "headers", where)
    for header, text in headers.items():
        if not isinstance(text, str) or not header.isascii() or any(c in f"{header}{text}" for c in "\r\n"):
            raise _wrong(f"{where}.headers.{header}", text, "a line of text")
    prefix = _string(value, "path-prefix", where).strip("/")
    return HostConfig(
        host=name,
        mirrors=tuple(_base_url(url, f"{where}.mirrors") for url in _strings(value, "mirrors", where)),
        insecure=_flag(value, "insecure", where),
        ca_files=tuple(map(Path, (cas,) if isinstance(cas, str) else _strings(value, "ca", where))),
        client_cert=cert,
        client_key=key,
        path_prefix=f"/{prefix}" if prefix else "",
        headers=dict(headers),
    )


def _base_url(value: Any, where: str) -> str:
    """A URL without query, fragment and user; the trailing slash goes (Docker's rules for mirrors)."""
    if not isinstance(value, str):
        raise _wrong(where, value, "a URL")
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise _wrong(where, value, "a URL that begins with http:// or https://")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise _wrong(where, value, "a URL without user, query and fragment")
    return value.rstrip("/")


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise errors.Invalid(f"unknown key {key!r} in [{where}]", hint=f"Use one of {', '.join(known)}.")


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = table.get(key, _NOTHING)
    if not isinstance(value, Mapping):
        raise _wrong(f"{where}.{key}", value, "a table")
    return value


def _strings(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(f"{where}.{key}", value, "a list of strings")
    return tuple(value)


def _string(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise _wrong(f"{where}.{key}", value, "a string")
    return value


def _path(table: Mapping[str, Any], key: str, where: str) -> Path | None:
    text = _string(table, key, where)
    return Path(text) if text else None


def _flag(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise _wrong(f"{where}.{key}", value, "true or false")
    return value


def _seconds(table: Mapping[str, Any], key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86400:
        raise _wrong(f"registries.{key}", value, "a number of seconds")
    return float(value)


def _count(table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise _wrong(f"registries.{key}", value, "a number from 1 to 100")
    return value


def _wrong(where: str, value: Any, wanted: str) -> errors.Invalid:
    return errors.Invalid(f"{where} is {value!r}", hint=f"Make it {wanted}.")
