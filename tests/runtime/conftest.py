"""Labs on real namespaces; skipped where this host has none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from containers import BUSYBOX, Lab, remove_tree

from orlop.runtime.probe import probe


@pytest.fixture(scope="session")
def able() -> None:
    report = probe()
    if not report.can_run:
        pytest.skip(f"containers cannot run here: {report.reason}")
    if not os.path.exists(BUSYBOX):
        pytest.skip("busybox-static is not installed")


@pytest.fixture
def lab(able: None, tmp_path: Path) -> Iterator[Lab]:
    place = tmp_path / "lab"
    place.mkdir()
    yield Lab(place)
    remove_tree(place)
