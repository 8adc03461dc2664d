"""Logging in, pulling and pushing as a person does at a real terminal: prompts without echo, layers redrawn in place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from harness import Terminal
from keyboard import Keyboard
from registry import pushlab

pytestmark = pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed")
SECRET = "right and s3cret"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets in nobody but `me`."""
    crypt = pytest.importorskip("crypt", reason="this Python cannot make bcrypt hashes")
    root = tmp_path_factory.mktemp("guarded")
    (root / "htpasswd").write_text(f"me:{crypt.crypt(SECRET, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
    with pushlab.registry(root, auth={"htpasswd": {"realm": "r", "path": str(root / "htpasswd")}}) as (address, port):
        yield f"{address}:{port}"


@pytest.fixture
def env(context: Path) -> dict[str, str]:
    """Logins of this test alone."""
    context.chmod(0o777)
    return {"DOCKER_CONFIG": str(context)}


class _Elsewhere:
    """A terminal with further variables."""

    def __init__(self, terminal: Terminal, env: Mapping[str, str]) -> None:
        self._terminal = terminal
        self._variables = env
        self.words = terminal.words
        self._prefix = terminal._prefix

    def _env(self, _: object) -> dict[str, str]:
        return self._terminal._env(self._variables)


def at(terminal: Terminal, env: Mapping[str, str], *words: str) -> Keyboard:
    """A person at it."""
    return Keyboard(cast("Terminal", _Elsewhere(terminal, env)), *words)


def test_the_prompt_shows_no_password(
    shared_terminal: Terminal, guarded: str, env: dict[str, str], context: Path
) -> None:
    person = at(shared_terminal, env, "login", guarded)
    person.wait_for("Username: ")
    person.type("me")
    person.wait_for("Password: ")
    person.type(SECRET)
    person.wait_for("Login Succeeded")
    assert SECRET not in person.seen
    assert person.end() == 0
    assert guarded in json.loads((context / "config.json").read_text())["auths"]

    person = at(shared_terminal, env, "login", guarded)
    person.wait_for("Authenticating with existing credentials")
    person.wait_for("Login Succeeded")
    assert person.end() == 0


def test_a_kept_login_that_is_not_taken_any_more_asks_again(
    shared_terminal: Terminal, guarded: str, env: dict[str, str], context: Path
) -> None:
    # base64 of me:old
    (context / "config.json").write_text(json.dumps({"auths": {guarded: {"auth": "bWU6b2xk"}}, "other": 1}))
    (context / "config.json").chmod(0o666)
    person = at(shared_terminal, env, "login", guarded)
    person.wait_for("Login did not succeed")
    person.wait_for(r"Username \(me\): ")
    person.type("")
    person.wait_for("Password: ")
    person.type(SECRET)
    person.wait_for("Login Succeeded")
    assert person.end() == 0
    assert json.loads((context / "config.json").read_text())["other"] == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "cannot perform an interactive login from a non TTY device"),
        (("-u", "me"), "cannot perform an interactive login from a non TTY device"),
        (("--password-stdin",), "must provide --username with --password-stdin"),
        (("-u", "me", "-p", "x", "--password-stdin"), "mutually exclusive"),
        (("-u", "me", "--password-stdin"), "there is no password"),
    ],
)
def test_what_is_missing_is_said(
    shared_terminal: Terminal, guarded: str, env: dict[str, str], words: tuple[str, ...], complaint: str
) -> None:
    assert complaint in shared_terminal("login", *words, guarded, code=1, env=env)


def test_a_password_on_the_command_line_is_warned_of(
    shared_terminal: Terminal, guarded: str, env: dict[str, str]
) -> None:
    said = shared_terminal("login", "-u", "me", "-p", SECRET, f"https://{guarded}/v2/", env=env)
    assert "Using --password via the CLI is insecure" in said
    assert "stored unencrypted" in said
    assert SECRET not in said
    assert "Not logged in to other.example" in shared_terminal("logout", "other.example", env=env)


def test_layers_are_drawn_in_place_on_a_terminal(shared_terminal: Terminal, guarded: str, env: dict[str, str]) -> None:
    shared_terminal("login", "-u", "me", "--password-stdin", guarded, stdin=SECRET.encode(), env=env)
    name = f"{guarded}/me/drawn"
    shared_terminal("tag", "busybox", name)
    person = at(shared_terminal, env, "push", name)
    person.wait_for(r"The push refers to repository \[")
    person.wait_for("\x1b\\[2K[0-9a-f]{12}: (Pushed|Layer already exists)")
    person.wait_for("latest: digest: sha256:[0-9a-f]{64} size: [0-9]+")
    assert person.end() == 0
    shared_terminal("rmi", name)
    person = at(shared_terminal, env, "pull", name)
    person.wait_for("latest: Pulling from me/drawn")
    person.wait_for("\x1b\\[2K[0-9a-f]{12}: (Pull complete|Already exists)")
    person.wait_for("Status: Downloaded newer image for ")
    person.wait_for(f"{name}:latest\r\n$")
    assert person.end() == 0


def test_what_a_registry_has_shows_without_a_pull(shared_terminal: Terminal, guarded: str, env: dict[str, str]) -> None:
    shared_terminal("login", "-u", "me", "--password-stdin", guarded, stdin=SECRET.encode(), env=env)
    name = f"{guarded}/me/shown:1"
    shared_terminal("tag", "busybox", name)
    shared_terminal("push", name, env=env)
    shared_terminal("rmi", name)
    assert json.loads(shared_terminal("manifest", "inspect", name, env=env))["schemaVersion"] == 2
    verbose = json.loads(shared_terminal("manifest", "inspect", "-v", name, env=env))
    assert verbose["Ref"] == name
    assert verbose["Platforms"] == ["linux/amd64"]
    assert name not in shared_terminal("images", "--format", "{{.Repository}}:{{.Tag}}")
