"""The tests with real builds once more as an ordinary account: root is not better than others."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ACCOUNT = "orloptest"
HERE = Path(__file__).parent
WHAT = (
    "copied_files or chown or stages_keeps or workdir or deletions or cached_build or unreadable or heredocs "
    "or environment or users_are or groups or standard_input or sandbox or networks or cancel or failing_process "
    "or killed_build or archives_are or capabilities"
)


@pytest.fixture
def workplace() -> Iterator[Path]:
    """Package and tests where that account can read them, and room that it owns."""
    if os.geteuid() != 0:
        pytest.skip("all tests of this run are those of an ordinary account")
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        pytest.skip(f"there is no account {ACCOUNT}")
    place = Path("/var/tmp") / f"orlop-builder-{os.getpid()}"
    place.mkdir(mode=0o755)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE.parents[1] / "server" / "orlop", place / "server" / "orlop", ignore=ignore)
    shutil.copytree(HERE, place / "tests", ignore=ignore)
    (place / "pytest.ini").write_text(
        "[pytest]\naddopts = -q --import-mode=importlib -p no:cacheprovider\ntimeout = 120\n"
    )
    home = place / "home"
    home.mkdir()
    os.chown(home, account.pw_uid, account.pw_gid)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_an_ordinary_account_builds_as_root_does(workplace: Path) -> None:
    home = workplace / "home"
    command = [sys.executable, "-m", "pytest", "-c", str(workplace / "pytest.ini"), f"--basetemp={home}/t", "-k", WHAT]
    done = subprocess.run(
        ["runuser", "-u", ACCOUNT, "--", *command, str(workplace / "tests")],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(workplace / "server"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout, done.stdout[-6000:]
