"""Drives the packaged extension in a real VS Code in a real browser; the scenarios are in TypeScript beside this file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def prepared() -> None:
    """The extension as a package, and the scenarios bundled: once for all of them."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: neither the extension nor the editor can be made")
    _run("--prepare")


@pytest.mark.vscode
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("scenarios", ["build", "images", "containers", "windows", "registries"])
def test_a_real_editor_does_what_a_person_asks(scenarios: str) -> None:
    _run(ORLOP_ONLY=scenarios, ORLOP_PREPARED="1")


def _run(*words: str, **more: str) -> None:
    environment = {**os.environ, "ORLOP_VENV": sys.prefix, **more}
    environment.pop("ORLOP_ROOT", None)
    result = subprocess.run(
        [ROOT / "scripts" / "e2e", *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode != 0 and "missing Debian packages" in result.stderr:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 0, f"{result.stdout[-8000:]}\n{result.stderr[-2000:]}"
