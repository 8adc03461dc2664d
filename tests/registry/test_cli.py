"""What `orlop pull`, `push`, `login` and their kin print, against a real registry."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal
from registry import pushlab

pytestmark = pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pushlab.registry(tmp_path_factory.mktemp("registry")) as (address, port):
        yield f"{address}:{port}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets in nobody but `me` with the password `right`."""
    crypt = pytest.importorskip("crypt", reason="this Python cannot make bcrypt hashes")
    root = tmp_path_factory.mktemp("guarded")
    (root / "htpasswd").write_text(f"me:{crypt.crypt('right', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
    with pushlab.registry(root, auth={"htpasswd": {"realm": "r", "path": str(root / "htpasswd")}}) as (address, port):
        yield f"{address}:{port}"


def test_what_was_pushed_comes_back_with_the_same_image_id(shared_terminal: Terminal, host: str) -> None:
    name = f"{host}/me/busybox"
    before = json.loads(shared_terminal("image", "inspect", "busybox"))[0]["Id"]
    shared_terminal("tag", "busybox", name)
    said = shared_terminal("push", name)
    assert said.startswith(f"Using default tag: latest\nThe push refers to repository [{name}]\n")
    digest = DIGEST.search(said.splitlines()[-1])
    assert digest is not None and said.splitlines()[-1].startswith("latest: digest: sha256:")
    assert "Layer already exists" in shared_terminal("push", name)
    assert digest.group() in shared_terminal("image", "ls", "--digests", name)

    shared_terminal("rmi", name)
    said = shared_terminal("pull", name)
    assert said.startswith("Using default tag: latest\nlatest: Pulling from me/busybox\n")
    assert f"Digest: {digest.group()}\n" in said
    assert said.endswith(f"{name}:latest\n")
    assert f"Status: Image is up to date for {name}:latest" in shared_terminal("pull", name)
    assert shared_terminal("pull", "-q", name) == f"{name}:latest\n"
    assert json.loads(shared_terminal("image", "inspect", name))[0]["Id"] == before


def test_run_and_build_pull_what_is_missing(shared_terminal: Terminal, host: str, context: Path) -> None:
    name = f"{host}/me/base:1"
    shared_terminal("tag", "busybox", name)
    shared_terminal("push", name)
    shared_terminal("rmi", name)
    (context / "Dockerfile").write_text(f"FROM {name}\nRUN echo built > /file\n")
    shared_terminal("build", "-t", "pulled-base", str(context))
    assert "built" in shared_terminal("run", "--rm", "pulled-base", "cat", "/file")
    shared_terminal("rmi", "pulled-base")


def test_a_missing_tag_names_those_that_are_there(shared_terminal: Terminal, host: str) -> None:
    name = f"{host}/me/tags"
    shared_terminal("tag", "busybox", f"{name}:3.1")
    shared_terminal("push", f"{name}:3.1")
    said = shared_terminal("pull", f"{name}:3.2", code=1)
    assert f"{name}:3.1" in said


def test_every_tag_can_be_pushed_and_pulled_at_once(shared_terminal: Terminal, host: str) -> None:
    name = f"{host}/me/many"
    for tag in ("a", "b"):
        shared_terminal("tag", "busybox", f"{name}:{tag}")
    shared_terminal("push", "-a", name)
    shared_terminal("rmi", f"{name}:a", f"{name}:b")
    shared_terminal("pull", "-a", name)
    tags = shared_terminal("image", "ls", "--format", "{{.Tag}}", name).split()
    assert {"a", "b"} <= set(tags)


def test_a_wrong_password_is_refused_and_not_kept(shared_terminal: Terminal, guarded: str, context: Path) -> None:
    context.chmod(0o777)
    env = {"DOCKER_CONFIG": str(context)}
    name = f"{guarded}/me/private"
    shared_terminal("tag", "busybox", name)
    assert "orlop login" in shared_terminal("push", name, code=1, env=env)
    words = ("login", guarded, "-u", "me", "--password-stdin")
    said = shared_terminal(*words, code=1, stdin=b"wrong\n", env=env)
    assert "me" in said
    assert not (context / "config.json").exists()
    assert "Login Succeeded" in shared_terminal(*words, stdin=b"right\n", env=env)
    assert guarded in json.loads((context / "config.json").read_text())["auths"]
    assert (context / "config.json").stat().st_mode & 0o777 == 0o600
    shared_terminal("push", name, env=env)
    assert "Removing login credentials" in shared_terminal("logout", guarded, env=env)
    assert "orlop login" in shared_terminal("pull", name, code=1, env=env)


def test_nothing_listens_there(shared_terminal: Terminal) -> None:
    said = shared_terminal("pull", "127.0.0.1:1/x", code=1)
    assert "connection refused" in said
    assert "hint: " in said
