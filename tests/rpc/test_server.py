"""The server as an editor meets it: over its pipes, every method answered, builds streamed, cancelled, survived."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from harness import Terminal
from orlop.protocol import methods
from orlop.protocol.typescript import protocol_hash

pytestmark = pytest.mark.filterwarnings("ignore")


class Editor:
    """A language client that remembers what it was told."""

    def __init__(self) -> None:
        self.client = LanguageClient("test", "1")
        self.progress: list[Any] = []
        self.changes: list[Any] = []
        self.diagnostics: dict[str, Any] = {}
        self.client.feature(types.PROGRESS)(
            lambda params: self.progress.extend(SimpleNamespace(**event) for event in params.value)
        )
        self.client.feature(methods.STORE_DID_CHANGE.name)(lambda params: self.changes.append(params))
        self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self._published(params))
        self.experimental: Any = None

    def _published(self, params: types.PublishDiagnosticsParams) -> None:
        self.diagnostics[params.uri] = params.diagnostics

    async def start(self, terminal: Terminal) -> None:
        words = terminal.words("serve")
        if terminal.account:
            words = ["setpriv", f"--reuid={terminal.account}", f"--regid={terminal.account}", "--init-groups", *words]
        await self.client.start_io(*words, env=terminal._env(None))
        answer = await self.client.initialize_async(types.InitializeParams(capabilities=types.ClientCapabilities()))
        self.experimental = answer.capabilities.experimental
        self.client.initialized(types.InitializedParams())

    async def request(self, method: str, params: Any, seconds: float = 60) -> Any:
        return await asyncio.wait_for(self.client.protocol.send_request_async(method, params), seconds)

    async def stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()


def play(terminal: Terminal, scene: Callable[[Editor], Awaitable[None]]) -> None:
    """Run a scene with a server of its own."""

    async def run() -> None:
        editor = Editor()
        await editor.start(terminal)
        try:
            await scene(editor)
        finally:
            await editor.stop()

    asyncio.run(run())


def test_every_method_always_answers(shared_terminal: Terminal) -> None:
    async def scene(editor: Editor) -> None:
        for row in methods.REQUESTS:
            for junk in ({}, None, [], 7, "x", {"nonsense": {"jsonrpc": "2.0"}}):
                try:
                    await editor.request(row.name, junk)
                except JsonRpcException as error:
                    assert error.message
        with pytest.raises(JsonRpcException):
            await editor.request("no/suchMethod", {})

    play(shared_terminal, scene)


def test_the_surface_is_the_table(shared_terminal: Terminal) -> None:
    async def scene(editor: Editor) -> None:
        assert {"orlop": {"protocol": protocol_hash()}} == editor.experimental
        for row in methods.REQUESTS:
            try:
                await editor.request(row.name, {"nonsense": 1})
            except JsonRpcException as error:
                assert error.code == -32602, row.name

    play(shared_terminal, scene)


def test_a_build_streams_its_steps_and_changes_the_store(shared_terminal: Terminal, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN echo from-the-build {os.urandom(4).hex()}\n")

    async def scene(editor: Editor) -> None:
        params = {"context": str(context), "tags": ["rpc/app"], "partialResultToken": "b1"}
        result = await editor.request("image/build", params)
        assert result.tags == ["rpc/app:latest"]
        kinds = [event.kind for event in editor.progress]
        assert kinds[0] == "started"
        assert "from-the-build" in "".join(event.text for event in editor.progress if event.kind == "step-log")
        listed = await editor.request("image/list", {})
        assert "docker.io/rpc/app" in [tag.repository for image in listed.images for tag in image.tags]
        await asyncio.sleep(0.5)
        assert editor.changes
        again = await editor.request("image/build", params)
        assert (again.id, again.cached) == (result.id, again.steps)

    play(shared_terminal, scene)


def test_a_failing_run_says_where_and_what_it_printed(shared_terminal: Terminal, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo last words; exit 9\n")

    async def scene(editor: Editor) -> None:
        with pytest.raises(JsonRpcException) as caught:
            await editor.request("image/build", {"context": str(context)})
        data = caught.value.data
        assert (data["kind"], data["exitCode"]) == ("run-failed", 9)
        assert "last words" in data["detail"]
        assert data["location"]["range"]["startLine"] == 1

    play(shared_terminal, scene)


def test_cancel_winds_down_within_a_second(shared_terminal: Terminal, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 100\n")

    async def scene(editor: Editor) -> None:
        params = {"context": str(context), "tags": ["never/built"], "partialResultToken": "b2"}
        future = editor.client.protocol.send_request_async("image/build", params, msg_id="cancel-me")
        while not any(event.kind == "step-log" for event in editor.progress):
            await asyncio.sleep(0.05)
        editor.client.cancel_request(types.CancelParams(id="cancel-me"))
        with pytest.raises(JsonRpcException):
            await asyncio.wait_for(future, 1)
        listed = await editor.request("image/list", {"filter": "never/built"})
        assert listed.images == []

    play(shared_terminal, scene)


def test_a_session_carries_input_and_the_exit_code(shared_terminal: Terminal) -> None:
    async def scene(editor: Editor) -> None:
        params = {
            "image": "busybox", "command": ["sh", "-c", "read x; echo got $x 你好; exit 4"], "remove": True,
            "interactive": True, "partialResultToken": "s1", "network": "none",
        }  # fmt: skip
        running = asyncio.ensure_future(editor.request("container/run", params))
        while not any(event.kind == "opened" for event in editor.progress):
            await asyncio.sleep(0.05)
        editor.client.protocol.notify("session/input", {"token": "s1", "data": "key\n"})
        assert (await running).exitCode == 4
        assert "got key 你好" in "".join(event.text for event in editor.progress if event.kind == "output")

    play(shared_terminal, scene)


def test_a_container_is_committed_and_started_again(shared_terminal: Terminal) -> None:
    name = f"rpc-{os.urandom(4).hex()}"

    async def scene(editor: Editor) -> None:
        run = {
            "image": "busybox",
            "name": name,
            "command": ["sh", "-c", "echo x >> /n; rm /bin/true"],
            "network": "none",
        }
        assert (await editor.request("container/run", run)).exitCode == 0
        rows = (await editor.request("container/diff", {"container": name})).changes
        assert [(row.kind, row.path) for row in rows] == [
            ("changed", "/bin"),
            ("deleted", "/bin/true"),
            ("added", "/n"),
        ]
        params = {"container": name, "reference": f"{name}:1", "message": "by hand", "changes": ["CMD cat /n"]}
        made = await editor.request("container/commit", params)
        assert (made.reference, made.size) == (f"{name}:1", 2)
        with pytest.raises(JsonRpcException, match="not allowed"):
            await editor.request("container/commit", {**params, "changes": ["RUN x"]})
        await editor.request("container/start", {"container": name})
        await asyncio.sleep(0.3)
        await editor.request("container/restart", {"container": name, "timeout": 1})
        await asyncio.sleep(0.3)

    play(shared_terminal, scene)
    assert shared_terminal("run", "--rm", "--network", "none", f"{name}:1") == "x\n"
    assert shared_terminal("cp", f"{name}:/n", "-").count("x\n") == 3
    shared_terminal("rm", "-f", name)
    shared_terminal("rmi", f"{name}:1")


def test_an_open_window_hears_of_what_containers_do_by_themselves(shared_terminal: Terminal) -> None:
    name = f"rpc-{os.urandom(4).hex()}"
    program = "while ! test -e /end; do sleep 0.2; done; exit 4"

    async def scene(editor: Editor) -> None:
        async def shown() -> Any:
            rows = (await editor.request("container/list", {"all": True})).containers
            return next(row for row in rows if row.name == name)

        async def heard(path: str) -> None:
            """Change something inside, which nobody tells, and wait until the window is told."""
            await asyncio.sleep(0.5)  # what was told before has arrived
            editor.changes.clear()
            shared_terminal("exec", name, "touch", path)
            for _ in range(600):
                if editor.changes:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError(f"not told after {path}")

        row = await shown()
        assert (row.state, row.health) == ("running", "starting")
        await heard("/well")
        assert (await shown()).health == "healthy"
        await heard("/end")
        row = await shown()
        assert (row.state, row.exitCode, row.health) == ("exited", 4, None)

    shared_terminal(
        "run", "-d", "--name", name, "--network", "none", "--health-cmd", "test -e /well", "--health-interval", "300ms",
        "--health-start-period", "1h", "--health-start-interval", "300ms", "busybox", "sh", "-c", program,
    )  # fmt: skip
    try:
        play(shared_terminal, scene)
    finally:
        shared_terminal("rm", "-f", name)


def test_an_open_dockerfile_has_its_findings_published(shared_terminal: Terminal) -> None:
    async def scene(editor: Editor) -> None:
        item = types.TextDocumentItem(
            uri="file:///x/Dockerfile", language_id="dockerfile", version=1, text="FROM x\nRUM y\n"
        )
        editor.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
        for _ in range(100):
            if editor.diagnostics.get(item.uri):
                break
            await asyncio.sleep(0.05)
        assert "did you mean RUN?" in editor.diagnostics[item.uri][0].message

    play(shared_terminal, scene)


def test_a_killed_server_leaves_a_store_that_works_and_its_container_running(
    shared_terminal: Terminal, context: Path
) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 100\n")
    name = f"survivor-{os.urandom(3).hex()}"

    async def scene() -> None:
        editor = Editor()
        await editor.start(shared_terminal)
        run = {"image": "busybox", "command": ["sleep", "60"], "name": name, "detach": True}
        await editor.request("container/run", run)
        editor.client.protocol.send_request_async("image/build", {"context": str(context), "partialResultToken": "k"})
        while not any(event.kind == "step-log" for event in editor.progress):
            await asyncio.sleep(0.05)
        assert editor.client._server is not None
        editor.client._server.kill()
        await asyncio.sleep(0.2)

    asyncio.run(scene())
    assert name in shared_terminal("ps")
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo fine\n")
    shared_terminal("build", "-t", "after:1", str(context))
    shared_terminal("rm", "-f", name)
