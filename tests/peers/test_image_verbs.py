"""Lists, histories, documents, templates and removals read as Docker's do for the same image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from peering import Docker, saved

from harness import Terminal

pytestmark = pytest.mark.peer
NAME = "compared/app"
DOCKERFILE = """FROM busybox
LABEL team=a
ENV A=b
RUN echo hi > /file && echo a command that is long enough to be cut in the table of a history
VOLUME /data
EXPOSE 80
HEALTHCHECK --interval=5s CMD true
WORKDIR /app
ENTRYPOINT ["sh", "-c"]
CMD ["true"]
"""


@pytest.fixture(scope="module")
def image(shared_terminal: Terminal, docker: Docker | None) -> Terminal:
    """The same image in both stores, under two tags."""
    if docker is None:
        pytest.skip("needs root and dockerd")
    folder = Path("/var/tmp") / f"orlop-verbs-{os.getpid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    shared_terminal("build", "-q", "-t", f"{NAME}:1", str(folder))
    (folder / "Dockerfile").unlink()
    folder.rmdir()
    shared_terminal("tag", f"{NAME}:1", f"{NAME}:2")
    docker("load", stdin=saved(shared_terminal, f"{NAME}:1"))
    docker("tag", f"{NAME}:1", f"{NAME}:2")
    return shared_terminal


def said(docker: Docker | None, *words: str) -> str:
    assert docker is not None
    return plain(docker(*words).decode())


def plain(text: str) -> str:
    """Without the blanks at the ends of lines and what depends on the moment at which a program was asked."""
    text = re.sub(r"(About an? |Less than a )?(\d+ )?(second|minute|hour)s? ago", "AGE", text)
    text = re.sub(r"AGE +", "AGE ", re.sub(r"CREATED +", "CREATED ", text))
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ("images", NAME),
        ("images", "--digests", NAME),
        ("images", "-q", NAME),
        ("images", "-q", "--no-trunc", f"{NAME}:2"),
        ("images", "compared/*"),
        ("images", "--filter", "reference=comp*/*:1"),
        ("images", "--filter", "label=team=a"),
        ("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.Digest}} {{.CreatedAt}}", NAME),
        ("images", "--format", r"table {{.ID}}\t{{.Repository}}\t{{.CreatedAt}}\t{{.Size}}", NAME),
        ("images", "nosuch"),
        ("history", f"{NAME}:1"),
        ("history", "--no-trunc", f"{NAME}:1"),
        ("history", "-q", f"{NAME}:1"),
        ("image", "inspect", "-f", "{{.Id}} {{.RepoTags}} {{.Os}}/{{.Architecture}} {{.Created}}", f"{NAME}:1"),
        ("image", "inspect", "-f", "{{json .Config.Env}} {{json .Config.Labels}} {{json .RootFS}}", f"{NAME}:1"),
        ("image", "inspect", "-f", "{{.Config.Cmd}} {{.Config.OnBuild}} {{.Config.Volumes}}", f"{NAME}:1"),
        ("image", "inspect", "-f", "{{range $k, $v := .Config.ExposedPorts}}{{$k}} {{end}}", f"{NAME}:1"),
        ("image", "inspect", "-f", '{{join .Config.Env ","}}|{{index .Config.Labels "team"}}|{{upper .Os}}', f"{NAME}:1"),
        ("image", "inspect", "-f", "{{with .Config.Healthcheck}}{{.Test}}{{end}}{{len .RootFS.Layers}}", f"{NAME}:1"),
    ],
)  # fmt: skip
def test_what_is_printed_is_what_docker_prints(image: Terminal, docker: Docker | None, words: tuple[str, ...]) -> None:
    assert plain(image(*words)) == said(docker, *words)


@pytest.mark.parametrize("verb", [("images", NAME), ("history", f"{NAME}:1")])
def test_rows_as_json_are_dockers(image: Terminal, docker: Docker | None, verb: tuple[str, str]) -> None:
    words = (verb[0], "--format", "{{json .}}", verb[1])
    ours, theirs = ([json.loads(line) for line in text.splitlines()] for text in (image(*words), said(docker, *words)))
    for row in (*ours, *theirs):
        row.pop("CreatedSince")
        # Four digits of the size; see below.
        row.pop("VirtualSize", None)
    assert ours == theirs


def test_the_document_has_dockers_fields_with_dockers_values(
    image: Terminal, docker: Docker | None, busybox_tar: Path
) -> None:
    words = ("image", "inspect", f"{NAME}:1")
    ours, theirs = (json.loads(text)[0] for text in (image(*words), said(docker, *words)))
    for name in ("Id", "RepoTags", "RepoDigests", "Created", "Author", "Architecture", "Os", "RootFS", "Comment"):
        assert ours[name] == theirs[name], name
    assert {key: value for key, value in ours["Config"].items() if value != theirs["Config"].get(key)} == {}
    # Docker counts what symbolic links say as well as what files hold.
    with tarfile.open(busybox_tar) as archive:
        links = sum(len(member.linkname) for member in archive if member.issym())
    assert ours["Size"] == theirs["Size"] - links


def test_removal_says_what_docker_says(image: Terminal, docker: Docker | None) -> None:
    for words in (("rmi", f"{NAME}:2"), ("rmi", f"{NAME}:1")):
        ours, theirs = image(*words).splitlines(), said(docker, *words).splitlines()
        # Docker's layers came from an archive and go with the image; here the build cache keeps them.
        assert ours == theirs[: len(ours)]
        assert all(line.startswith("Deleted: sha256:") for line in theirs[len(ours) :])


def test_a_missing_image_is_an_error_for_both(image: Terminal, docker: Docker | None) -> None:
    assert docker is not None
    for words in (("rmi", "nosuch"), ("history", "nosuch"), ("tag", "nosuch", "x"), ("image", "inspect", "nosuch")):
        theirs = subprocess.run([docker.client, *words], env=docker._env(), capture_output=True)
        assert theirs.returncode == 1
        assert "no such image" in image(*words, code=1).lower()
