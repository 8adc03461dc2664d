"""All pulls once more as an ordinary user with a range of ids."""

from __future__ import annotations

from pathlib import Path

import ordinary


def test_an_ordinary_user_can_pull_as_well() -> None:
    ordinary.run_once_more(Path(__file__).with_name("test_pull.py"))
