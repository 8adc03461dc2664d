"""All pushes once more as an ordinary user with a range of ids."""

from __future__ import annotations

from pathlib import Path

import ordinary


def test_an_ordinary_user_can_push_as_well() -> None:
    here = Path(__file__)
    ordinary.run_once_more(here.with_name("test_push.py"), here.with_name("test_uploads.py"))
