"""An image that `orlop build` makes is the one that BuildKit makes of the same Dockerfile and context."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from comparing import Tree, differences, outcome, whole_tree
from dockerfiles import CASES, Case
from peering import Docker

from harness import Terminal

pytestmark = pytest.mark.peer
GOLDEN = Path(__file__).parent / "golden"


def save(terminal: Terminal, name: str, folder: Path) -> bytes:
    target = folder.with_name(f"{folder.name}.tar")
    terminal("save", "-o", str(target), name) if terminal.account is None else _save_as(terminal, name, target)
    try:
        return target.read_bytes()
    finally:
        target.unlink()


def _save_as(terminal: Terminal, name: str, target: Path) -> None:
    with target.open("wb") as out:
        assert terminal.start("save", name, stdout=out).wait(100) == 0


@pytest.fixture(scope="session")
def base(shared_terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save(shared_terminal, "busybox", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def base_tree(base: bytes) -> Tree:
    return whole_tree(base)


@pytest.fixture(scope="session")
def peer(docker: Docker | None, base: bytes) -> Docker | None:
    """Docker with the very same base image."""
    if docker is not None:
        docker("load", stdin=base)
    return docker


@pytest.fixture(scope="session")
def kept() -> dict[str, dict[str, Any]]:
    """What Docker made in this run, so that the second account need not build it again."""
    return {}


def of_docker(
    case: Case, peer: Docker | None, context: Path, base_tree: Tree, kept: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    golden = GOLDEN / f"{case.name}.json"
    if peer is None:
        return json.loads(golden.read_text())
    if case.name not in kept:
        peer("build", "-q", "--network", "none", "-t", case.name, *case.flags, str(context))
        kept[case.name] = json.loads(json.dumps(outcome(peer("save", case.name), base_tree)))
        if os.environ.get("UPDATE_GOLDEN"):
            golden.write_text(json.dumps(kept[case.name], indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return kept[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_image_is_what_buildkit_makes(
    case: Case,
    shared_terminal: Terminal,
    peer: Docker | None,
    context: Path,
    base_tree: Tree,
    kept: dict[str, dict[str, Any]],
) -> None:
    case.write(context)
    shared_terminal("build", "-t", case.name, *case.flags, str(context))
    ours = json.loads(json.dumps(outcome(save(shared_terminal, case.name, context), base_tree)))
    found = differences(ours, of_docker(case, peer, context, base_tree, kept))
    unknown = {field: text for field, text in found.items() if field not in case.known}
    assert not unknown, "\n".join(f"{field}: {text}" for field, text in unknown.items())
    assert not set(case.known) - set(found), "a difference that is said to be known is none"
