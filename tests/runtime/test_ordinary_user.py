"""Everything about containers once more as an ordinary user with subordinate ids, when root runs the tests."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNT = "orloptest"
HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["test_launch.py", "test_manager.py", "test_userns.py", "test_probe.py"])
def test_the_same_holds_for_an_ordinary_user(name: str, able: None) -> None:
    if os.geteuid() != 0:
        pytest.skip("already running as an ordinary user")
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        pytest.skip(f"there is no account {ACCOUNT}")
    done = subprocess.run(
        [
            "runuser",
            "-u",
            ACCOUNT,
            "--",
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(HERE / name),
        ],
        capture_output=True,
        check=False,
        text=True,
        cwd=HERE.parents[1],
    )
    assert done.returncode == 0, done.stdout[-6000:]
