"""A workshop on a fresh store, as whoever runs the tests; `test_rootless` runs them all once more as an ordinary user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from shop import Shop

from orlop.rootfs.workshop import Workshop
from orlop.runtime.probe import probe


@pytest.fixture(scope="session")
def able() -> None:
    report = probe()
    if not report.can_run:
        pytest.skip(f"no namespaces here: {report.reason}")


@pytest.fixture(scope="session")
def workshop(able: None) -> Iterator[Workshop]:
    made = Workshop(Path("/"))
    yield made
    made.close()


@pytest.fixture
def shop(workshop: Workshop, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, workshop)
    yield made
    made.close()
