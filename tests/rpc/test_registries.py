"""Registries as the editor uses them: pull, push, plan, login, search and a look around, against a real registry."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pygls.exceptions import JsonRpcException

from harness import Terminal
from registry import pushlab
from registry.hublab import Hub, hub
from rpc.test_server import Editor

pytestmark = pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed")
SECRET = "s3cret-w0rd"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pushlab.registry(tmp_path_factory.mktemp("registry")) as (address, port):
        yield f"{address}:{port}"


@pytest.fixture
def lab() -> Iterator[Hub]:
    with hub() as made:
        yield made


@pytest.fixture
def editing(shared_terminal: Terminal, lab: Hub, context: Path) -> Callable[[Scene], str]:
    """Plays a scene with a server whose settings and logins are its own; gives all that it logged."""
    context.chmod(0o777)
    (context / "orlop").mkdir()
    (context / "orlop" / "config.toml").write_text(
        f'[registries]\nhub-index = "{lab.url}"\nhub-api = "{lab.url}"\nattempts = 1\n'
    )
    env = {**shared_terminal._env(None), "XDG_CONFIG_HOME": str(context), "DOCKER_CONFIG": str(context / "docker")}

    def play(scene: Scene) -> str:
        async def run() -> str:
            editor = Editor()
            await editor.start(_With(shared_terminal, env))  # type: ignore[arg-type]
            try:
                await scene(editor)
            finally:
                await editor.client.shutdown_async(None)
                editor.client.exit(None)
                server = editor.client._server
                assert server is not None
                assert server.stderr is not None
                log = (await server.stderr.read()).decode()
                await editor.client.stop()
            return log

        return asyncio.run(run())

    return play


Scene = Callable[[Editor], Awaitable[None]]


class _With:
    """A terminal with other variables."""

    def __init__(self, terminal: Terminal, env: dict[str, str]) -> None:
        self.account = terminal.account
        self.words = terminal.words
        self._variables = env

    def _env(self, _: object) -> dict[str, str]:
        return self._variables


def test_a_push_is_planned_done_and_pulled_again(
    shared_terminal: Terminal, host: str, editing: Callable[[Scene], str]
) -> None:
    name = f"{host}/me/app-{os.urandom(3).hex()}"

    async def scene(editor: Editor) -> None:
        request: Callable[..., Awaitable[Any]] = editor.request
        await request("image/tag", {"image": "busybox", "target": name})
        plan = await request("image/pushPlan", {"reference": name})
        assert (plan.registry, plan.account, [layer.exists for layer in plan.layers]) == (host, None, [False])
        assert plan.upload == plan.size > 0
        pushed = (await request("image/push", {"reference": name, "partialResultToken": "p"})).pushed
        assert [one.reference for one in pushed] == [f"{name}:latest"]
        assert {event.phase for event in editor.progress} >= {"waiting", "done"}
        plan = await request("image/pushPlan", {"reference": name})
        assert ([layer.exists for layer in plan.layers], plan.upload) == ([True], 0)

        shown = await request("registry/manifest", {"reference": name})
        assert (shown.digest, shown.platforms) == (pushed[0].digest, ["linux/amd64"])
        assert len(json.loads(shown.json)["layers"]) == 1
        again = await request("image/push", {"reference": "busybox", "target": f"{name}:other"})
        assert again.pushed[0].reference == f"{name}:other"
        assert sorted((await request("registry/tags", {"repository": name})).tags) == ["latest", "other"]
        repositories = await request("registry/repositories", {"host": host, "namespace": "me"})
        assert name in repositories.repositories

        await request("image/remove", {"images": [name]})
        editor.progress.clear()
        pulled = (await request("image/pull", {"reference": name, "partialResultToken": "q"})).pulled
        assert (pulled[0].digest, pulled[0].status) == (pushed[0].digest, "newer")
        assert [event.phase for event in editor.progress][-1] in ("exists", "done")
        pulled = (await request("image/pull", {"reference": name})).pulled
        assert pulled[0].status == "up-to-date"
        with pytest.raises(JsonRpcException) as caught:
            await request("image/pull", {"reference": f"{name}:nosuch"})
        assert caught.value.data["kind"] == "manifest-unknown"
        await request("image/remove", {"images": [name]})

    editing(scene)


def test_a_tag_is_copied_and_deleted_after_saying_what_goes(
    shared_terminal: Terminal, host: str, editing: Callable[[Scene], str]
) -> None:
    name = f"{host}/me/copied-{os.urandom(3).hex()}"

    async def scene(editor: Editor) -> None:
        request: Callable[..., Awaitable[Any]] = editor.request
        pushed = await request("image/push", {"reference": "busybox", "target": f"{name}:1"})
        digest = pushed.pushed[0].digest
        copied = await request("registry/copy", {"source": f"{name}:1", "target": f"{name}-too:2"})
        assert (copied.reference, copied.digest) == (f"{name}-too:2", digest)
        again = await request("registry/copy", {"source": f"{name}:1", "target": f"{name}:2"})
        assert (again.copied, again.digest) == (0, digest)

        params = {"reference": f"{name}:2", "dryRun": True}
        planned = await request("registry/deleteTag", params)
        assert (planned.deleted, planned.kept) == (["2"], ["1"])
        with pytest.raises(JsonRpcException) as caught:
            await request("registry/deleteTag", {"reference": f"{name}:2"})
        assert caught.value.data["kind"] == "conflict"
        await request("registry/deleteTag", {"reference": f"{name}-too:2"})
        with pytest.raises(JsonRpcException):
            await request("registry/manifest", {"reference": f"{name}-too:2"})

    editing(scene)


def test_logins_are_held_or_kept_and_never_logged(host: str, context: Path, editing: Callable[[Scene], str]) -> None:
    async def scene(editor: Editor) -> None:
        request: Callable[..., Awaitable[Any]] = editor.request
        login = {"host": host, "username": "me", "secret": SECRET}
        done = await request("registry/login", login)
        assert (done.host, done.username, done.source) == (host, "me", "memory")
        assert not (context / "docker" / "config.json").exists()
        listed = {one.host: one for one in (await request("registry/list", {})).registries}
        assert next(iter(listed)) == "docker.io"
        assert (listed[host].username, listed[host].kept) == ("me", "memory")

        await request("registry/login", {**login, "remember": "file"})
        assert SECRET not in (context / "docker" / "config.json").read_text()
        assert host in json.loads((context / "docker" / "config.json").read_text())["auths"]
        assert (await request("registry/logout", {"host": host})).forgotten
        assert not (await request("registry/logout", {"host": host})).forgotten
        assert (await request("registry/login", {"host": host, "username": "", "secret": ""})).username == ""
        for junk in ({**login, "host": "127.0.0.1:1"}, {**login, "nonsense": 1}, {**login, "secret": ""}):
            with pytest.raises(JsonRpcException) as caught:
                await request("registry/login", junk)
            assert SECRET not in str(caught.value.message) + json.dumps(caught.value.data)

    assert SECRET not in editing(scene)


def test_search_and_missing_images_of_run(
    shared_terminal: Terminal, host: str, editing: Callable[[Scene], str]
) -> None:
    name = f"{host}/me/run-{os.urandom(3).hex()}"

    async def scene(editor: Editor) -> None:
        request: Callable[..., Awaitable[Any]] = editor.request
        found = (await request("registry/search", {"term": "docker", "stars": 100})).results
        assert [(one.name, one.official, one.stars) for one in found] == [("docker", True, 2500)]

        await request("image/push", {"reference": "busybox", "target": name})
        run = {"image": name, "command": ["true"], "remove": True, "network": "none", "partialResultToken": "r"}
        with pytest.raises(JsonRpcException) as caught:
            await request("container/run", {**run, "pull": "never"})
        assert caught.value.data["kind"] == "image-not-found"
        assert (await request("container/run", run)).exitCode == 0
        await request("image/remove", {"images": [name], "force": True})

    editing(scene)
