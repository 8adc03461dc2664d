"""All pushes once more as an ordinary user with a range of ids."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNT = "orloptest"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_push_as_well(tmp_path: Path) -> None:
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        pytest.skip(f"there is no account {ACCOUNT}: scripts/test makes it")
    place = Path(f"/tmp/{ACCOUNT}-push-{os.getpid()}")
    tests = Path(__file__).with_name("test_push.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        tests,
        "-v",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--basetemp={place}",
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": account.pw_dir, "USER": ACCOUNT, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            ["runuser", "-u", ACCOUNT, "--", *map(str, command)],
            env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-6000:]
    assert " passed" in told
