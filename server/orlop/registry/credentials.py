"""Credentials: who we are for a registry, and where that is kept."""

from __future__ import annotations

import threading
from typing import Protocol

import attrs

from orlop.core.reference import HUB
from orlop.registry.configuration import domain_of

# The name under which every tool keeps Docker Hub's login.
HUB_KEY = "https://index.docker.io/v1/"


@attrs.frozen(repr=False, slots=True)
class Secret:
    """A password or token that never shows in a message, a log or a traceback."""

    value: str

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


@attrs.frozen(slots=True)
class Credential:
    """An account of one registry.

    With `identity_token` the secret is a refresh token of the registry's token service, with `registry_token` it is
    the bearer token itself; the user name may then be empty.
    """

    username: str
    secret: Secret
    identity_token: bool = False
    registry_token: bool = False


@attrs.frozen(slots=True)
class Login:
    """A registry that credentials are kept for; `source` says where, for people ("~/.docker/config.json")."""

    host: str
    username: str
    source: str


class Credentials(Protocol):
    """Where credentials are kept. Thread-safe. `host` is `docker.io` for Hub, else `host[:port]`."""

    def get(self, host: str, repository: str = "") -> Credential | None:
        """The credential for a host, perhaps one for this repository of it; None means anonymous."""

    def source(self, host: str) -> str:
        """Where the credential of a host comes from, for people; empty when there is none."""

    def save(self, host: str, credential: Credential) -> str:
        """Keep it, and tell where; raises an `OrlopError` when that fails."""

    def erase(self, host: str) -> bool:
        """Forget it; False when there was none."""

    def list(self) -> tuple[Login, ...]:
        """What is kept, by host."""


class Memory:
    """Credentials held in memory (an editor's own secret storage fills it), before those of `beneath`. Thread-safe."""

    def __init__(self, beneath: Credentials | None = None, name: str = "memory") -> None:
        self._beneath = beneath
        self._name = name
        self._guard = threading.Lock()
        self._held: dict[str, Credential] = {}

    def get(self, host: str, repository: str = "") -> Credential | None:
        """What is held, else what is kept beneath."""
        with self._guard:
            held = self._held.get(host)
        if held is not None or self._beneath is None:
            return held
        return self._beneath.get(host, repository)

    def source(self, host: str) -> str:
        """This one's name, or the source beneath."""
        with self._guard:
            if host in self._held:
                return self._name
        return self._beneath.source(host) if self._beneath is not None else ""

    def save(self, host: str, credential: Credential) -> str:
        """Hold it until the process ends."""
        with self._guard:
            self._held[host] = credential
        return self._name

    def drop(self, host: str) -> bool:
        """Forget what is held; what is kept beneath stays, and counts again."""
        with self._guard:
            return self._held.pop(host, None) is not None

    def erase(self, host: str) -> bool:
        """Forget what is held, and what is kept beneath."""
        with self._guard:
            held = self._held.pop(host, None) is not None
        return (self._beneath is not None and self._beneath.erase(host)) or held

    def list(self) -> tuple[Login, ...]:
        """What is held, then what is kept beneath for other hosts."""
        with self._guard:
            held = tuple(Login(host, one.username, self._name) for host, one in sorted(self._held.items()))
        beneath = self._beneath.list() if self._beneath is not None else ()
        names = {login.host for login in held}
        return held + tuple(login for login in beneath if login.host not in names)


def key_of(host: str) -> str:
    """The name a host has in credential files and stores."""
    return HUB_KEY if domain_of(host) == HUB else host


def host_of(key: str) -> str:
    """The host a key stands for: scheme and path go, Hub is `docker.io`."""
    return domain_of(key.removeprefix("https://").removeprefix("http://").partition("/")[0])
