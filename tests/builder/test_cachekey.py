"""What re-runs: pairs of Dockerfiles and which steps of the second one the first one's results serve."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from planning import IMAGES, plan

from orlop.builder import cachekey
from orlop.builder.operations import ContextOrigin, CopyOp
from orlop.core import reference
from orlop.core.digest import of_bytes


def keys(text: str, contents: Mapping[str, str] | None = None, **options: object) -> list[str]:
    """The keys of all steps in order; `contents` gives a context file's content by its path."""
    made = plan(text, **options)  # type: ignore[arg-type]
    images = {
        reference.parse(name): cachekey.of_image(config.diff_ids, config.platform) for name, config in IMAGES.items()
    }
    digests: dict[int, str] = {}
    for stage in made.stages.values():
        for step in stage.steps:
            if isinstance(step.operation, CopyOp) and isinstance(step.operation.origin, ContextOrigin):
                digests[step.id] = repr([(source, (contents or {}).get(source)) for source in step.operation.sources])
    return list(cachekey.of_plan(made, images, digests).steps.values())


def reused(before: list[str], after: list[str]) -> str:
    """`=` for each step whose result was there before, `!` for one that must run."""
    return "".join("=" if key in before else "!" for key in after)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # The same thing in other words.
        ("FROM base\nRUN a", "FROM base\n# comment\nrun a", "="),
        ("FROM base\nRUN a", 'FROM base\nRUN ["/bin/sh","-c","a"]', "="),
        ("FROM base\nRUN a", "FROM base AS x\nRUN a", "="),
        ("FROM base\nCOPY ./f /d", "FROM base\nCOPY f /d", "="),
        ("FROM base\nCOPY f /d", 'FROM base\nCOPY ["f", "/d"]', "="),
        ("FROM base\nCOPY f /w/d", "FROM base\nCOPY f d", "="),
        # Whitespace in the command counts, as the shell sees it.
        ("FROM base\nRUN a b", "FROM base\nRUN a  b", "!"),
        # A change re-runs what follows, and nothing before it.
        ("FROM base\nRUN a\nRUN b\nRUN c", "FROM base\nRUN a\nRUN B\nRUN c", "=!!"),
        ("FROM base\nRUN a", "FROM bare\nRUN a", "!"),
        # Metadata before a RUN does not matter to it.
        ("FROM base\nRUN a", "FROM base\nLABEL x=1\nRUN a", "="),
        ("FROM base\nRUN a", "FROM base\nCMD x\nEXPOSE 80\nVOLUME /v\nSTOPSIGNAL 9\nENTRYPOINT y\nRUN a", "="),
        ("FROM base\nRUN a", "FROM base\nHEALTHCHECK CMD x\nMAINTAINER m\nONBUILD RUN x\nRUN a", "="),
        # What the process can see does.
        ("FROM base\nRUN a", "FROM base\nENV x=1\nRUN a", "!"),
        ("FROM base\nENV x=1 y=2\nRUN a", "FROM base\nENV y=2 x=1\nRUN a", "!"),
        ("FROM base\nRUN a", "FROM base\nUSER other\nRUN a", "!"),
        ("FROM base\nRUN a", 'FROM base\nSHELL ["/bin/ash","-c"]\nRUN a', "!"),
        ("FROM base\nRUN a", "FROM base\nRUN --network=none a", "!"),
        ("FROM base\nRUN --network=default a", "FROM base\nRUN a", "="),
        ("FROM base\nWORKDIR /x\nRUN a", "FROM base\nWORKDIR /y\nRUN a", "!!"),
        # Files are copied whatever the environment says.
        ("FROM base\nCOPY f /d", "FROM base\nENV x=1\nUSER u\nCOPY f /d", "="),
        # Destination, owner and mode are part of a copy.
        ("FROM base\nCOPY f /d\nRUN a", "FROM base\nCOPY f /e\nRUN a", "!!"),
        ("FROM base\nCOPY f /d\nRUN a", "FROM base\nCOPY --chown=1 f /d\nRUN a", "!!"),
        ("FROM base\nCOPY f /d", "FROM base\nCOPY --chmod=600 f /d", "!"),
        ("FROM base\nCOPY f /d", "FROM base\nCOPY f /d/", "!"),
        ("FROM base\nCOPY f /d", "FROM base\nADD f /d", "!"),
        ("FROM base\nCOPY <<E /d\n1\nE", "FROM base\nCOPY <<E /d\n2\nE", "!"),
        ("FROM base\nCOPY <<E /d\n1\nE", "FROM base\nCOPY <<F /d\n1\nF", "!"),
        ("FROM base\nRUN <<E\n#!/bin/a\nE", "FROM base\nRUN <<E\n#!/bin/b\nE", "!"),
        ("FROM base\nRUN <<E\na\nE", "FROM base\nRUN <<F\na\nF", "="),
        # Stages: what is copied from them counts, what they are called does not.
        ("FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /f /g", "FROM base AS b\nRUN x\nFROM scratch\nCOPY --from=b /f /g", "=="),
        ("FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /f /g", "FROM base\nRUN x\nFROM scratch\nCOPY --from=0 f /g", "=="),
        ("FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /f /g", "FROM base AS a\nRUN y\nFROM scratch\nCOPY --from=a /f /g", "!!"),
        ("FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /f /g", "FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /e /g", "=!"),
        ("FROM base AS a\nRUN x\nFROM a\nRUN y", "FROM base\nRUN x\nRUN y", "=="),
    ],
)  # fmt: skip
def test_a_changed_dockerfile_re_runs_what_it_must(before: str, after: str, expected: str) -> None:
    assert reused(keys(before), keys(after)) == expected


@pytest.mark.parametrize(
    ("text", "before", "after", "expected"),
    [
        ("FROM base\nRUN a", {}, {"x": "1"}, "="),
        ("FROM base\nARG x\nRUN a", {"x": "1"}, {"x": "2"}, "!"),
        ("FROM base\nARG x=1\nRUN a", {}, {"x": "1"}, "="),
        ("FROM base\nRUN a\nARG x\nRUN b", {"x": "1"}, {"x": "2"}, "=!"),
        ("FROM base\nRUN a", {"HTTP_PROXY": "p"}, {"HTTP_PROXY": "q"}, "="),
        ("FROM base\nARG HTTP_PROXY\nRUN a", {"HTTP_PROXY": "p"}, {"HTTP_PROXY": "q"}, "!"),
        ("ARG v=1\nFROM base\nRUN a", {"v": "1"}, {"v": "2"}, "="),
        ("FROM base\nARG x\nCOPY f /d", {"x": "1"}, {"x": "2"}, "="),
        ("FROM base\nARG x\nCOPY f /$x", {"x": "1"}, {"x": "2"}, "!"),
    ],
)
def test_build_args_count_once_declared(
    text: str, before: dict[str, str], after: dict[str, str], expected: str
) -> None:
    assert reused(keys(text, args=before), keys(text, args=after)) == expected


def test_changed_content_re_copies_and_re_runs() -> None:
    text = "FROM base\nRUN first\nCOPY f /d\nRUN last"
    assert reused(keys(text, {"f": "1"}), keys(text, {"f": "2"})) == "=!!"
    assert reused(keys(text, {"f": "1"}), keys(text, {"f": "1", "other": "x"})) == "==="


def test_labels_of_the_request_change_nothing() -> None:
    text = "FROM base\nRUN a"
    assert keys(text) == keys(text, labels={"a": "b"})


def test_images_of_equal_layers_are_one_state() -> None:
    platform = IMAGES["docker.io/library/base:latest"].platform
    assert cachekey.of_image((of_bytes(b"x"),), platform) == cachekey.of_image((of_bytes(b"x"),), platform)
    assert cachekey.of_image((of_bytes(b"x"),), platform) != cachekey.of_image((of_bytes(b"y"),), platform)


def test_parts_are_framed() -> None:
    assert cachekey.of_parts("k", ("ab", "c")) != cachekey.of_parts("k", ("a", "bc"))
    assert cachekey.of_parts("k", ("a",)) != cachekey.of_parts("k", ("a", ""))
