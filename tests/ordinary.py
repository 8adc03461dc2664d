"""Runs tests once more as an ordinary account with a range of ids, for root is not better than others."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNT = "orloptest"
REPOSITORY = Path(__file__).parents[1]


def run_once_more(*tests: Path, choose: str = "") -> None:
    """Run these files or folders as that account, or what `choose` (of -k) takes of them.

    A run in which nothing passed is a failure, not a skip.
    """
    if os.geteuid() != 0:
        pytest.skip("all tests of this run are those of an ordinary account")
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        pytest.skip(f"there is no account {ACCOUNT}: scripts/test makes it")
    place = Path(f"/tmp/{ACCOUNT}-{tests[0].stem}-{os.getpid()}")
    options = [
        "-rs",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--basetemp={place}",
        *(["-k", choose] if choose else []),
    ]
    environment = {
        "PATH": os.environ["PATH"], "HOME": account.pw_dir, "USER": ACCOUNT, "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(REPOSITORY / "server"),
    }  # fmt: skip
    try:
        done = subprocess.run(
            ["runuser", "-u", ACCOUNT, "--", sys.executable, "-m", "pytest", *map(str, tests), *options],
            env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-6000:]
    assert " passed" in told, told[-6000:]
