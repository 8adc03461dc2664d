"""What is wrong with a Dockerfile or its context is told before anything is lost, with its place and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from building import BASE, HOST, Lab, failed

from orlop.builder import events
from orlop.core import errors
from orlop.core.job import Job


def test_all_problems_of_a_dockerfile_are_told_at_once(lab: Lab) -> None:
    error = failed(lab, "FROM base\nFNTRYPOINT x\nRUN --mont=a b\nCOPY a", dockerfile=Path("Dockerfile.x"))
    assert isinstance(error, errors.InvalidDockerfile)
    assert (
        error.message == "dockerfile parse error on line 2: unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)"
    )
    assert error.detail is not None
    assert "Dockerfile.x:3: unknown flag: --mont (did you mean mount?)" in error.detail
    assert "COPY requires at least two arguments" in error.detail
    assert str(error.location) == "Dockerfile.x:2"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "the Dockerfile cannot be empty", 1),
        ("# nothing", "file with no instructions", 1),
        ("ARG A=1", "dockerfile contains no stages to build", 1),
        ("RUN x", "dockerfile parse error on line 1: no build stage in current context", 1),
        ("FROM a b", "dockerfile parse error on line 1: FROM requires either one or three arguments", 1),
        ("FROM base\nWORKDIR", "dockerfile parse error on line 2: WORKDIR requires exactly one argument", 2),
        ("FROM base\nENV a", "dockerfile parse error on line 2: ENV must have two arguments", 2),
        ("FROM base\nENV a=1 B", 'dockerfile parse error on line 2: Syntax error - can\'t find = in "B". Must be of the form: name=value', 2),
        ("FROM base\nHEALTHCHECK RUN x", 'dockerfile parse error on line 2: Unknown type "RUN" in HEALTHCHECK (try CMD)', 2),
        ("FROM base\nSHELL bash", "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form", 2),
        ("FROM base\nRUN <<E\nx", "dockerfile parse error on line 2: unterminated heredoc", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_parsed_is_told_as_buildkit_does(lab: Lab, text: str, message: str, line: int) -> None:
    error = failed(lab, text)
    assert isinstance(error, errors.InvalidDockerfile)
    assert error.message == message
    assert error.location is not None
    assert error.location.line + 1 == line


def test_a_missing_source_is_told_before_anything_runs(lab: Lab) -> None:
    lab.write({"src/main.py": ""})
    error = failed(lab, "FROM base\nRUN true\nCOPY src/man.py /x")
    assert isinstance(error, errors.BuildFailed)
    assert error.message == 'failed to compute cache key: "/src/man.py": not found'
    assert error.hint is not None
    assert "src/main.py" in error.hint
    assert error.location is not None
    assert error.location.line == 2
    assert lab.ran() == ".."


def test_a_source_that_the_ignore_file_hides_names_the_line(lab: Lab) -> None:
    lab.write({"build/out": "", ".dockerignore": "# comment\n\nbuild\n"})
    error = failed(lab, "FROM base\nCOPY build/out /x")
    assert error.message == 'failed to compute cache key: "/build/out": not found (excluded by .dockerignore:3: build)'
    assert "CopyIgnoredFile" in [event.code for event in lab.events if isinstance(event, events.BuildWarning)]


def test_a_source_outside_of_the_context_is_taken_inside(lab: Lab) -> None:
    (lab.context.parent / "outside").write_text("secret")
    error = failed(lab, "FROM base\nCOPY ../outside /x")
    assert error.message == 'failed to compute cache key: "/outside": not found'
    (lab.context / "link").symlink_to(lab.context.parent / "outside")
    assert "not found" in failed(lab, "FROM base\nCOPY link /x").message


def test_a_missing_source_in_a_stage_has_the_place_of_the_copy(lab: Lab) -> None:
    error = failed(lab, "FROM base AS a\nFROM base\nCOPY --from=a /nothere /x")
    assert isinstance(error, errors.BuildFailed)
    assert '"/nothere": not found' in error.message
    assert error.location is not None
    assert error.location.line == 2
    assert '"/x": not found' in failed(lab, "FROM scratch AS a\nFROM base\nCOPY --from=a /x /x").message


def test_an_unreadable_file_is_named(lab: Lab) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    lab.write({"private": "x"})
    os.chmod(lab.context / "private", 0)
    error = failed(lab, "FROM base\nCOPY private /x")
    assert "private" in error.message
    assert "permission denied" in error.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM base\nRUN mkdir /d && touch /f\nCOPY dir /f", "cannot copy to non-directory"),
        ("FROM base\nRUN mkdir -p /d/x\nCOPY x /d/", "cannot replace to directory"),
    ],
)
def test_targets_of_the_wrong_kind_are_refused(lab: Lab, text: str, message: str) -> None:
    lab.write({"dir/a": "", "x": ""})
    error = failed(lab, text)
    assert isinstance(error, errors.BuildFailed)
    assert message in error.message
    assert error.location is not None
    assert error.location.line == 2


def test_a_missing_base_image_has_near_names(lab: Lab) -> None:
    error = failed(lab, "FROM bsae")
    assert isinstance(error, errors.ImageNotFound)
    assert "docker.io/library/bsae:latest" in error.message
    assert error.hint is not None
    assert error.location is not None


def test_an_image_that_is_not_here_is_pulled_where_that_is_possible(lab: Lab) -> None:
    from orlop.builder.build import BuildRequest, BuildServices, build

    asked: list[str] = []

    def pull(name, platform, job):  # type: ignore[no-untyped-def]
        asked.append(f"{name} {platform}")
        lab.store.images.tag(name, lab.store.images.find(str(BASE)).id)
        return lab.store.images.find(str(name))

    request = BuildRequest(context=lab.context, dockerfile_text="FROM example.com/other:1\nRUN true")
    services = BuildServices(store=lab.store, workshop=lab.workshop, host=HOST, pull=pull)
    build(request, services, Job())
    assert asked == [f"example.com/other:1 {HOST}"]
    build(request, services, Job())
    assert len(asked) == 1


def test_a_bad_ignore_file_is_told_with_its_line(lab: Lab) -> None:
    lab.write({".dockerignore": "a\n!\n"})
    error = failed(lab, "FROM base\nCOPY . /x")
    assert error.message == 'illegal exclusion pattern: "!"'
    assert str(error.location).endswith(".dockerignore:2")


def test_a_bad_network_mode_is_refused(lab: Lab) -> None:
    assert failed(lab, "FROM base\nRUN true", network="bridge").message == 'invalid network mode "bridge"'


def test_a_missing_dockerfile_is_told(lab: Lab) -> None:
    from orlop.builder.build import BuildRequest, BuildServices, build

    services = BuildServices(store=lab.store, workshop=lab.workshop, host=HOST)
    with pytest.raises(errors.NotFound):
        build(BuildRequest(context=lab.context), services, Job())
    with pytest.raises(errors.NotFound):
        build(BuildRequest(context=lab.context, dockerfile=lab.context / "nope"), services, Job())
    lab.write({"Containerfile": "FROM base\nLABEL a=b"})
    assert build(BuildRequest(context=lab.context), services, Job()).image.config.config.labels == {"a": "b"}
