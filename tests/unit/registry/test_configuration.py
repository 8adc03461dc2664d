from __future__ import annotations

from pathlib import Path

import pytest

from orlop.core import errors
from orlop.registry.configuration import RegistryConfig, domain_of, is_loopback, parse


def test_an_empty_table_gives_the_defaults() -> None:
    assert parse({}) == RegistryConfig()
    assert parse({}).host("ghcr.io").insecure is False


def test_everything_about_a_host_is_read() -> None:
    config = parse(
        {
            "stall-timeout": 7,
            "hosts": {
                "registry-1.docker.io": {"mirrors": ["http://127.0.0.1:5000/", "https://m.example/p"]},
                "r.example:5000": {
                    "insecure": True,
                    "ca": "/c/a.pem",
                    "client-cert": "/c/b.pem",
                    "client-key": "/c/k.pem",
                    "path-prefix": "/docker/",
                    "headers": {"X-Team": "a"},
                },
            },
        }
    )
    assert config.stall_seconds == 7.0
    assert config.host("docker.io").mirrors == ("http://127.0.0.1:5000", "https://m.example/p")
    host = config.host("r.example:5000")
    assert host.insecure
    assert host.ca_files == (Path("/c/a.pem"),)
    assert (host.client_cert, host.client_key) == (Path("/c/b.pem"), Path("/c/k.pem"))
    assert host.path_prefix == "/docker"
    assert host.headers == {"X-Team": "a"}


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"host": {}}, "'host'"),
        ({"hosts": []}, "registries.hosts"),
        ({"hosts": {"a.b": 3}}, 'registries.hosts."a.b"'),
        ({"hosts": {"a.b": {"mirror": []}}}, "'mirror'"),
        ({"hosts": {"a.b": {"mirrors": "https://x"}}}, "mirrors"),
        ({"hosts": {"a.b": {"mirrors": ["x.example"]}}}, "mirrors"),
        ({"hosts": {"a.b": {"mirrors": ["https://u:p@x.example"]}}}, "mirrors"),
        ({"hosts": {"a.b": {"mirrors": ["https://x.example/?a=b"]}}}, "mirrors"),
        ({"hosts": {"a.b": {"mirrors": ["https://x.example:99999"]}}}, "mirrors"),
        ({"hosts": {"a.b": {"insecure": "yes"}}}, "insecure"),
        ({"hosts": {"a.b": {"client-key": "k"}}}, "client-key"),
        ({"hosts": {"a.b": {"headers": {"X": "a\r\nB: c"}}}}, "headers.X"),
        ({"stall-timeout": 0}, "stall-timeout"),
        ({"stall-timeout": True}, "stall-timeout"),
        ({"attempts": 0}, "attempts"),
        ({"hub-api": 3}, "hub-api"),
        ({"certs-dirs": "x"}, "certs-dirs"),
    ],
)
def test_a_wrong_key_is_named(table: dict[str, object], named: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        parse(table)
    assert named in caught.value.message
    assert caught.value.hint


def test_loopback_is_known_by_name_and_address() -> None:
    for name in ("localhost", "localhost:5000", "a.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:5000"):
        assert is_loopback(name), name
    for name in ("localhost.example.com", "10.0.0.1", "registry", "[::2]"):
        assert not is_loopback(name), name


def test_the_hosts_of_hub_are_one() -> None:
    assert {domain_of(name) for name in ("docker.io", "index.docker.io", "registry-1.docker.io")} == {"docker.io"}
    assert domain_of("ghcr.io") == "ghcr.io"
