"""Realms: where a registry may send us, with a password, for a token; a hostile one must not choose freely."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orlop.core import errors
from orlop.registry.configuration import is_loopback
from orlop.registry.failures import Asked

if TYPE_CHECKING:
    from orlop.registry.auth import Place


def check(realm: str, place: Place, asked: Asked) -> None:
    """Raise `RegistryError` unless the realm is safe to ask for this registry.

    It must be HTTPS unless the registry itself is not, or is this machine; an address literal of a private or local
    network is allowed only on the registry's own host.
    """
    try:
        parts = urlsplit(realm)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or port == 0:
        raise _refused(asked, realm, "it is not a web address")
    own = urlsplit(place.origin)
    if parts.scheme == "http" and own.scheme != "http":
        raise _refused(asked, realm, "it is not encrypted, while the registry is")
    if host == own.hostname:
        return
    if is_loopback(parts.netloc):
        if not is_loopback(own.netloc):
            raise _refused(asked, realm, "it is on this machine, while the registry is not")
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if not address.is_global and not is_loopback(own.netloc):
        raise _refused(asked, realm, "it is in a private network")


def _refused(asked: Asked, realm: str, reason: str) -> errors.RegistryError:
    return errors.RegistryError(
        f"cannot {asked}: the registry names {realm[:200]!r} as its token service, but {reason}",
        hint="Ask whoever runs the registry to mend its token realm.",
    )
