"""Every attack once more upon the containers of an ordinary user, when root runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ordinary import run_once_more


@pytest.mark.usefixtures("able")
def test_the_same_holds_for_an_ordinary_user() -> None:
    run_once_more(Path(__file__).parent, choose="not test_terminal")
