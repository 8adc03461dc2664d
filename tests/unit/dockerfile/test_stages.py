"""Stages: targets, bases, what is needed, and references that cannot work."""

from __future__ import annotations

import pytest

from orlop.dockerfile import stages
from orlop.dockerfile.evaluation import AUTOMATIC_ARGS
from orlop.dockerfile.parser import parse
from orlop.dockerfile.stages import StageError

CHAIN = """ARG BASE=alpine
FROM $BASE AS one
FROM one AS two
RUN false
FROM scratch AS Three
COPY --from=two /a /b
FROM busybox AS unused
FROM three
COPY --from=0 /a /b
"""


def needed(text: str, target: str | None = None) -> list[int]:
    tree = parse(text)
    bases = stages.stage_bases(tree, {}, AUTOMATIC_ARGS)
    return [stage.index for stage in stages.needed_stages(tree, bases, stages.resolve_target(tree, target))]


def wrong(text: str) -> list[str]:
    return [problem.message for problem in stages.check_references(parse(text))]


@pytest.mark.parametrize(("target", "index"), [(None, 4), ("", 4), ("one", 0), ("ONE", 0), ("three", 2), ("unused", 3)])
def test_targets_are_found_without_case(target, index):
    assert index == stages.resolve_target(parse(CHAIN), target).index


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("0", 'target stage "0" could not be found'),
        ("tow", 'target stage "tow" could not be found (did you mean two?)'),
        ("nothing", 'target stage "nothing" could not be found'),
    ],
)
def test_a_missing_target_is_told_with_a_guess(target, message):
    with pytest.raises(StageError) as caught:
        stages.resolve_target(parse(CHAIN), target)
    assert message == str(caught.value)


def test_a_file_without_stages_has_no_target():
    with pytest.raises(StageError, match="dockerfile contains no stages to build"):
        stages.resolve_target(parse("ARG a=1\n"), None)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("one", [0]), ("two", [0, 1]), ("three", [0, 1, 2]), ("unused", [3]), (None, [0, 1, 2, 4])],
)
def test_only_what_a_target_needs_is_built(target, expected):
    assert expected == needed(CHAIN, target)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a AS x\nFROM b\nRUN --mount=type=bind,from=x,target=/y true\n", [0, 1]),
        ("FROM a AS x\nFROM b\nRUN --mount=type=bind,from=0,target=/y true\n", [1]),
        ("FROM a AS x\nFROM b\nCOPY --from=c /x /y\n", [1]),
        ("FROM a AS x\nFROM b\nCOPY --from=X /x /y\n", [0, 1]),
        ("FROM a AS x\nFROM x AS y\nONBUILD COPY --from=0 a b\nFROM b\n", [2]),
        ("FROM z AS t\nFROM a AS x\nONBUILD COPY --from=t a b\nFROM x\n", [0, 1, 2]),
        ("FROM a AS alpine\nFROM alpine\n", [0, 1]),
        ("FROM a AS a\n", [0]),
        ("FROM a AS scratch\nFROM scratch\n", [1]),
        ("FROM a AS x\nFROM b AS x\nFROM x\n", [1, 2]),
    ],
)
def test_what_a_stage_reads_it_needs(text, expected):
    assert expected == needed(text)


def test_bases_are_expanded_with_the_arguments_before_from():
    tree = parse(
        "ARG V=1\nARG IMG=alpine:$V\nARG NONE\nFROM --platform=$BUILDPLATFORM $IMG AS x\nFROM ${NONE:-X}\nFROM $NONE\n"
    )
    first, second, third = stages.stage_bases(tree, {"V": "2"}, {"BUILDPLATFORM": "linux/arm64"})
    assert (first.image, first.platform, first.parent) == ("alpine:2", "linux/arm64", None)
    assert second.parent is tree.stages[0]
    assert third.problem
    assert third.problem.message == "base name ($NONE) should not be blank"
    given = stages.stage_bases(tree, {"NONE": "scratch"}, {"BUILDPLATFORM": ""})
    assert [base.is_scratch for base in given] == [False, True, True]
    assert given[0].problem
    assert given[0].problem.message == "empty platform value from expression $BUILDPLATFORM"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM ${X:?must be set}\n", "failed to process \"${X:?must\": syntax error: missing '}'"),
        ("FROM ${X:?unset}\n", 'failed to process "${X:?unset}": X: unset'),
        (
            "FROM Bad\n",
            'failed to parse stage name "Bad": invalid reference format: repository name (library/Bad) must be lowercase',
        ),
        ("FROM a:b:c\n", 'failed to parse stage name "a:b:c": invalid reference format'),
    ],
)
def test_bases_that_cannot_be_used_are_told(text, message):
    problem = stages.stage_bases(parse(text), {}, AUTOMATIC_ARGS)[0].problem
    # The first holds a blank, so that FROM has too many words as well; the substitution is wrong all the same.
    assert problem
    assert message == problem.message


def test_a_global_argument_that_fails_is_told():
    with pytest.raises(StageError, match="bad substitution"):
        stages.stage_bases(parse("ARG A=${}\nFROM $A\n"), {}, {})


LATER = 'cannot copy from stage "b", it needs to be defined before current stage "a"'


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("FROM x AS a\nCOPY --from=b a b\nFROM y AS b\n", [LATER]),
        ("FROM x AS a\nCOPY --from=a x y\n", ["circular dependency detected on stage: a"]),
        ("FROM x\nCOPY --from=0 x y\n", ["circular dependency detected on stage: stage-0"]),
        ("FROM x AS a\nCOPY --from=b x y\nFROM z AS b\nCOPY --from=a x y\n", ["circular dependency detected on stage: a"]),
        ("FROM x AS a\nRUN --mount=from=a,target=/x y\n", ["circular dependency detected on stage: a"]),
        ("FROM x\nCOPY --from=5 x y\n", ["invalid stage index 5"]),
        ("FROM x\nCOPY --from=-1 x y\n", ["invalid stage index -1"]),
        ("FROM x\nCOPY --from=99999999999 x y\n", ["invalid stage index 99999999999"]),
        ("FROM x\nCOPY --from=$Y x y\n",
         [("variable expansion is not supported for --from, define a new stage with FROM using ARG from global "
           "scope as a workaround")]),
        ("FROM x AS a\nRUN --mount=from=b,target=/m y\nFROM z AS b\n",
         ['cannot mount from stage "b" to "/m", stage needs to be defined before current command']),
        ("FROM x AS a\nFROM y AS b\nCOPY --from=a x y\nFROM z AS a\n",
         ['cannot copy from stage "a", it needs to be defined before current stage "b"']),
        ("FROM x AS a\nFROM b\nCOPY --from=a x y\nCOPY --from=image x y\nCOPY --from=0 x y\n", []),
    ],
)  # fmt: skip
def test_references_that_cannot_work_are_told(text, messages):
    assert messages == wrong(text)


def test_a_needed_forward_reference_stops_the_build_and_an_unneeded_one_does_not():
    text = "FROM x AS a\nCOPY --from=b a b\nFROM y AS b\n"
    assert needed(text) == [1]
    with pytest.raises(StageError) as caught:
        needed(text, "a")
    assert str(caught.value) == LATER


def test_a_circle_stops_the_build():
    with pytest.raises(StageError, match="circular dependency detected on stage: a"):
        needed("FROM x AS a\nCOPY --from=b x y\nFROM z AS b\nCOPY --from=a x y\nFROM z\n")


def test_a_long_chain_is_no_matter():
    text = "FROM x AS s0\n" + "".join(f"FROM y AS s{i}\nCOPY --from=s{i - 1} a b\n" for i in range(1, 3000))
    assert len(needed(text)) == 3000


def test_stages_know_their_lines():
    tree = parse(CHAIN)
    assert [stage.lines for stage in tree.stages] == [(2, 2), (3, 4), (5, 6), (7, 7), (8, 9)]
    assert [stage.label for stage in tree.stages] == ["one", "two", "three", "unused", "stage-4"]
