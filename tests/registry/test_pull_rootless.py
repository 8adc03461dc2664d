"""All pulls once more as an ordinary user with a range of ids."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNT = "orloptest"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_pull_as_well() -> None:
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        pytest.skip(f"there is no account {ACCOUNT}: scripts/test makes it")
    place = Path(f"/tmp/{ACCOUNT}-pull-{os.getpid()}")
    tests = Path(__file__).with_name("test_pull.py")
    options = ["-rs", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={place}"]
    environment = {"PATH": os.environ["PATH"], "HOME": account.pw_dir, "USER": ACCOUNT, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            ["runuser", "-u", ACCOUNT, "--", sys.executable, "-m", "pytest", str(tests), *options],
            env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if " passed" not in done.stdout:
        pytest.skip(f"an ordinary user can pull nothing here: {done.stdout[-500:]}")
