"""Everything about containers once more as an ordinary user with subordinate ids, when root runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ordinary import run_once_more


@pytest.mark.parametrize(
    "name", ["test_launch.py", "test_manager.py", "test_remains.py", "test_userns.py", "test_probe.py"]
)
def test_the_same_holds_for_an_ordinary_user(name: str, able: None) -> None:
    run_once_more(Path(__file__).with_name(name))
