"""Trust: the TLS settings of one host, from its own configuration and from `certs.d` directories."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import attrs

from orlop.core import errors
from orlop.registry.configuration import HostConfig, RegistryConfig, domain_of, is_loopback


@attrs.frozen
class Trust:
    """CA files beside the system's, and client certificates with their keys (None: in the same file)."""

    ca_files: tuple[Path, ...] = ()
    pairs: tuple[tuple[Path, Path | None], ...] = ()


def find(config: RegistryConfig, host: HostConfig) -> Trust:
    """What is configured for a host; raises `Invalid` for a client certificate without key, or a key without it."""
    cas = [*config.ca_files, *host.ca_files]
    pairs: list[tuple[Path, Path | None]] = []
    if host.client_cert is not None:
        pairs.append((host.client_cert, host.client_key))
    for folder in config.certs_dirs:
        names = sorted(_names(folder / host.host))
        cas += [folder / host.host / name for name in names if name.endswith(".crt")]
        pairs += _pairs(folder / host.host, names)
    return Trust(tuple(cas), tuple(pairs))


def has_own_authority(config: RegistryConfig, host: HostConfig) -> bool:
    """Whether a certificate authority is configured for this very host: then it has to prove itself."""
    return len(find(config, host).ca_files) > len(config.ca_files)


def verifies(config: RegistryConfig, netloc: str) -> bool:
    """Whether a certificate must be trusted: not that of this machine's own services, nor of what is insecure."""
    host = config.host(domain_of(netloc))
    return not host.insecure and (not is_loopback(netloc) or has_own_authority(config, host))


def context(trust: Trust, *, verify: bool) -> ssl.SSLContext:
    """The TLS settings; raises `Invalid` naming the file that cannot be used."""
    made = ssl.create_default_context()
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif ssl.get_default_verify_paths().cafile is None:
        # This system has no list of authorities; the one that requests brings serves.
        from requests.utils import DEFAULT_CA_BUNDLE_PATH  # noqa: PLC0415 - costs a tenth of a second

        made.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    for path in trust.ca_files:
        try:
            made.load_verify_locations(str(path))
        except (OSError, ssl.SSLError) as error:
            raise _unusable("certificate authority", path, error) from error
    for certificate, key in trust.pairs:
        try:
            made.load_cert_chain(str(certificate), None if key is None else str(key), password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("client certificate", certificate, error) from error
    return made


def _pairs(folder: Path, names: list[str]) -> Iterator[tuple[Path, Path]]:
    for name in names:
        stem, _, kind = name.rpartition(".")
        other = {"cert": f"{stem}.key", "key": f"{stem}.cert"}.get(kind)
        if other is not None and other not in names:
            raise errors.Invalid(
                f"cannot use {folder / name}: {other} is missing beside it",
                hint="Put both halves of the client certificate there, or remove this one.",
            )
        if kind == "cert":
            yield folder / name, folder / f"{stem}.key"


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise errors.from_os(error, f"read the certificates in {folder}") from error


def _no_password() -> str:
    """Asked for when a key is encrypted; without this OpenSSL would ask at the terminal."""
    return ""


def _unusable(what: str, path: Path, error: Exception) -> errors.Invalid:
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return errors.Invalid(
        f"cannot use {what} {path}: {str(reason).lower()}", hint="Give a readable PEM file, and an unencrypted key."
    )
