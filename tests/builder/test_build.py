from __future__ import annotations

import os
import time

import pytest
from building import HOST, Lab, failed

from orlop.builder import events
from orlop.core import errors, imageconfig, reference
from orlop.core.descriptor import Manifest, parse_document
from orlop.core.job import Job
from orlop.core.mediatype import MediaType

# --- the image


def test_an_image_has_a_layer_for_each_step_and_its_names(lab: Lab) -> None:
    lab.write({"f": "content"})
    result = lab.build("FROM base\nENV a=1\nRUN true\nCOPY f /f\nWORKDIR /w\nADD f /g\nCMD x", tag="app:1")
    image = lab.store.images.find("app:1")
    assert image.id == result.image.id
    assert [item.created_by for item in image.config.history] == [
        "base",
        "ENV a=1",
        "RUN /bin/sh -c true # buildkit",
        "COPY f /f # buildkit",
        "WORKDIR /w",
        "ADD f /g # buildkit",
        'CMD ["/bin/sh" "-c" "x"]',
    ]
    assert len(image.layers) == 5 == len(image.config.diff_ids)
    assert [layer.size for layer in image.layers[1:]] == [0, 7, 0, 7]
    assert image.config.config.working_dir == "/w"
    assert image.parent == lab.store.images.find("base").id


def test_the_manifest_names_built_layers_by_their_plain_tar(lab: Lab) -> None:
    image = lab.build("FROM base\nRUN echo x >/x").image
    document = parse_document(lab.store.blobs.read(image.manifest.digest))
    assert isinstance(document, Manifest)
    assert [layer.digest for layer in document.layers] == list(image.config.diff_ids)
    assert {layer.media_type for layer in document.layers} == {MediaType.OCI_LAYER}
    assert document.config.digest == image.id


def test_a_name_moves_and_the_older_image_stays(lab: Lab) -> None:
    first = lab.build("FROM base\nRUN echo 1", tag="app").image
    second = lab.build("FROM base\nRUN echo 2", tag="app").image
    assert lab.store.images.find("app").id == second.id
    assert lab.store.images.get(first.id).references == ()


def test_scratch_images_need_no_layers(lab: Lab) -> None:
    first = lab.build("FROM scratch\nLABEL a=b", tag="empty").image
    assert first.layers == ()
    assert first.config.created is not None
    assert lab.build("FROM scratch\nLABEL a=b").image.id == first.id


def test_metadata_alone_makes_an_image_upon_the_base(lab: Lab) -> None:
    image = lab.build("FROM base\nLABEL a=b", labels={"c": "d"}).image
    base = lab.store.images.find("base")
    assert image.layers == base.layers
    assert image.config.config.labels == {"a": "b", "c": "d"}


def test_a_cached_build_gives_the_same_image(lab: Lab) -> None:
    lab.write({"f": "1"})
    text = "FROM base\nRUN date +%N >/d\nCOPY f /f\nENV x=y"
    first = lab.build(text)
    assert (lab.ran(), first.cached, first.total) == ("!!", 0, 2)
    time.sleep(0.01)
    second = lab.build(text)
    assert (lab.ran(), second.cached, second.total) == ("==", 2, 2)
    assert second.image.id == first.image.id
    third = lab.build(text, no_cache=True)
    assert lab.ran() == "!!"
    assert third.image.id != first.image.id


def test_the_time_of_the_image_is_that_of_its_last_new_layer(lab: Lab) -> None:
    before = time.time()
    created = lab.build("FROM base\nRUN true\nENV a=b").image.config.created
    assert created is not None
    seconds = time.mktime(time.strptime(created[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert before - 1 <= seconds <= time.time() + 1


def test_source_date_epoch_makes_the_configuration_reproducible(lab: Lab) -> None:
    config = lab.build("FROM base\nRUN true", build_args={"SOURCE_DATE_EPOCH": "86400"}).image.config
    assert config.created == "1970-01-02T00:00:00Z"


# --- events


def test_events_tell_the_plan_the_context_and_the_end(lab: Lab) -> None:
    lab.write({"a": "12345", "sub/b": "1"})
    lab.build("FROM base\nCOPY . /x", tag="app")
    started, *_ = lab.events
    assert isinstance(started, events.BuildStarted)
    assert [step.name for step in started.steps] == ["[1/2] FROM docker.io/library/base:latest", "[2/2] COPY . /x"]
    context = next(event for event in lab.events if isinstance(event, events.ContextRead))
    assert context.bytes >= 6
    done = lab.events[-1]
    assert isinstance(done, events.BuildDone)
    assert done.image_id == lab.store.images.find("app").id
    assert (done.cached, done.total) == (0, 1)
    kinds = [type(event).__name__ for event in lab.events if getattr(event, "id", 0) == 2]
    assert kinds == ["StepStarted", "StepDone"]


def test_build_args_that_nothing_takes_are_a_warning(lab: Lab) -> None:
    lab.build("FROM base\nRUN true", build_args={"NOPE": "1"})
    assert "One or more build-args [NOPE] were not consumed" in lab.warnings()


# --- COPY, WORKDIR, VOLUME


def test_copied_files_belong_to_root_and_keep_their_mode(lab: Lab) -> None:
    lab.write({"f": "x", "d/g": "y"})
    os.chmod(lab.context / "f", 0o4751)
    os.chmod(lab.context / "d", 0o700)
    if os.geteuid() == 0:
        os.chown(lab.context / "f", 12, 34)
    image = lab.build("FROM base\nCOPY f /c/\nCOPY . /c/all/").image
    tree = lab.tree(image, "/c")
    assert tree["f"].startswith(("4751 0:0", "751 0:0"))
    assert tree["all"] == "755 0:0"
    assert tree["all/d"] == "700 0:0"
    assert tree["all/d/g"] == "644 0:0 y"


@pytest.mark.several_ids
def test_chown_and_chmod(lab: Lab) -> None:
    lab.write({"f": "x"})
    image = lab.build(
        "FROM base\nUSER app\nCOPY --chown=app --chmod=640 f /c/n/1\nCOPY --chown=33:staff f /c/2\nCOPY f /c/3\nCOPY --chown=nope f /c/4"
    ).image
    tree = lab.tree(image, "/c")
    assert tree["n/1"] == "640 1000:1001 x"
    assert tree["2"] == "644 33:50 x"
    assert tree["3"] == "644 0:0 x"
    assert tree["4"] == "644 0:0 x"


@pytest.mark.several_ids
def test_copying_between_stages_keeps_owners(lab: Lab) -> None:
    text = (
        "FROM base AS one\nRUN mkdir -p /o/s && echo 1 >/o/s/f && chown -R 7:8 /o && chmod 2711 /o/s && ln -s f /o/s/l\n"
        "FROM base\nCOPY --from=one /o /c/\nCOPY --from=one --chown=9 /o/s/f /c/g\nCOPY --from=base /etc/passwd /c/p"
    )
    tree = lab.tree(lab.build(text).image, "/c")
    assert tree["s"] == "2711 7:8"
    assert tree["s/f"] == "644 7:8 1"
    assert tree["s/l"] == "link f"
    assert tree["g"] == "644 9:9 1"
    assert tree["p"].startswith("644 0:0 root:x:0:0")


def test_directories_are_copied_by_their_content_and_wildcards_may_miss(lab: Lab) -> None:
    lab.write({"d1/a": "1", "d2/b": "2", "x.md": "x", "y.md": "y", "z.txt": "z"})
    image = lab.build("FROM base\nCOPY d* /c/\nCOPY *.md /c/m/\nCOPY none* /c/none/\nCOPY z.txt /c/file").image
    assert sorted(lab.tree(image, "/c")) == ["a", "b", "file", "m", "m/x.md", "m/y.md"]


def test_heredocs_become_files(lab: Lab) -> None:
    image = lab.build("FROM base\nENV who=you\nCOPY <<one <<'two' /c/\nhi $who\none\nhi $who\ntwo").image
    assert lab.tree(image, "/c") == {"one": "644 0:0 hi you", "two": "644 0:0 hi $who"}


def test_links_of_the_destination_are_followed_inside_the_image(lab: Lab) -> None:
    lab.write({"f": "x"})
    image = lab.build("FROM base\nRUN ln -s /c /etc/link && mkdir /c\nCOPY f /etc/link/\nCOPY f /var/run/g").image
    assert lab.tree(image, "/c") == {"f": "644 0:0 x"}
    assert lab.tree(image, "/run") == {"g": "644 0:0 x"}


def test_links_of_the_context_are_followed_inside_the_context(lab: Lab) -> None:
    lab.write({"real/f": "x", "other": "o"})
    (lab.context / "link").symlink_to("real")
    (lab.context / "absolute").symlink_to("/other")
    (lab.context / "real/inner").symlink_to("f")
    image = lab.build("FROM base\nCOPY link/f /c/1\nCOPY absolute /c/2\nCOPY link /c/3").image
    tree = lab.tree(image, "/c")
    assert tree["1"] == "644 0:0 x"
    assert tree["2"] == "644 0:0 o"
    assert tree["3/inner"] == "link f"


@pytest.mark.several_ids
def test_workdir_is_owned_by_the_user_of_the_moment(lab: Lab) -> None:
    image = lab.build("FROM base\nUSER app\nWORKDIR /c/x\nUSER root\nWORKDIR y\nRUN pwd").image
    assert lab.log() == "/c/x/y\n"
    tree = lab.tree(image, "/c")
    assert tree["x"] == "755 1000:1001"
    assert tree["x/y"] == "755 0:0"


def test_data_of_volumes_is_kept(lab: Lab) -> None:
    image = lab.build("FROM base\nVOLUME /v\nRUN mkdir -p /v && echo kept >/v/f").image
    assert lab.tree(image, "/v") == {"f": "644 0:0 kept"}


def test_deletions_and_type_changes_reach_the_image(lab: Lab) -> None:
    text = (
        "FROM base\nRUN mkdir -p /c/d /c/e && touch /c/f /c/d/x /c/e/y\n"
        "RUN rm /c/f && rm -r /c/d && echo file >/c/d && rm -r /c/e && mkdir /c/e && touch /c/e/z"
    )
    assert lab.tree(lab.build(text).image, "/c") == {"d": "644 0:0 file", "e": "755 0:0", "e/z": "644 0:0 "}


def test_ignored_files_stay_outside(lab: Lab) -> None:
    lab.write({
        ".dockerignore": "*.log\nnode_modules\n!keep.log\nsecret/*\n!secret/ok\n",
        "a.log": "", "keep.log": "", "b.txt": "", "node_modules/m/x": "", "secret/no": "", "secret/ok": "",
    })  # fmt: skip
    image = lab.build("FROM base\nCOPY . /c").image
    assert sorted(lab.tree(image, "/c")) == [".dockerignore", "b.txt", "keep.log", "secret", "secret/ok"]


def test_the_dockerfiles_own_ignore_file_wins(lab: Lab) -> None:
    lab.write({".dockerignore": "a", "x.Dockerfile.dockerignore": "b\n*ignore\n*.Dockerfile", "a": "", "b": ""})
    text = "FROM base\nCOPY . /c"
    lab.write({"x.Dockerfile": text})
    image = lab.build(text, dockerfile=lab.context / "x.Dockerfile").image
    assert sorted(lab.tree(image, "/c")) == ["a"]


def test_excludes(lab: Lab) -> None:
    lab.write({"d/a.txt": "", "d/b.md": "", "d/s/c.md": "", "e.md": "", "e.txt": ""})
    image = lab.build("FROM base\nCOPY --exclude=*.md --exclude=s d /c/d\nCOPY --exclude=*.md e.* /c/e/").image
    assert sorted(lab.tree(image, "/c")) == ["d", "d/a.txt", "e", "e/e.txt"]


# --- stages


def test_independent_stages_run_side_by_side(lab: Lab) -> None:
    text = (
        "FROM base AS a\nRUN sleep 1 && touch /a\nFROM base AS b\nRUN sleep 1 && touch /b\n"
        "FROM base AS c\nRUN sleep 1 && touch /c\nFROM base\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /"
    )
    began = time.monotonic()
    lab.build(text)
    assert time.monotonic() - began < 2.5
    assert lab.ran() == "!!!!!!"
    lab.build(text)
    assert lab.ran() == "======"


def test_stages_that_nothing_needs_do_not_run(lab: Lab) -> None:
    lab.build("FROM base AS bad\nRUN exit 1\nFROM base\nRUN true")
    assert lab.ran() == "!"
    lab.build("FROM base AS good\nRUN true\nFROM base\nRUN exit 1", target="good")
    assert lab.ran() == "="


def test_a_stage_built_from_a_stage_shares_its_layers(lab: Lab) -> None:
    first = lab.build("FROM base AS a\nRUN echo 1 >/x\nFROM a\nRUN cat /x").image
    assert lab.log() == "1\n"
    second = lab.build("FROM base\nRUN echo 1 >/x\nRUN cat /x").image
    assert lab.ran() == "=="
    assert [layer.id for layer in first.layers] == [layer.id for layer in second.layers]


def test_a_failing_stage_stops_the_others(lab: Lab) -> None:
    began = time.monotonic()
    error = failed(
        lab,
        "FROM base AS a\nRUN sleep 20\nFROM base AS b\nRUN sleep 0.3; exit 5\nFROM base\nCOPY --from=a / /a\nCOPY --from=b / /b",
    )
    assert isinstance(error, errors.RunFailed)
    assert error.exit_code == 5
    assert time.monotonic() - began < 3


def test_results_of_other_builds_serve_when_nothing_else_is_known(lab: Lab) -> None:
    """The final stage is cached although its intermediate stage's results are gone."""
    text = "FROM base AS a\nRUN echo 1 >/x\nFROM base\nCOPY --from=a /x /y"
    image = lab.build(text).image
    stage = [record for record in lab.store.cache.list() if "echo 1" in record.description]
    lab.store.cache.remove(record.key for record in stage)
    assert lab.build(text).image.id == image.id
    assert lab.ran()[-1] == "="


def test_triggers_fire_in_the_next_build(lab: Lab) -> None:
    lab.write({"f": "from the context"})
    lab.build("FROM base\nONBUILD COPY f /f\nONBUILD RUN cat /f", tag="parent")
    image = lab.build("FROM parent\nRUN true").image
    assert lab.log() == "from the context"
    assert image.config.config.on_build == ()


def test_an_image_without_path_or_shell_can_be_a_base(lab: Lab) -> None:
    lab.write({"f": "x"})
    lab.build("FROM scratch\nCOPY f /f", tag="tiny")
    image = lab.build("FROM tiny\nCOPY f /g").image
    assert image.config.config.env == (f"PATH={imageconfig.DEFAULT_PATH}",)
    assert len(image.layers) == 2
    assert reference.parse("tiny").or_latest() not in image.references


def test_lint_findings_are_warnings_with_their_place(lab: Lab) -> None:
    lab.build("FROM base as one\nENV PASSWORD=x\nCMD run $NOPE\nLABEL a=$NOPE")
    found = {event.code: event for event in lab.events if isinstance(event, events.BuildWarning)}
    assert {"FromAsCasing", "SecretsUsedInArgOrEnv", "JSONArgsRecommended", "UndefinedVar"} <= set(found)
    location = found["UndefinedVar"].location
    assert location is not None
    assert location.line == 3


def test_lint_findings_fail_a_build_that_asks_for_it(lab: Lab) -> None:
    error = failed(lab, "# check=error=true\nFROM base as one\nRUN true")
    assert error.message == "lint violation found for rules: FromAsCasing"
    lab.build("# check=skip=all;error=true\nFROM base as one\nRUN true")
    lab.build("# check=error=true\nFROM base as one\nRUN true", build_args={"BUILDKIT_DOCKERFILE_CHECK": "skip=all"})


def test_variables_of_the_base_image_are_known_to_the_rules(lab: Lab) -> None:
    lab.build("FROM base\nENV known=1", tag="mine")
    lab.build("FROM mine\nLABEL a=$known b=$PATH")
    assert "UndefinedVar" not in [event.code for event in lab.events if isinstance(event, events.BuildWarning)]


def test_all_mistakes_beyond_the_language_are_told_beside_the_first(lab: Lab) -> None:
    error = failed(lab, "FROM base\nEXPOSE http\nSTOPSIGNAL FOO\nCOPY --chmod=9 a b")
    assert "http" in error.message
    assert error.detail is not None
    assert "invalid signal: FOO" in error.detail
    assert "invalid chmod parameter: '9'" in error.detail


def test_the_ignore_file_of_the_usual_dockerfile_wins_too(lab: Lab) -> None:
    from orlop.builder.build import BuildRequest, BuildServices, build

    lab.write({"Dockerfile": "FROM base\nCOPY . /c", "Dockerfile.dockerignore": "a\nDocker*", "a": "", "b": ""})
    services = BuildServices(store=lab.store, workshop=lab.workshop, host=HOST)
    image = build(BuildRequest(context=lab.context), services, Job()).image
    assert sorted(lab.tree(image, "/c")) == ["b"]


def test_other_platforms_are_refused(lab: Lab) -> None:
    from orlop.core import platform

    error = failed(lab, "FROM base\nRUN true", platform=platform.parse("linux/s390x"))
    assert isinstance(error, errors.Unavailable)
    assert "linux/s390x" in error.message


def test_a_base_image_that_lost_a_layer_is_not_built_upon(lab: Lab) -> None:
    import shutil

    base = lab.store.images.find("base")
    shutil.rmtree(lab.store.layers.path(base.layers[0].id).parent)
    lab.store.repair(lab.store.verify(Job()), Job())
    error = failed(lab, "FROM base\nRUN true")
    assert isinstance(error, errors.ImageNotFound)
    assert "lost" in error.message or "no such image" in error.message.lower()


def test_sources_with_odd_names(lab: Lab) -> None:
    lab.write({"with space": "1", "br[a]cket": "2", "ünï": "3", "-dash": "4"})
    image = lab.build('FROM base\nCOPY ["with space", "/c/a b"]\nCOPY br[[]a]cket ünï ./-dash /c/').image
    assert sorted(lab.tree(image, "/c")) == ["-dash", "a b", "br[a]cket", "ünï"]
