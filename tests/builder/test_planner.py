from __future__ import annotations

import pytest
from planning import PATH, plan

from orlop.builder.operations import CopyOp, ImageOrigin, RunOp, StageOrigin, WorkdirOp
from orlop.core import errors


def run_of(text: str, **options: object) -> RunOp:
    """The last RUN of the target."""
    steps = plan(text, **options).final.steps  # type: ignore[arg-type]
    return [step.operation for step in steps if isinstance(step.operation, RunOp)][-1]


def copy_of(text: str) -> CopyOp:
    operation = plan(text).final.steps[-1].operation
    assert isinstance(operation, CopyOp)
    return operation


def environment(text: str, **options: object) -> dict[str, str]:
    pairs = (item.partition("=") for item in run_of(text, **options).environment)
    return {name: value for name, _, value in pairs if name not in ("PATH", "LANG")}


def history(text: str, **options: object) -> list[str]:
    return [line.created_by for line in plan(text, **options).final.history]  # type: ignore[arg-type]


def refused(text: str, **options: object) -> errors.OrlopError:
    with pytest.raises(errors.OrlopError) as caught:
        plan(text, **options)  # type: ignore[arg-type]
    return caught.value


# --- ARG and ENV


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        ("FROM base\nARG a\nRUN x", {}, {}),
        ("FROM base\nARG a=\nRUN x", {}, {"a": ""}),
        ("FROM base\nARG a=1\nRUN x", {}, {"a": "1"}),
        ("FROM base\nARG a=1\nRUN x", {"a": "2"}, {"a": "2"}),
        ("FROM base\nRUN x", {"a": "2"}, {}),
        ("ARG a=g\nFROM base\nRUN x", {}, {}),
        ("ARG a=g\nFROM base\nARG a\nRUN x", {}, {"a": "g"}),
        ("ARG a=g\nFROM base\nARG a=s\nRUN x", {}, {"a": "s"}),
        ("ARG a=g\nFROM base\nARG a\nRUN x", {"a": "2"}, {"a": "2"}),
        ("ARG a=g b=${a}h\nFROM base\nARG b\nRUN x", {}, {"b": "gh"}),
        ("FROM base\nARG a=1 b=${a}x\nRUN x", {}, {"a": "1", "b": "1x"}),
        ("FROM base\nENV a=env\nARG a=arg\nRUN x", {}, {"a": "arg"}),
        ("FROM base\nARG a=arg\nENV a=env\nRUN x", {}, {"a": "env"}),
        ("FROM base\nENV a=env\nARG a\nRUN x", {}, {"a": "env"}),
        ("FROM base\nENV a=1\nENV a=2 b=$a\nRUN x", {}, {"a": "2", "b": "1"}),
        ("FROM base AS one\nARG a=1\nFROM one\nRUN x", {}, {"a": "1"}),
        ("FROM base AS one\nARG a=1\nFROM base\nRUN x", {}, {}),
        ("FROM base\nARG TARGETARCH\nRUN x", {}, {"TARGETARCH": "amd64"}),
        ("FROM base\nARG TARGETARCH\nRUN x", {"TARGETARCH": "z80"}, {"TARGETARCH": "z80"}),
        ("FROM base\nARG BUILDPLATFORM\nRUN x", {}, {"BUILDPLATFORM": "linux/amd64"}),
        ("FROM base AS web\nARG TARGETSTAGE\nRUN x", {}, {"TARGETSTAGE": "web"}),
        ("FROM base\nARG TARGETSTAGE\nRUN x", {}, {"TARGETSTAGE": "default"}),
        ("FROM base\nRUN x\nARG a=1", {}, {}),
    ],
)
def test_run_sees_what_args_and_env_say(text: str, args: dict[str, str], expected: dict[str, str]) -> None:
    assert environment(text, args=args) == expected


def test_a_later_definition_moves_to_the_end_of_the_environment_but_not_of_the_configuration() -> None:
    text = "FROM scratch\nENV a=1 b=2\nENV a=3\nRUN x"
    assert run_of(text).environment == (PATH, "b=2", "a=3")
    assert plan(text).final.config.env == (PATH, "a=3", "b=2")


def test_an_arg_shadows_env_for_the_run_and_leaves_the_configuration_alone() -> None:
    text = "FROM scratch\nENV a=env\nARG a=arg\nRUN echo $a\nLABEL l=$a"
    assert run_of(text).environment == (PATH, "a=arg")
    assert plan(text).final.config.env == (PATH, "a=env")
    assert plan(text).final.config.labels == {"l": "arg"}


def test_proxies_reach_every_run_unless_declared() -> None:
    given = {"HTTP_PROXY": "http://p", "unrelated": "x"}
    assert run_of("FROM base\nRUN x", proxies=given).proxies == {"HTTP_PROXY": "http://p"}
    assert run_of("FROM base\nRUN x", args={"http_proxy": "http://q"}).proxies == {"http_proxy": "http://q"}
    declared = run_of("FROM base\nARG HTTP_PROXY\nRUN x", args={"HTTP_PROXY": "http://q"})
    assert declared.proxies == {}
    assert "HTTP_PROXY=http://q" in declared.environment


def test_build_args_that_nothing_takes_are_told() -> None:
    text = "ARG g\nFROM base AS a\nARG s\nFROM base AS b\nARG t"
    args = {"g": "1", "s": "1", "t": "1", "u": "1", "HTTP_PROXY": "1", "TARGETOS": "x", "BUILDKIT_INLINE_CACHE": "1"}
    assert plan(text, args=args, target="b").unused_args == ("s", "u")


# --- stages


def test_only_stages_the_target_needs_are_planned() -> None:
    text = "FROM base AS a\nRUN a\nFROM base AS b\nRUN b\nFROM scratch AS c\nCOPY --from=a x y\nFROM c AS d\nRUN d"
    assert sorted(plan(text).stages) == [0, 2, 3]
    assert sorted(plan(text, target="b").stages) == [1]
    assert sorted(plan(text, target="C").stages) == [0, 2]


def test_a_stage_may_shadow_an_image_and_the_last_of_two_equal_names_wins() -> None:
    text = "FROM scratch AS base\nENV v=1\nFROM scratch AS BASE\nENV v=2\nFROM base\nRUN x"
    assert environment(text) == {"v": "2"}


def test_copy_from_takes_a_stage_by_name_or_number_or_an_image() -> None:
    assert copy_of("FROM base AS Foo\nFROM scratch\nCOPY --from=FOO a b").origin == StageOrigin(0)
    assert copy_of("FROM base\nFROM scratch\nCOPY --from=0 a b").origin == StageOrigin(0)
    origin = copy_of("FROM scratch\nCOPY --from=base a b").origin
    assert isinstance(origin, ImageOrigin)
    assert str(origin.reference) == "docker.io/library/base:latest"


def test_steps_are_named_as_buildkit_names_them() -> None:
    text = "FROM base AS one\nRUN a\nFROM base\nWORKDIR /x\nCOPY --from=one \\\n  a b\nENV x=1"
    assert [step.name for step in plan(text).steps()] == [
        "[one 1/2] FROM docker.io/library/base:latest",
        "[one 2/2] RUN a",
        "[stage-1 1/3] FROM docker.io/library/base:latest",
        "[stage-1 2/3] WORKDIR /x",
        "[stage-1 3/3] COPY --from=one   a b",
    ]
    assert [step.name for step in plan("FROM scratch\nCOPY a b").steps()] == ["[1/1] COPY a b"]
    assert [step.line for step in plan(text).steps()] == [1, 2, 3, 4, 5]


def test_triggers_of_an_image_fire_first_and_bring_new_stages() -> None:
    text = "FROM scratch AS other\nCOPY x /a\nFROM base AS unused\nRUN u\nFROM trigger\nARG X=1\nRUN last"
    made = plan(text)
    assert sorted(made.stages) == [0, 2]
    assert [line.created_by for line in made.final.history] == [
        "COPY /a /b # buildkit",
        "RUN /bin/sh -c echo $X # buildkit",
        "ENV TRIGGERED=yes",
        "ARG X=1",
        "RUN |1 X=1 /bin/sh -c last # buildkit",
    ]
    assert made.final.config.on_build == ()


def test_triggers_of_a_stage_fire_in_the_stages_built_from_it() -> None:
    text = "FROM base AS parent\nONBUILD RUN echo $a\nONBUILD ENV a=1\nFROM parent AS child\nFROM child"
    made = plan(text)
    assert [line.created_by for line in made.stages[1].history] == ["RUN /bin/sh -c echo $a # buildkit", "ENV a=1"]
    assert made.stages[2].history == ()
    assert plan(text, target="parent").final.config.on_build == ("RUN echo $a", "ENV a=1")


# --- configuration


def test_scratch_has_a_path_and_a_working_directory() -> None:
    config = plan("FROM scratch\nLABEL a=b").final.config
    assert config.env == (PATH,)
    assert config.working_dir == "/"


def test_a_base_without_path_gets_one() -> None:
    assert plan("FROM bare").final.config.env == (PATH,)


@pytest.mark.parametrize(
    ("text", "command", "entrypoint"),
    [
        ("FROM base", ("sh",), None),
        ('FROM base\nENTRYPOINT ["e"]', None, ("e",)),
        ('FROM base\nCMD ["c"]\nENTRYPOINT ["e"]', ("c",), ("e",)),
        ("FROM base\nENTRYPOINT e x\nCMD c y", ("/bin/sh", "-c", "c y"), ("/bin/sh", "-c", "e x")),
        ('FROM base\nSHELL ["/bin/bash","-lc"]\nCMD c', ("/bin/bash", "-lc", "c"), None),
        ("FROM base\nCMD []", (), None),
        ('FROM base AS a\nCMD c\nFROM a\nENTRYPOINT ["e"]', None, ("e",)),
    ],
)
def test_command_and_entry_point(
    text: str, command: tuple[str, ...] | None, entrypoint: tuple[str, ...] | None
) -> None:
    config = plan(text).final.config
    assert (config.command, config.entrypoint) == (command, entrypoint)


@pytest.mark.parametrize(
    ("text", "working_dir", "made"),
    [
        ("FROM scratch\nWORKDIR a", "/a", "/a"),
        ("FROM scratch\nWORKDIR /a/", "/a/", "/a"),
        ("FROM scratch\nWORKDIR /e//f/", "/e//f/", "/e/f"),
        ("FROM base\nWORKDIR b/../c", "/w/c", "/w/c"),
        ("FROM base\nENV d=/x\nWORKDIR $d/y", "/x/y", "/x/y"),
    ],
)
def test_workdir_is_kept_as_written_when_absolute(text: str, working_dir: str, made: str) -> None:
    final = plan(text).final
    assert final.config.working_dir == working_dir
    operation = final.steps[-1].operation
    assert isinstance(operation, WorkdirOp)
    assert operation.path == made
    assert final.history[-1].created_by == f"WORKDIR {working_dir}"


def test_workdir_is_made_by_the_user_of_the_moment() -> None:
    operation = plan("FROM base\nWORKDIR /x\nUSER root").final.steps[0].operation
    assert operation == WorkdirOp("/x", "app")


def test_workdir_root_makes_no_layer() -> None:
    final = plan("FROM base\nWORKDIR /").final
    assert final.steps == ()
    assert [(line.created_by, line.has_layer) for line in final.history] == [("WORKDIR /", False)]


def test_labels_of_the_request_are_kept_apart_from_those_of_the_file() -> None:
    made = plan('FROM base\nLABEL a=1 b="x y"', labels={"a": "2"})
    assert made.final.config.labels == {"a": "1", "b": "x y"}
    assert made.labels == {"a": "2"}


def test_healthcheck_forms() -> None:
    check = plan('FROM base\nHEALTHCHECK --interval=5m --timeout=3s --retries=2 CMD ["a","b"]').final.config.healthcheck
    assert check is not None
    assert (check.test, check.interval, check.timeout, check.retries) == (("CMD", "a", "b"), 300 * 10**9, 3 * 10**9, 2)
    check = plan("FROM base\nHEALTHCHECK NONE").final.config.healthcheck
    assert check is not None
    assert check.test == ("NONE",)


# --- history (BuildKit's current strings)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("RUN echo  hi", "RUN /bin/sh -c echo  hi # buildkit"),
        ('RUN ["ls", "-la"]', "RUN ls -la # buildkit"),
        ("ARG a=1\nARG b\nRUN x", "RUN |2 a=1 b= /bin/sh -c x # buildkit"),
        ("ARG a=1\nENV a=2\nRUN x", "RUN |1 a=2 /bin/sh -c x # buildkit"),
        ("COPY --chown=1:2 --chmod=755 ./a b /c/", "COPY --chown=1:2 --chmod=755 ./a b /c/ # buildkit"),
        ("ENV s=src\nCOPY $s /d", "COPY src /d # buildkit"),
        ("COPY <<A <<B /d/\n1\nA\n2\nB", "COPY <<A <<B /d/ # buildkit"),
        ("ADD a.tar /d/", "ADD a.tar /d/ # buildkit"),
        ("WORKDIR /x", "WORKDIR /x"),
        ('ENV a=b c="d e"', "ENV a=b c=d e"),
        ("LABEL k=v k2=v2", "LABEL k=v k2=v2"),
        ('CMD ["a", "b c"]', 'CMD ["a" "b c"]'),
        ("CMD a 'b'", 'CMD ["/bin/sh" "-c" "a \'b\'"]'),
        ('ENTRYPOINT ["a"]', 'ENTRYPOINT ["a"]'),
        ("EXPOSE 80 53/UDP", "EXPOSE [53/udp 80/tcp]"),
        ("EXPOSE 1-3", "EXPOSE [1/tcp 2/tcp 3/tcp]"),
        ("VOLUME /v /w", "VOLUME [/v /w]"),
        ("USER a:b", "USER a:b"),
        ('SHELL ["/bin/bash", "-c"]', "SHELL [/bin/bash -c]"),
        ("STOPSIGNAL SIGINT", "STOPSIGNAL SIGINT"),
        ("MAINTAINER me <me@example.com>", "MAINTAINER me <me@example.com>"),
        ("ARG x=1", "ARG x=1"),
        ("ARG x", "ARG x"),
        ("HEALTHCHECK --interval=5m CMD a", 'HEALTHCHECK &{["CMD-SHELL" "a"] "5m0s" "0s" "0s" "0s" \'\\x00\'}'),
        ("HEALTHCHECK NONE", 'HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'}'),
        ("RUN <<E\necho 1\necho 2\nE", "RUN /bin/sh -c echo 1\necho 2\n # buildkit"),
        ("RUN cat <<E >/x\n$a\nE", "RUN /bin/sh -c cat <<E >/x\n$a\nE # buildkit"),
    ],
)
def test_history_reads_as_buildkits(lines: str, expected: str) -> None:
    assert history(f"FROM scratch\n{lines}")[-1] == expected


def test_onbuild_leaves_no_history() -> None:
    assert history("FROM scratch\nONBUILD RUN x") == []


# --- RUN


def test_a_lone_heredoc_is_the_shells_script_and_variables_stay() -> None:
    assert run_of("FROM scratch\nENV a=1\nRUN <<-E\n\techo $a\nE").argv == ("/bin/sh", "-c", "echo $a\n")


def test_a_lone_heredoc_with_a_shebang_becomes_a_file() -> None:
    operation = run_of("FROM scratch\nRUN <<E\n#!/usr/bin/env python\nprint()\nE")
    assert operation.argv == ("/bin/sh", "-c", "/dev/pipes/E")
    assert operation.script is not None
    assert (operation.script.name, operation.script.data) == ("E", b"#!/usr/bin/env python\nprint()\n")


def test_other_heredocs_are_left_to_the_shell() -> None:
    assert run_of("FROM scratch\nRUN cat <<A <<-B\n1\nA\n\t2\n\tB").argv[-1] == "cat <<A <<-B\n1\nA\n\t2\nB"


@pytest.mark.parametrize(
    ("flag", "request_network", "expected"),
    [
        ("", "default", "default"),
        ("--network=none ", "default", "none"),
        ("", "none", "none"),
        ("--network=host ", "none", "host"),
    ],
)
def test_network_of_a_run(flag: str, request_network: str, expected: str) -> None:
    assert run_of(f"FROM scratch\nRUN {flag}x", network=request_network).network == expected


def test_hostname_of_a_run() -> None:
    assert run_of("FROM scratch\nRUN x").hostname == "buildkitsandbox"
    assert run_of("FROM scratch\nRUN x", args={"BUILDKIT_SANDBOX_HOSTNAME": "me"}).hostname == "me"


# --- COPY


@pytest.mark.parametrize(
    ("arguments", "sources", "destination"),
    [
        ("a b", ("a",), "/w/b"),
        ("./a /b", ("a",), "/b"),
        ("/a/ /b/", ("a",), "/b/"),
        ("../../a b/", ("a",), "/w/b/"),
        (". .", ("",), "/w/"),
        ('["", "/x"]', ("",), "/x"),
        ("a b c/.", ("a", "b"), "/w/c/"),
        ("a /", ("a",), "/"),
        ("a /b/../c", ("a",), "/c"),
        ('["with space", "/x y/"]', ("with space",), "/x y/"),
    ],
)
def test_sources_and_destinations_are_cleaned(arguments: str, sources: tuple[str, ...], destination: str) -> None:
    operation = copy_of(f"FROM base\nCOPY {arguments}")
    assert (operation.sources, operation.destination) == (sources, destination)


def test_heredoc_files_expand_unless_quoted() -> None:
    files = copy_of("FROM scratch\nENV a=1\nCOPY <<A <<'B' /d/\n$a \"q\"\nA\n$a\nB").inline
    assert [(file.name, file.data) for file in files] == [("A", b'1 "q"\n'), ("B", b"$a\n")]


def test_add_unpacks_unless_told_not_to() -> None:
    assert copy_of("FROM scratch\nADD a.tar /").unpack
    assert not copy_of("FROM scratch\nADD --unpack=false a.tar /").unpack
    assert not copy_of("FROM scratch\nCOPY a.tar /").unpack


# --- refusals and errors


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("FROM scratch\nRUN --mount=type=cache,target=/x y", "RUN --mount", 2),
        ("FROM scratch\nRUN --security=insecure y", "RUN --security=insecure", 2),
        ("FROM scratch\nCOPY --link a b", "COPY --link", 2),
        ("FROM scratch\nCOPY --parents a b", "COPY --parents", 2),
        ("FROM scratch\nADD https://example.com/x /x", "https://example.com/x", 2),
        ("FROM scratch\nADD git@example.com:a/b.git /x", "git@example.com:a/b.git", 2),
        ("FROM scratch\nENV u=http://example.com/x\n\nADD $u /x", "http://example.com/x", 4),
        ("FROM --platform=linux/s390x base", "linux/s390x", 1),
    ],
)
def test_what_cannot_be_done_yet_is_refused_by_name(text: str, message: str, line: int) -> None:
    error = refused(text)
    assert isinstance(error, errors.Unavailable)
    assert message in error.message
    assert "not supported yet" in error.message
    assert error.location is not None
    assert error.location.line + 1 == line
    assert error.hint


def test_what_an_unneeded_stage_asks_for_is_not_refused() -> None:
    assert sorted(plan("FROM base AS a\nRUN --mount=type=cache,target=/x y\nFROM base\nRUN z").stages) == [1]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("ARG X\nFROM $X", "base name ($X) should not be blank", 2),
        ("FROM Bad", 'failed to parse stage name "Bad": invalid reference format: repository name (library/Bad) must be lowercase', 1),
        ("FROM scratch\nWORKDIR ${V:?must be set}", 'failed to process "${V:?must be set}": V: must be set', 2),
        ("FROM scratch\n\nLABEL a=${x", "missing '}'", 3),
        ("FROM scratch\nCOPY --chmod=64a a b", "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777", 2),
        ("FROM scratch\nENV m=99999\nCOPY --chmod=$m a b", "invalid chmod parameter: '99999'", 3),
        ("FROM scratch\nEXPOSE http", "invalid containerPort: http", 2),
        ("FROM scratch\nENV S=FOO\nSTOPSIGNAL $S", "invalid signal: FOO", 3),
        ("FROM scratch\nCOPY --from=5 a b", "invalid stage index 5", 2),
        ("FROM scratch AS a\nCOPY --from=b x y\nFROM scratch AS b\nRUN x\nFROM a", 'cannot copy from stage "b", it needs to be defined before current stage "a"', 2),
        ("FROM scratch AS a\nCOPY --from=a x y", "circular dependency detected on stage: a", 2),
        ("FROM scratch AS a\nCOPY --from=b x y\nFROM scratch AS b\nCOPY --from=a x y", "circular dependency detected on stage:", 2),
        ("FROM scratch\nCOPY https://example.com/x y", "source can't be a URL for COPY", 2),
        ("FROM scratch\nENV v=\nVOLUME $v", "VOLUME specified can not be an empty string", 3),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_buildkits_words_with_their_line(text: str, message: str, line: int) -> None:
    error = refused(text)
    assert isinstance(error, errors.InvalidDockerfile)
    assert message in error.message
    assert error.location is not None
    assert error.location.line + 1 == line


def test_a_mistyped_target_is_told_with_the_name_that_was_meant() -> None:
    error = refused("FROM scratch AS build\nRUN x", target="bulid")
    assert error.message == 'target stage "bulid" could not be found (did you mean build?)'
    assert 'target stage "0" could not be found' in refused("FROM scratch", target="0").message


def test_a_missing_base_image_is_told_at_its_from() -> None:
    error = refused("FROM base AS a\nFROM nothere")
    assert isinstance(error, errors.ImageNotFound)
    assert error.location is not None
    assert error.location.line == 1


def test_a_bad_source_date_epoch_is_refused() -> None:
    assert refused("FROM scratch", args={"SOURCE_DATE_EPOCH": "soon"}).message == "invalid SOURCE_DATE_EPOCH: soon"
