"""Sequences of builds: what each one runs again (`!`) and what it finds (`=`), with real steps and real files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from building import Lab

COPY = "FROM base\nRUN echo first\nCOPY . /c\nRUN ls /c"


def write(name: str, text: str) -> Callable[[Path], object]:
    def change(context: Path) -> None:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda context: None, "==="),
        (write("f", "f"), "==="),
        (write("f", "g"), "=!!"),
        (write("new", ""), "=!!"),
        (write("x.log", "ignored"), "==="),
        (write(".dockerignore", "*.log\n# comment"), "=!!"),
        (lambda context: os.utime(context / "f", (5, 5)), "==="),
        (lambda context: os.chmod(context / "f", 0o755), "=!!"),
        (lambda context: (context / "empty").mkdir(), "=!!"),
        (lambda context: (context / "f").unlink(), "=!!"),
        (lambda context: (context / "f").rename(context / "h"), "=!!"),
        (lambda context: (shutil.copy2(context / "f", context / "t"), os.rename(context / "t", context / "f")), "==="),
        (lambda context: (context / "f").symlink_to("d") if not (context / "f").unlink() else None, "=!!"),
    ],
)
def test_changes_of_the_context(lab: Lab, change: Callable[[Path], object], expected: str) -> None:
    lab.write({"f": "f", "d/e": "e", ".dockerignore": "*.log"})
    lab.build(COPY)
    assert lab.ran() == "!!!"
    change(lab.context)
    lab.build(COPY)
    assert lab.ran() == expected


def test_going_back_finds_the_older_result(lab: Lab) -> None:
    results = []
    for text in ("a", "b", "a"):
        lab.write({"f": text})
        results.append((lab.build(COPY).image.id, lab.ran()))
    assert [ran for _, ran in results] == ["!!!", "=!!", "==="]
    assert results[0][0] == results[2][0]


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["RUN a=1", "RUN a=1", "RUN a=2"], ["!", "=", "!"]),
        (["LABEL a=1\nRUN a=1", "LABEL a=2\nCMD x\nEXPOSE 1\nRUN a=1"], ["!", "="]),
        (["ENV a=1\nRUN b=1", "ENV a=2\nRUN b=1", "ENV a=1\nRUN b=1"], ["!", "!", "="]),
        (["RUN a=1\nRUN b=1", "RUN b=1\nRUN a=1"], ["!!", "!!"]),
        (["WORKDIR /x\nRUN a=1", "WORKDIR /x\nUSER 7\nRUN a=1"], ["!!", "=!"]),
        (["RUN a=1\nCOPY f /g\nRUN c=1", "RUN a=1\nCOPY f /h\nRUN c=1"], ["!!!", "=!!"]),
        (["COPY f /g\nRUN c=1", "COPY --chown=5 f /g\nRUN c=1"], ["!!", "!!"]),
        (["ADD f /g", "COPY f /g", "ADD f /g"], ["!", "!", "="]),
    ],
)
def test_changes_of_the_dockerfile(lab: Lab, texts: list[str], expected: list[str]) -> None:
    lab.write({"f": "x"})
    ran = []
    for text in texts:
        lab.build(f"FROM base\n{text}")
        ran.append(lab.ran())
    assert ran == expected


def test_build_args_and_labels(lab: Lab) -> None:
    text = "FROM base\nRUN a=1\nARG v\nRUN b=$v"
    ran = []
    for args, labels in (
        ({}, {}),
        ({"v": "1"}, {}),
        ({"v": "1"}, {"x": "y"}),
        ({"v": "2"}, {}),
        ({"w": "1", "v": "1"}, {}),
    ):
        lab.build(text, build_args=args, labels=labels)
        ran.append(lab.ran())
    assert ran == ["!!", "=!", "==", "=!", "=="]


def test_a_rebuilt_base_re_runs_only_when_its_files_changed(lab: Lab) -> None:
    lab.write({"f": "1"})
    lab.build("FROM base\nCOPY f /f", tag="mine")
    lab.build("FROM mine\nRUN cat /f")
    lab.build("FROM base\nCOPY f /f\nLABEL a=b", tag="mine")
    lab.build("FROM mine\nRUN cat /f")
    assert lab.ran() == "="
    lab.write({"f": "2"})
    lab.build("FROM base\nCOPY f /f", tag="mine")
    lab.build("FROM mine\nRUN cat /f")
    assert (lab.ran(), lab.log()) == ("!", "2")


def test_targets_and_files_share_their_results(lab: Lab) -> None:
    lab.build("FROM base AS a\nRUN a=1\nFROM a AS b\nRUN b=1")
    lab.build("FROM base AS other\nRUN a=1\nRUN b=1\nRUN c=1")
    assert lab.ran() == "==!"
    lab.build("FROM base AS a\nRUN a=1\nFROM a AS b\nRUN b=1", target="a")
    assert lab.ran() == "="


def test_pruned_results_run_again(lab: Lab) -> None:
    text = "FROM base\nRUN a=1\nRUN b=1"
    lab.build(text)
    lab.store.cache.remove([record.key for record in lab.store.cache.list() if "b=1" in record.description])
    lab.build(text)
    assert lab.ran() == "=!"


def test_a_second_server_finds_the_results_of_the_first(lab: Lab, tmp_path: Path) -> None:
    from orlop.rootfs.workshop import Workshop
    from orlop.store.store import Store

    lab.write({"f": "1"})
    lab.build(COPY)
    lab.store.close()
    lab.workshop.close()
    lab.workshop = Workshop(tmp_path / "store")
    lab.store = Store(tmp_path / "store")
    lab.build(COPY)
    assert lab.ran() == "==="


def test_two_contexts_of_the_same_name_do_not_meet(lab: Lab, tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "app", tmp_path / "two" / "app"
    for folder, text in ((one, "1"), (two, "2")):
        folder.mkdir(parents=True)
        (folder / "f").write_text(text)
        os.utime(folder / "f", (1000, 1000))
    text = "FROM base\nCOPY f /f\nRUN cat /f"
    lab.build(text, context=one)
    lab.build(text, context=two)
    assert lab.log() == "2"
    lab.build(text, context=one)
    assert lab.ran() == "=="


def test_a_copy_from_a_rebuilt_stage_is_reused_when_its_files_are_the_same(lab: Lab) -> None:
    text = (
        "FROM base AS build\nRUN mkdir -p /out/d && echo 1 >/out/d/f\nCOPY src /src\nRUN cat /src/f >/built\n"
        "FROM base\nCOPY --from=build /out /out\nRUN cat /out/d/f\nCOPY --from=build /built /built\nRUN cat /built"
    )
    lab.write({"src/f": "1"})
    lab.build(text)
    assert lab.ran() == "!!!!!!!"
    lab.write({"src/f": "2"})
    lab.build(text)
    # Neither the copy of /out nor the step after it runs again: only what depends on src.
    assert lab.ran() == "=!!==!!"
    lab.build(text)
    assert lab.ran() == "======="
    lab.write({"src/f": "1"})
    lab.build(text)
    assert lab.ran() == "======="


@pytest.mark.parametrize(
    ("change", "source", "expected"),
    [
        ("RUN echo x >/other", "/a/f", "="),
        ("RUN echo x >/a/g", "/a/f", "="),
        ("RUN echo x >/a/g", "/a", "!"),
        ("RUN echo x >/a/g", "/a/*", "!"),
        ("RUN echo 2 >/a/f", "/a/f", "!"),
        ("RUN chmod 700 /a/f", "/a/f", "!"),
        ("RUN rm -r /a && mkdir /a && echo 1 >/a/f", "/a/f", "!"),
        ("RUN mv /a /b && mkdir /c && ln -s /c /a && echo 9 >/c/f", "/a/f", "!"),
        ("RUN true", "/link", "!"),
        ("RUN true", "/", "!"),
    ],
)
def test_a_copy_from_a_changed_stage_runs_when_its_files_may_differ(
    lab: Lab, change: str, source: str, expected: str
) -> None:
    text = (
        "FROM base AS one\nRUN mkdir /a && echo 1 >/a/f && ln -s /a/f /link\n{}\nFROM scratch\nCOPY --from=one {} /x/"
    )
    lab.build(text.format("RUN echo 0", source))
    lab.build(text.format(change, source))
    assert lab.ran()[-1] == expected


def test_a_file_that_went_is_missed_although_the_copy_was_cached(lab: Lab) -> None:
    from orlop.core import errors

    text = "FROM base AS one\nRUN mkdir /a && echo 1 >/a/f\n{}\nFROM scratch\nCOPY --from=one /a/f /x"
    lab.build(text.format("RUN true"))
    for change in ("RUN rm /a/f", "RUN rm -r /a", "RUN rm -r /a && mkdir /a"):
        with pytest.raises(errors.BuildFailed, match="not found"):
            lab.build(text.format(change))
