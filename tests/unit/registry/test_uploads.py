"""Where an upload goes on: as the registry says, but for what proxies before registries get wrong."""

from __future__ import annotations

import pytest

from orlop.core import errors
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Memory
from orlop.registry.failures import Asked
from orlop.registry.transport import Transport
from orlop.registry.uploads import Target, usable

AT = "https://reg.test/v2/a/blobs/uploads/"


def target(**config: object) -> Target:
    hosts = {host: HostConfig(host=host, **settings) for host, settings in config.items()}  # type: ignore[arg-type]
    transport = Transport(RegistryConfig(hosts=hosts), Memory())
    asked = Asked(action="push", subject="reg.test/a", domain="reg.test", repository="a")
    return Target(transport, transport.endpoint("reg.test"), "a", asked)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/a/blobs/uploads/1?_state=x", "https://reg.test/v2/a/blobs/uploads/1?_state=x"),
        ("1", "https://reg.test/v2/a/blobs/uploads/1"),
        ("https://reg.test/v2/a/blobs/uploads/1#part", "https://reg.test/v2/a/blobs/uploads/1"),
        ("https://bytes.test/up?sig=a%2Fb&x=1", "https://bytes.test/up?sig=a%2Fb&x=1"),
        # A proxy that ends TLS does not tell the registry behind it.
        ("http://reg.test/v2/a/blobs/uploads/1?s=1", "https://reg.test/v2/a/blobs/uploads/1?s=1"),
        ("http://reg.test:80/v2/a/blobs/uploads/1", "https://reg.test/v2/a/blobs/uploads/1"),
    ],
)
def test_a_location_is_resolved_and_not_rebuilt(location: str, expected: str) -> None:
    assert usable(target(), AT, location) == expected


def test_bytes_do_not_leave_unencrypted_for_another_host() -> None:
    with pytest.raises(errors.RegistryError, match="unencrypted to bytes.test"):
        usable(target(), AT, "http://bytes.test/up")
    allowed = target(**{"bytes.test": {"insecure": True}})
    assert usable(allowed, AT, "http://bytes.test/up") == "http://bytes.test/up"


def test_a_path_prefix_that_the_registry_does_not_know_is_kept() -> None:
    at = "https://reg.test/hub/v2/a/blobs/uploads/"
    behind = target(**{"reg.test": {"path_prefix": "/hub"}})
    assert usable(behind, at, "/v2/a/blobs/uploads/1?s=1") == "https://reg.test/hub/v2/a/blobs/uploads/1?s=1"
    assert usable(behind, at, "/hub/v2/a/blobs/uploads/1") == "https://reg.test/hub/v2/a/blobs/uploads/1"
