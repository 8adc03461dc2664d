"""Login: finds out how a registry wants to be asked, and whether it takes an account, before that is kept."""

from __future__ import annotations

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.registry import challenge
from orlop.registry.auth import Place
from orlop.registry.broken import Broken
from orlop.registry.credentials import Credential, Login, Secret
from orlop.registry.failures import Asked
from orlop.registry.transport import Transport


@attrs.frozen
class Ping:
    """A registry that answers: its URL, and how it wants to be asked (`none`, `basic`, `bearer`, or another scheme)."""

    host: str
    url: str
    scheme: str
    realm: str = ""


class One:
    """The credential of one host and of no other, as a `Credentials`."""

    def __init__(self, host: str, credential: Credential | None) -> None:
        self._host = host
        self._credential = credential

    def get(self, host: str, repository: str = "") -> Credential | None:  # noqa: ARG002 - the port's
        """It, for its host."""
        return self._credential if host == self._host else None

    def source(self, host: str) -> str:  # noqa: ARG002 - the port's
        """Nowhere: it was just typed."""
        return ""

    def save(self, host: str, credential: Credential) -> str:  # noqa: ARG002 - the port's
        """Not here."""
        raise errors.Conflict(f"cannot keep the login of {host} here")

    def erase(self, host: str) -> bool:  # noqa: ARG002 - the port's
        """Nothing to forget."""
        return False

    def list(self) -> tuple[Login, ...]:
        """Nothing kept."""
        return ()


def ping(transport: Transport, host: str, job: Job) -> Ping:
    """Ask a registry whether it is one; raises `Unreachable`, or `ManifestUnknown` when it is something else."""
    endpoint = transport.endpoint(host)
    asked = Asked(action="reach", subject=f"registry {host}", domain=host)
    anonymous = Transport(transport.config, One(host, None), wire=transport.wire)
    with anonymous.request("GET", endpoint, "/v2/", asked=asked, job=job, good=(200, 401)) as answer:
        lines = answer.header_lines("WWW-Authenticate")
        found = tuple(one for line in lines for one in challenge.parse(line))
        chosen = challenge.choose(found)
        status, url = answer.status, answer.url
    if status == 200:
        return Ping(host, url, "none")
    if chosen is None:
        return Ping(host, url, found[0].scheme if found else "none")
    return Ping(host, url, chosen.scheme, chosen.realm)


def login(transport: Transport, host: str, credential: Credential, job: Job) -> Credential:
    """What to keep for an account that the registry takes: the password, or the token it gives in its place.

    Raises `Unauthorized` when it does not take it, `Unreachable`, and `RegistryError` when there is nothing to log in
    to. Nothing is kept here.
    """
    endpoint = transport.endpoint(host)
    asked = Asked(action="log in to", subject=host, domain=host, account=credential.username)
    trial = Transport(transport.config, One(host, credential), wire=transport.wire, offline=True)
    with trial.request("GET", endpoint, "/v2/", asked=asked, job=job):
        pass
    try:
        origin = trial.origin(endpoint, job)
    except Broken:  # it answered just now
        return credential
    grant = trial.authorizer.known(Place(host, origin), (), asked, job)
    if grant is not None and grant.identity:
        return Credential(credential.username, Secret(grant.identity), identity_token=True)
    return credential
