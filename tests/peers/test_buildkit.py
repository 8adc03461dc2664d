"""An image that `orlop build` makes is the one that BuildKit makes of the same Dockerfile and context."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from comparing import Tree, differences, outcome
from dockerfiles import CASES, Case
from peering import Docker, saved

from harness import Terminal

pytestmark = pytest.mark.peer
GOLDEN = Path(__file__).parent / "golden"


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


# Their files or programs belong to others than root.
OF_OTHERS = {"user", "workdir-owner", "copy-chown", "copy-from-owner", "add-tar", "metadata-only"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.several_ids] if case.name in OF_OTHERS else [])
        for case in CASES
    ],
)
def test_the_image_is_what_buildkit_makes(
    case: Case,
    shared_terminal: Terminal,
    peer: Docker | None,
    context: Path,
    base_tree: Tree,
    kept: dict[str, dict[str, Any]],
) -> None:
    if case.missing:
        pytest.xfail(case.missing)
    case.write(context, shared_terminal.account)
    shared_terminal("build", "-t", case.name, *case.flags, str(context))
    ours = json.loads(json.dumps(outcome(saved(shared_terminal, case.name), base_tree)))
    found = differences(ours, of_docker(case, peer, context, base_tree, kept))
    unknown = {field: text for field, text in found.items() if field not in case.known}
    assert not unknown, "\n".join(f"{field}: {text}" for field, text in unknown.items())
    assert not set(case.known) - set(found), "a difference that is said to be known is none"
