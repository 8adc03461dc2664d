"""Registries: the one object through which an engine talks to every registry."""

from __future__ import annotations

from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Credentials
from orlop.registry.ratelimit import RateLimit
from orlop.registry.transport import Transport


class Registries:
    """Makes readers and writers, lists, logs in. Thread-safe; one for an engine, whose connections it keeps.

    Nothing is asked, and `requests` not even imported, before the first call that needs a registry.
    """

    def __init__(self, config: RegistryConfig, credentials: Credentials) -> None:
        self.config = config
        self.credentials = credentials
        self.transport = Transport(config, credentials)

    def rate_limit(self, host: str) -> RateLimit | None:
        """How much a registry (`docker.io` for Hub) still allows, as it said last."""
        return self.transport.rate_limit(host)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()
