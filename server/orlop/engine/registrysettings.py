"""How registries are reached and whose logins are used: config.toml, Docker's and podman's places, proxies."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orlop import __version__
from orlop.core import errors
from orlop.registry import configuration
from orlop.registry.configuration import RegistryConfig
from orlop.registry.dockerconfig import DockerConfig

# Where other programs name the certificate authorities to trust.
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def config(table: Any, environ: Mapping[str, str], proxies: Mapping[str, str]) -> RegistryConfig:
    """The registries of the `[registries]` table and of this machine; raises `Invalid` naming the key."""
    if not isinstance(table, Mapping):
        raise errors.Invalid(f"registries is {table!r}", hint="Make [registries] a table in config.toml.")
    return configuration.parse(
        table,
        certs_dirs=_certs_dirs(environ),
        ca_files=tuple(Path(environ[name]) for name in _BUNDLES if os.path.isfile(environ.get(name, ""))),
        proxies=_proxies(proxies),
        user_agent=f"orlop/{__version__}",
    )


def credentials(environ: Mapping[str, str], note: Callable[[str], None]) -> DockerConfig:
    """Logins: Docker's `config.json`, then podman's files; DOCKER_AUTH_CONFIG before both."""
    folder = Path(environ.get("DOCKER_CONFIG") or _home(environ) / ".docker")
    fallbacks = [Path(environ["REGISTRY_AUTH_FILE"])] if environ.get("REGISTRY_AUTH_FILE") else []
    if environ.get("XDG_RUNTIME_DIR"):
        fallbacks.append(Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
    fallbacks.append(_config_home(environ) / "containers" / "auth.json")
    return DockerConfig(
        folder / "config.json",
        tuple(fallbacks),
        helpers_path=environ.get("PATH") or os.defpath,
        helpers_environment=environ,
        environ_auth=environ.get("DOCKER_AUTH_CONFIG") or None,
        note=note,
    )


def _certs_dirs(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Docker's and podman's, a person's own before the machine's."""
    own = _config_home(environ)
    machine = Path("/etc")
    return tuple(base / tool / "certs.d" for base in (own, machine) for tool in ("docker", "containers"))


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """In the form of the registry client; the lower-case spelling goes first, as in curl."""

    def of(name: str) -> str:
        return variables.get(name.lower()) or variables.get(name.upper()) or ""

    found = {"http": of("http_proxy"), "https": of("https_proxy"), "no_proxy": of("no_proxy")}
    for scheme in ("http", "https"):
        found[scheme] = found[scheme] or of("all_proxy")
    return {name: value for name, value in found.items() if value}


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))


def _config_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config")
