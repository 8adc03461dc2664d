"""Lint rules: a file, and the rules that speak up with their lines."""

from __future__ import annotations

import pytest

from orlop.dockerfile import rules
from orlop.dockerfile.evaluation import BaseImage
from orlop.dockerfile.ignorefile import parse_ignore
from orlop.dockerfile.parser import parse

NAMES = {
    "StageNameCasing", "FromAsCasing", "NoEmptyContinuation", "ConsistentInstructionCasing", "DuplicateStageName",
    "ReservedStageName", "JSONArgsRecommended", "MaintainerDeprecated", "UndefinedArgInFrom", "UndefinedVar",
    "InvalidDefaultArgInFrom", "WorkdirRelativePath", "MultipleInstructionsDisallowed", "LegacyKeyValueFormat",
    "RedundantTargetPlatform", "FromPlatformFlagConstDisallowed", "InvalidBaseImagePlatform", "SecretsUsedInArgOrEnv",
    "CopyIgnoredFile", "ExposeProtoCasing", "ExposeInvalidFormat", "InvalidDefinitionDescription",
}  # fmt: skip


def found(text: str, **given: object) -> list[str]:
    """`Rule:line` of everything found, lines 1-based."""
    return [f"{item.code}:{item.span.start.line + 1}" for item in rules.check(parse(text), **given)]  # type: ignore[arg-type]


def messages(text: str, **given: object) -> list[str]:
    return [item.message for item in rules.check(parse(text), **given)]  # type: ignore[arg-type]


def test_all_of_buildkits_rules_are_there():
    assert {rule.name for rule in rules.RULES} == NAMES
    assert all(rule.description for rule in rules.RULES)


CASES = [
    # Nothing to say.
    ('FROM alpine:3.19\nWORKDIR /app\nRUN echo $anything\nCMD ["x"]\n', []),
    ("from alpine\nrun x\n", []),
    # Casing.
    ("FROM a AS Base\n", ["StageNameCasing:1"]),
    ("FROM a as base\n", ["FromAsCasing:1"]),
    ("from a AS base\n", ["FromAsCasing:1"]),
    ("from a as base\n", []),
    ("From a As base\nRUN x\n", ["ConsistentInstructionCasing:1"]),
    ("FROM a\nrun x\nRUN y\n", ["ConsistentInstructionCasing:2"]),
    ("from a\nrun x\nRUN y\n", ["ConsistentInstructionCasing:3"]),
    ("FROM a\nrun x\n", ["ConsistentInstructionCasing:2"]),
    ("FROM a\nRun x\n", ["ConsistentInstructionCasing:2"]),
    ("arg X\nFROM a\nRUN y\n", []),
    # Names.
    ("FROM a AS x\nFROM b AS x\nFROM c AS X\n", ["DuplicateStageName:2", "DuplicateStageName:3", "StageNameCasing:3"]),
    ("FROM a AS scratch\n", ["ReservedStageName:1"]),
    ("FROM a AS context\n", ["ReservedStageName:1"]),
    # Forms.
    ("FROM a\nRUN x \\\n\n  y\n", ["NoEmptyContinuation:4"]),
    ("FROM a\nRUN x \\\n\n  y \\\n\n  z\n", ["NoEmptyContinuation:6"]),
    ("FROM a\nRUN x \\\n#\n  y\n", []),
    ("FROM a\nCMD x\n", ["JSONArgsRecommended:2"]),
    ("FROM a\nENTRYPOINT x\n", ["JSONArgsRecommended:2"]),
    ('FROM a\nSHELL ["/bin/x"]\nCMD x\n', []),
    ('FROM a\nCMD x\nSHELL ["/bin/x"]\n', ["JSONArgsRecommended:2"]),
    ('FROM a AS b\nSHELL ["/bin/x"]\nFROM b\nENTRYPOINT x\n', []),
    ("FROM a\nHEALTHCHECK CMD x\nRUN x\n", []),
    ("FROM a\nMAINTAINER me\n", ["MaintainerDeprecated:2"]),
    ('FROM a\nCMD ["a"]\nCMD ["b"]\n', ["MultipleInstructionsDisallowed:2"]),
    ('FROM a\nCMD ["a"]\nCMD ["b"]\nCMD ["c"]\n', ["MultipleInstructionsDisallowed:2", "MultipleInstructionsDisallowed:3"]),
    ('FROM a\nENTRYPOINT ["a"]\nHEALTHCHECK NONE\nENTRYPOINT ["b"]\nHEALTHCHECK NONE\n',
     ["MultipleInstructionsDisallowed:2", "MultipleInstructionsDisallowed:3"]),
    ('FROM a AS b\nCMD ["a"]\nFROM b\nCMD ["b"]\n', []),
    ("FROM a\nENV k v\n", ["LegacyKeyValueFormat:2"]),
    ("FROM a\nLABEL k v w\n", ["LegacyKeyValueFormat:2"]),
    ("FROM a\nENV k=v\n", []),
    # FROM.
    ("ARG TAG=1\nFROM a:$TAGG\n", ["InvalidDefaultArgInFrom:2", "UndefinedArgInFrom:2"]),
    ("FROM a:${TAG:-1}\n", []),
    ("FROM --platform=$BUILDPLATFORM a:$TARGETARCH\n", []),
    ("ARG T\nFROM a:$T\n", ["InvalidDefaultArgInFrom:2"]),
    ("ARG T\nFROM $T\n", ["InvalidDefaultArgInFrom:2"]),
    ("ARG T\nFROM a$T\n", []),
    ("ARG T=Bad\nFROM $T\n", ["InvalidDefaultArgInFrom:2"]),
    ("FROM --platform=$TARGETPLATFORM a\n", ["RedundantTargetPlatform:1"]),
    ("FROM --platform=${TARGETPLATFORM} a\n", ["RedundantTargetPlatform:1"]),
    ("FROM --platform=$BUILDPLATFORM a\n", []),
    ("FROM --platform=$TARGETOS/$TARGETARCH a\n", []),
    ("FROM --platform=linux/amd64 a AS b\n", ["FromPlatformFlagConstDisallowed:1"]),
    ("FROM --platform=linux/amd64 a AS build_amd64\n", []),
    ("FROM --platform=linux/amd64 a AS linux\n", []),
    ("FROM --platform=nonsense a\n", []),
    # Variables.
    ("FROM scratch\nCOPY $foo .\n", ["UndefinedVar:2"]),
    ("FROM scratch\nARG foo\nCOPY $foo .\n", []),
    ("ARG foo=1\nFROM scratch\nCOPY $foo .\n", ["UndefinedVar:3"]),
    ("ARG foo=1\nFROM scratch\nARG foo\nCOPY $foo .\n", []),
    ("FROM scratch\nENV foo=1\nCOPY $foo .\n", []),
    ("FROM scratch\nENV foo=1 bar=$foo\n", ["UndefinedVar:2"]),
    ("FROM scratch\nARG foo=1 bar=$foo\n", []),
    ("FROM scratch\nARG bar=$foo foo=1\n", ["UndefinedVar:2"]),
    ("FROM scratch\nCOPY ${foo:-x} ${bar+y} .\n", []),
    ('FROM scratch\nRUN echo $foo\nCMD ["$foo"]\nENTRYPOINT ["$foo"]\n', []),
    ("FROM scratch\nENV PATH=/x:$PATH\n", []),
    ("FROM scratch\nENV x=$TARGETARCH\n", ["UndefinedVar:2"]),
    ("FROM scratch\nARG TARGETARCH\nENV x=$TARGETARCH\n", []),
    ("FROM scratch AS a\nARG foo=1\nFROM a\nCOPY $foo .\n", []),
    ("FROM scratch AS a\nARG foo=1\nFROM scratch\nCOPY $foo .\n", ["UndefinedVar:4"]),
    ("FROM scratch\nUSER $a\nWORKDIR /$b\nVOLUME $c\nEXPOSE $d\nSTOPSIGNAL $e\nLABEL $f=$g\nADD --chown=$h $i /$j\n",
     ["UndefinedVar:2", "UndefinedVar:3", "UndefinedVar:4", "UndefinedVar:5", "UndefinedVar:6", "UndefinedVar:7",
      "UndefinedVar:7", "UndefinedVar:8", "UndefinedVar:8", "UndefinedVar:8"]),
    ("FROM scratch\nRUN --mount=type=bind,target=/$x true\n", ["UndefinedVar:2"]),
    ("FROM scratch\nCOPY <<EOF /x\na\n$b\nEOF\n", ["UndefinedVar:4"]),
    ("FROM scratch\nCOPY <<'EOF' /x\n$b\nEOF\n", []),
    ("FROM scratch\nENV x='$y'\n", []),
    ("FROM scratch\nCOPY \\$y /x\n", []),
    ("FROM scratch\nCOPY $y$y $y /x\n", ["UndefinedVar:2", "UndefinedVar:2"]),
    ("FROM a\nARG TOKEN\n", ["SecretsUsedInArgOrEnv:2"]),
    ("FROM a\nENV DB_PASSWORD=x MY_TOKEN_FILE=y SSH_KEY=z\n", ["SecretsUsedInArgOrEnv:2", "SecretsUsedInArgOrEnv:2"]),
    ("FROM a\nENV PUBLIC_KEY=x KEYBOARD=y TOKENS=z APIKEY_VERSION=1 authority=a\n", []),
    ("FROM a\nARG apikey auth credential Credentials key pword PASSWD secret_message\n", ["SecretsUsedInArgOrEnv:2"] * 8),
    ("ARG TOKEN\nFROM a\n", []),
    # Paths.
    ("FROM a\nWORKDIR x\n", ["WorkdirRelativePath:2"]),
    ("FROM a\nWORKDIR /x\nWORKDIR y\n", []),
    ("FROM a\nWORKDIR x\nWORKDIR y\n", ["WorkdirRelativePath:2"]),
    ("FROM a AS b\nWORKDIR /x\nFROM b\nWORKDIR y\n", []),
    ("FROM a AS b\nWORKDIR /x\nFROM a\nWORKDIR y\n", ["WorkdirRelativePath:4"]),
    ("FROM a\nENV d=/x\nWORKDIR $d\n", []),
    # EXPOSE.
    ("FROM a\nEXPOSE 80/TCP 81/udp\n", ["ExposeProtoCasing:2"]),
    ("FROM a\nEXPOSE 127.0.0.1:80:80 81:81 5432\n", ["ExposeInvalidFormat:2", "ExposeInvalidFormat:2"]),
    ('FROM a\nENV P="80/Udp 81"\nEXPOSE $P\n', ["ExposeProtoCasing:3"]),
    ("FROM a\nEXPOSE http\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_rules_speak_up_where_they_should(text, expected):
    assert expected == found(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a AS Base\n", "Stage name 'Base' should be lowercase"),
        ("FROM a as base\n", "'as' and 'FROM' keywords' casing do not match"),
        ("FROM a\nrun x\nRUN y\n", "Command 'run' should match the case of the command majority (uppercase)"),
        ("FROM a AS x\nFROM a AS x\n", 'Duplicate stage name "x", stage names should be unique'),
        ("FROM a AS scratch\n", 'Stage name should not use the same name as reserved stage "scratch"'),
        ("FROM a\nCMD x\n", "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
        ("FROM a\nMAINTAINER x\n", "Maintainer instruction is deprecated in favor of using label"),
        ("ARG TAG\nFROM a:1$TAGG\n", "FROM argument 'TAGG' is not declared (did you mean TAG?)"),
        ("FROM scratch\nENV a=$PAHT\n", "Usage of undefined variable '$PAHT' (did you mean $PATH?)"),
        ("FROM scratch\nENV a=$xyz\n", "Usage of undefined variable '$xyz'"),
        ("FROM a\nWORKDIR x\n", 'Relative workdir "x" can have unexpected results if the base image changes'),
        ("FROM a\nENV a b\n", '"ENV key=value" should be used instead of legacy "ENV key value" format'),
        ("FROM a\nRUN x \\\n\ny\n", "Empty continuation line"),
        ("FROM --platform=linux/arm64 a\n", 'FROM --platform flag should not use constant value "linux/arm64"'),
        ("FROM --platform=$TARGETPLATFORM a\n",
         "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"),
        ("FROM a\nARG TOKEN\n", 'Do not use ARG or ENV instructions for sensitive data (ARG "TOKEN")'),
        ("ARG X\nFROM $X\n", "Default value for ARG $X results in empty or invalid base image name"),
        ("FROM a\nEXPOSE 80/TCP\n", "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"),
        ("FROM a\nEXPOSE 80:80\n",
         "EXPOSE instruction should not define an IP address or host-port mapping, found '80:80'"),
        ('FROM a\nCMD ["x"]\nCMD ["y"]\n',
         ("Multiple CMD instructions should not be used in the same stage because only the last one "
          "will be used")),
        ("# check=experimental=all\n# wrong\nFROM a AS b\n", "Comment for FROM should follow the format: `# b <description>`"),
    ],
)  # fmt: skip
def test_messages_are_buildkits(text, expected):
    assert [expected] == messages(text)


@pytest.mark.parametrize(
    ("ignore", "instruction", "expected"),
    [
        ("a", "COPY a /x", 1),
        ("a", "ADD a /x", 1),
        ("a", "COPY ./a/ /x", 1),
        ("a", "COPY /a /x", 1),
        ("a", "COPY a/b /x", 1),
        ("a", "COPY b /x", 0),
        ("a", "COPY --from=z a /x", 0),
        ("a", "COPY . /x", 0),
        ("a", "ADD https://h/a /x", 0),
        ("*.log", "COPY x.log *.log /x", 2),
        ("*", "COPY . /x", 1),
        ("**", "COPY / /x", 1),
        ("*\n!a", "COPY . b /x", 0),
        ("", "COPY a /x", 0),
    ],
)
def test_sources_hidden_by_the_ignore_file(ignore, instruction, expected):
    text = f"FROM scratch\n{instruction}\n"
    assert ["CopyIgnoredFile:2"] * expected == found(text, ignore=parse_ignore(ignore))


def test_the_ignored_file_is_named():
    assert messages("FROM scratch\nADD a/./b /x\n", ignore=parse_ignore("a")) == [
        'Attempting to Add file "a/b" that is excluded by .dockerignore'
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# check=skip=all\nFROM a AS B\nMAINTAINER x\n", []),
        ("# check=skip=MaintainerDeprecated\nFROM a AS B\nMAINTAINER x\n", ["StageNameCasing:2"]),
        ("# check=skip=MaintainerDeprecated,StageNameCasing\nFROM a AS B\nMAINTAINER x\n", []),
        ("FROM a AS B\n# check=skip=MaintainerDeprecated\nMAINTAINER x\nCMD x\n", ["StageNameCasing:1", "JSONArgsRecommended:4"]),
        ("FROM a\n# check=skip=all\nCMD x\nCMD y\n", ["JSONArgsRecommended:4"]),
        ("# note\n# check=skip=StageNameCasing\nFROM a AS B\n", []),
        ("# check=experimental=InvalidDefinitionDescription\n# wrong\nARG a\nFROM b\n", ["InvalidDefinitionDescription:3"]),
        ("# check=experimental=all\n# a right\nARG a\n# wrong\n#\nFROM b AS c\n", []),
        ("# check=experimental=all\n# x\nARG a b\nFROM b\n", ["InvalidDefinitionDescription:3"]),
        ("# wrong\nARG a\nFROM b\n", []),
    ],
)  # fmt: skip
def test_check_comments_switch_rules(text, expected):
    assert expected == found(text)


def test_given_options_stand_in_for_the_files():
    text = "# check=skip=all\nFROM a AS B\n"
    assert found(text, options="") == ["StageNameCasing:2"]
    assert found("FROM a AS B\n", options="skip=StageNameCasing") == []


def test_findings_fail_the_build_when_the_file_says_so():
    strict = parse("# check=error=true\nFROM a AS B\nMAINTAINER x\nMAINTAINER y\n")
    problem = rules.failure(strict, rules.check(strict))
    assert problem
    assert problem.message == "lint violation found for rules: StageNameCasing, MaintainerDeprecated"
    assert rules.failure(strict, ()) is None
    lax = parse("FROM a AS B\n")
    assert rules.failure(lax, rules.check(lax)) is None


def test_the_base_image_is_asked():
    images = {"python:3": BaseImage({"PYTHON_VERSION": "3.12"}, "linux/arm64", has_shell=True)}
    text = "FROM python:3\nENV V=$PYTHON_VERSION W=$PYTHON_VERSON\nCMD x\n"
    problems = rules.check(parse(text), find_image=images.get)
    assert [problem.code for problem in problems] == ["InvalidBaseImagePlatform", "UndefinedVar"]
    assert (
        problems[0].message
        == 'Base image python:3 was pulled with platform "linux/arm64", expected "linux/amd64" for current build'
    )
    assert problems[1].message == "Usage of undefined variable '$PYTHON_VERSON' (did you mean $PYTHON_VERSION?)"
    assert "base image" not in (problems[1].hint or "")
    (unknown,) = rules.check(parse("FROM python:3\nENV V=$PYTHON_VERSION\n"))
    assert unknown.hint
    assert "unless the base image sets it" in unknown.hint


def test_build_arguments_count_as_defined():
    text = "ARG I=Bad\nFROM scratch\nARG X=$Y\nENV Z=$X\n"
    assert found(text) == ["UndefinedVar:3"]
    assert found(text, build_args={"X": "1"}) == []


def test_findings_point_at_the_token():
    text = "FROM scratch\nENV a=1 \\\n    b=x$zz\n"
    (problem,) = rules.check(parse(text))
    assert (problem.span.start.line, problem.span.start.column, problem.span.end.column) == (2, 8, 10)
    (stage,) = rules.check(parse("FROM a AS Base\n"))
    assert (stage.span.start.column, stage.span.end.column, stage.replacement) == (10, 14, "base")
