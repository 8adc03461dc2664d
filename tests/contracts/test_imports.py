"""What a short verb, the server and a lean worker may import: start-up time is a promise."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(code: str) -> set[str]:
    text = f"{code}\nimport sys; print(chr(10).join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_version_needs_nothing() -> None:
    modules = loaded("import sys; sys.argv=['orlop','--version']\nimport orlop.__main__ as m; m.main()")
    assert not {"attr", "argparse", "json", "sqlite3", "orlop.core.errors"} & modules


def test_listing_images_needs_neither_server_nor_builder_nor_network() -> None:
    modules = loaded("import orlop.cli.verbs.images, orlop.engine.engine, orlop.engine.images")
    assert not {"pygls", "lsprotocol", "requests", "pyroute2", "orlop.builder.build", "asyncio"} & modules


@pytest.mark.parametrize(
    "code",
    ["import orlop.cli.verbs.run, orlop.engine.containers", "import orlop.cli.verbs.build, orlop.engine.builds"],
)
def test_registries_cost_nothing_until_one_is_asked(code: str) -> None:
    modules = loaded(f"{code}, orlop.engine.engine, orlop.engine.settings")
    assert not {"requests", "orlop.registry.registries", "orlop.cli.transfers"} & modules


def test_the_registry_client_itself_waits_with_its_library() -> None:
    assert "requests" not in loaded("import orlop.cli.verbs.pull, orlop.cli.verbs.push, orlop.engine.registries")


@pytest.mark.parametrize("module", ["orlop.rootfs.worker", "orlop.runtime.launch"])
def test_lean_processes_import_no_library(module: str) -> None:
    import os
    from pathlib import Path

    import orlop

    server = str(Path(orlop.__file__).parents[1])
    code = f"import sys; sys.path.append({server!r}); import {module}; print(chr(10).join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True, text=True, check=True, env={"PATH": os.defpath},
    )  # fmt: skip
    modules = set(done.stdout.split())
    assert not {"attr", "attrs", "asyncio", "json", "subprocess", "re", "typing"} & modules
