"""Registries of every kind, the line before them that fails on demand, and a client with a store of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.rootfs.workshop import Workshop
from orlop.runtime.probe import probe
from registry import pushlab
from registry.client import Client
from registry.lab import Lab
from registry.parts import registry as registries
from registry.parts.certs import Authority
from registry.parts.faults import Proxy
from registry.parts.registry import Registry
from rootfs.shop import Shop


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for everybody; tests take repositories of their own in it."""
    if reason := registries.missing():
        pytest.skip(reason)
    with Registry(tmp_path_factory.mktemp("plain")) as made:
        yield made


@pytest.fixture
def line(plain_registry: Registry) -> Iterator[Proxy]:
    """The way to it, which fails as its rules say and counts what passes."""
    with Proxy(plain_registry.url) as made:
        yield made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody trusts unless told to."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def hands() -> Iterator[Workshop]:
    """The worker that unpacks layers, for all tests."""
    report = probe()
    if not report.can_run:
        pytest.skip(f"no namespaces here: {report.reason}")
    made = Workshop(Path("/"))
    yield made
    made.close()


@pytest.fixture
def client(hands: Workshop, tmp_path: Path) -> Iterator[Client]:
    """Our side: an empty store and a registry client that does not wait long."""
    made = Client(tmp_path / "client", hands)
    yield made
    made.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pushlab.Proxy]:
    """A registry behind a line that the tests of a file share."""
    with pushlab.registry(tmp_path_factory.mktemp("registry")) as address:
        made = pushlab.Proxy(address)
        yield made
        made.close()


@pytest.fixture
def lab(proxy: pushlab.Proxy, hands: Workshop, tmp_path: Path) -> Iterator[Lab]:
    """An empty store on the near end of a quiet line."""
    proxy.forget()
    proxy.tokens = False
    proxy.valid.clear()
    shop = Shop(tmp_path, hands)
    made = Lab(shop, proxy)
    yield made
    made.registries.close()
    shop.close()


@pytest.fixture
def path() -> str:
    """A repository and tag that no other test uses."""
    return f"r{os.urandom(5).hex()}/app:1"
