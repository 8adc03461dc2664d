"""Containers as an editor works with them: what it is told, logs, shells, files, and what survives a killed server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from harness import Terminal
from orlop.protocol import methods
from rpc.test_server import Editor, play

pytestmark = pytest.mark.filterwarnings("ignore")

SECONDS = 30


def fresh(stem: str) -> str:
    return f"{stem}-{os.urandom(4).hex()}"


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; generously, two processors may have much to do."""
    for _ in range(SECONDS * 20):
        if found := condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class Stage:
    """What a scene asks of a server, in short words."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.exits: list[Any] = []
        self.events: dict[str, list[Any]] = {}
        editor.client.feature(methods.CONTAINER_DID_EXIT.name)(lambda params: self.exits.append(params))

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.editor.request(method, params)

    def begin(self, method: str, token: str, **params: Any) -> asyncio.Future[Any]:
        """A request that streams; its id is its token."""
        return asyncio.ensure_future(
            self.editor.client.protocol.send_request_async(
                method, {**params, "partialResultToken": token}, msg_id=token
            )
        )

    async def stop(self, token: str, future: asyncio.Future[Any]) -> None:
        self.editor.client.cancel_request(types.CancelParams(id=token))
        with pytest.raises(JsonRpcException):
            await asyncio.wait_for(future, SECONDS)

    def type(self, token: str, data: str) -> None:
        self.editor.client.protocol.notify("session/input", {"token": token, "data": data})

    def text(self) -> str:
        return "".join(event.text for event in self.editor.progress if event.kind == "output")

    def kinds(self) -> list[str]:
        return [event.kind for event in self.editor.progress]

    async def run(self, name: str, script: str, **more: Any) -> None:
        params = {"command": ["sh", "-c", script], "network": "none", "detach": True, **more}
        await self.ask("container/run", image="busybox", name=name, **params)

    async def listed(self, name: str) -> Any:
        rows = (await self.ask("container/list", all=True)).containers
        return next((row for row in rows if row.name == name), None)


async def refused(stage: Stage, kind: str, method: str, **params: Any) -> str:
    with pytest.raises(JsonRpcException) as caught:
        await stage.ask(method, **params)
    assert caught.value.data["kind"] == kind, caught.value
    return str(caught.value)


def test_a_container_is_led_through_its_life(shared_terminal: Terminal) -> None:
    name, other = fresh("life"), fresh("renamed")

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        await stage.run(name, "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done")
        row = await stage.listed(name)
        assert (row.state, row.tty, row.interactive, row.ports, row.finished) == ("running", False, False, [], None)
        assert row.started >= row.created
        await stage.ask("container/pause", container=name)
        assert (await stage.listed(name)).state == "paused"
        await stage.ask("container/unpause", container=name)
        await stage.ask("container/rename", container=name, name=other)
        assert (await stage.listed(other)).id == row.id
        watching = stage.begin("container/stats", "stats", containers=[other])
        await until(lambda: sum(event.kind == "stats" for event in editor.progress) >= 2, "two looks")
        look = editor.progress[-1]
        assert (look.name, look.processes >= 1, 0 < look.memory < look.limit) == (other, True, True)
        await stage.stop("stats", watching)
        await stage.ask("container/stop", container=other)
        await until(lambda: [(each.id, each.exitCode) for each in stage.exits] == [(row.id, 3)], "the exit")
        assert (await stage.listed(other)).exitCode == 3
        shown = (await stage.ask("container/prune", dryRun=True)).containers
        assert other in [each.name for each in shown]
        await stage.run(name, "true")
        await until(lambda: len(stage.exits) == 2, "the second exit")
        gone = (await stage.ask("container/prune", only=[row.id])).containers
        assert [each.name for each in gone] == [other], "what was not shown stays"
        assert await stage.listed(name)
        await stage.ask("container/remove", containers=[name])

    play(shared_terminal, scene)


def test_an_end_that_nobody_asked_for_is_told_without_polling(shared_terminal: Terminal) -> None:
    name = fresh("ends")

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        await stage.run(name, "until [ -e /go ]; do sleep 0.05; done; sleep 1; exit 7")
        container = await stage.listed(name)
        await asyncio.sleep(1)
        editor.changes.clear()
        await stage.ask("file/write", container=name, path="/go", data=base64.b64encode(b"x").decode())
        await until(lambda: stage.exits, "the exit")
        assert [(each.id, each.exitCode) for each in stage.exits] == [(container.id, 7)]
        await until(lambda: editor.changes, "a change of the store")
        await stage.ask("container/remove", containers=[name])

    play(shared_terminal, scene)


def test_a_log_goes_on_through_the_next_run(shared_terminal: Terminal) -> None:
    name = fresh("log")

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        await stage.run(name, "for i in 1 2 3; do echo line $i 日志; done; echo oops >&2; exit 5")
        await until(lambda: stage.exits, "the exit")
        await stage.ask("container/logs", container=name, tail=2, partialResultToken="once")
        assert stage.text() in ("line 3 日志\noops\n", "oops\nline 3 日志\n")
        editor.progress.clear()
        following = stage.begin("container/logs", "tail", container=name, follow=True)
        await until(lambda: "ended" in stage.kinds(), "the first end")
        assert stage.kinds()[-1] == "ended"
        assert editor.progress[-1].exitCode == 5
        await stage.ask("container/start", container=name)
        await until(lambda: stage.kinds().count("ended") == 2, "the second end")
        assert "opened" in stage.kinds()
        assert stage.text().count("line 3 日志") == 2
        await stage.ask("container/remove", containers=[name])
        await asyncio.wait_for(following, SECONDS)

    play(shared_terminal, scene)


def test_a_shell_has_a_size_colors_and_every_script(shared_terminal: Terminal) -> None:
    name = fresh("shell")

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        await stage.run(name, "sleep 300")
        shell = stage.begin("session/exec", "sh", container=name, columns=91, rows=31)
        await until(lambda: "opened" in stage.kinds(), "the shell")
        stage.type("sh", "stty size; echo $TERM; printf '%s\\n' 你好-$((6 * 7)); cd /tmp\n")
        await until(lambda: "你好-42" in stage.text(), "the answer")
        assert "31 91" in stage.text()
        assert "xterm-256color" in stage.text()
        editor.client.protocol.notify("session/resize", {"token": "sh", "columns": 60, "rows": 20})
        stage.type("sh", "stty size\n")
        await until(lambda: "20 60" in stage.text(), "the new size")
        stage.type("sh", "(trap '' HUP; sleep 200) & exit 9\n")
        assert (await asyncio.wait_for(shell, SECONDS)).exitCode == 9, "what stays in the background holds nobody up"
        killed = stage.begin("session/exec", "k", container=name, command=["sh", "-c", "echo begun; sleep 299"])
        await until(lambda: "begun" in stage.text(), "the second program")
        await stage.stop("k", killed)
        await until(lambda: "sleep 299" not in shared_terminal("top", name), "its end")
        await stage.ask("container/remove", containers=[name], force=True)

    play(shared_terminal, scene)


def test_a_flood_waits_for_the_reader_and_the_keyboard_does_not_wait(shared_terminal: Terminal) -> None:
    name = fresh("flood")

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        await stage.run(name, "sleep 300")
        flood = stage.begin("session/exec", "flood", container=name, command=["sh", "-c", "yes; echo after"])
        await until(lambda: len(stage.text()) > 80_000, "the flood")
        await asyncio.sleep(1)
        held = len(stage.text())
        assert held < 200_000, "nothing was shown, so nothing more comes"
        editor.client.protocol.notify("stream/ack", {"token": "flood", "characters": held})
        await until(lambda: len(stage.text()) > held, "more of it")
        stage.type("flood", "\x03")
        done = asyncio.ensure_future(asyncio.wait_for(flood, SECONDS))
        while not done.done():
            editor.client.protocol.notify("stream/ack", {"token": "flood", "characters": 100_000})
            await asyncio.sleep(0.02)
        assert (await done).exitCode == 130
        assert len(stage.text()) < 3_000_000
        await stage.ask("container/remove", containers=[name], force=True)

    play(shared_terminal, scene)


@pytest.mark.several_ids
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_files_are_read_and_written_whether_it_runs_or_not(
    shared_terminal: Terminal, context: Path, state: str
) -> None:
    name = fresh("files")
    make = "mkdir -p /d/sub; echo one > /d/one; chmod 640 /d/one; chown 33:33 /d/one; ln -s one /d/link; \
        ln -s /../../../../etc/hostname /d/out; ln -s nowhere /d/lost; mkfifo /d/pipe; rm /bin/true; echo x >> /etc/passwd"
    context.chmod(0o777)

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)

        async def read(path: str, side: str = "container") -> str:
            answer = await stage.ask("file/read", container=name, path=path, side=side)
            return base64.b64decode(answer.data).decode()

        async def write(path: str, text: str, **more: Any) -> None:
            data = base64.b64encode(text.encode()).decode()
            await stage.ask("file/write", container=name, path=path, data=data, **more)

        async def entries(path: str) -> dict[str, Any]:
            rows = (await stage.ask("file/list", container=name, path=path)).entries
            return {row.name: row for row in rows}

        await stage.run(name, f"{make}; touch /made; {'exec sleep 300' if state == 'running' else 'true'}")
        if state == "stopped":
            await until(lambda: stage.exits, "the end")
        for _ in range(200):
            if "made" in await entries("/"):
                break
        found = await entries("/d")
        kinds = {key: (row.kind, row.target) for key, row in found.items()}
        assert kinds == {
            "link": ("file", "one"), "lost": ("other", "nowhere"), "one": ("file", None), "sub": ("directory", None),
            "out": ("file", "/../../../../etc/hostname"), "pipe": ("other", None),
        }  # fmt: skip
        assert (found["one"].mode, found["one"].uid, found["link"].size) == (0o640, 33, 4)
        assert await read("/d/link") == "one\n"
        inside = await read("/d/out")
        assert inside.strip() != os.uname().nodename
        await write("/d/link", "two 二\n")
        found = await entries("/d")
        assert found["link"].target == "one", "a link stays one"
        assert (found["one"].mode, found["one"].uid, await read("/d/one")) == (0o640, 33, "two 二\n")
        await write("/d/sub/new", "n", overwrite=False)
        await refused(stage, "conflict", "file/write", container=name, path="/d/sub/new", data="", overwrite=False)
        await refused(stage, "not-found", "file/write", container=name, path="/d/none", data="", create=False)
        await refused(stage, "conflict", "file/remove", container=name, path="/d/sub")
        await refused(stage, "invalid", "file/read", container=name, path="/d/pipe")
        await refused(stage, "not-found", "file/read", container=name, path="/d/lost")
        await stage.ask("file/makeDirectory", container=name, path="/d/deep")
        await stage.ask("file/rename", container=name, path="/d/sub/new", target="/d/deep/moved")
        await stage.ask("file/remove", container=name, path="/d/sub", recursive=True)
        assert sorted(await entries("/d/deep")) == ["moved"]
        await stage.ask("file/remove", container=name, path="/d/lost")
        assert "sub" not in await entries("/d")
        assert "lost" not in await entries("/d")
        assert not any(row.startswith(".orlop") for row in await entries("/d"))
        before, after = await read("/etc/passwd", "image"), await read("/etc/passwd")
        assert after == f"{before}x\n"
        rows = (await stage.ask("container/diff", container=name)).changes
        changed = {row.path: row.kind for row in rows}
        assert (changed["/etc/passwd"], changed["/bin/true"], changed["/d/one"]) == ("changed", "deleted", "added")
        await write("/etc/hosts", "127.0.0.1 written\n")
        if state == "running":
            assert shared_terminal("exec", name, "cat", "/etc/hosts") == "127.0.0.1 written\n"
            assert "/etc/hosts" in shared_terminal("exec", name, "cat", "/proc/self/mountinfo"), "it is mounted still"
        params = {"container": name, "path": "/d/one", "hostPath": str(context / "got")}
        await stage.ask("file/copy", direction="download", **params)
        assert (context / "got").read_text() == "two 二\n"
        await stage.ask("file/copy", direction="upload", **{**params, "path": "/d/back"})
        assert await read("/d/back") == "two 二\n"
        await stage.ask("container/remove", containers=[name], force=True)

    play(shared_terminal, scene)


def test_a_container_without_any_program_still_shows_its_files(shared_terminal: Terminal, context: Path) -> None:
    image, name = fresh("rpc/bare"), fresh("bare")
    (context / "Dockerfile").write_text('FROM scratch\nCOPY greeting /etc/\nCMD ["/none"]\n')
    (context / "greeting").write_text("hello\n")
    shared_terminal("build", "-q", "-t", image, str(context))
    shared_terminal("create", "--name", name, image)

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        answer = await stage.ask("file/read", container=name, path="/etc/greeting")
        assert base64.b64decode(answer.data) == b"hello\n"
        assert "not running" in await refused(stage, "conflict", "session/exec", container=name)

    play(shared_terminal, scene)
    shared_terminal("rm", name)


def test_a_container_goes_on_when_its_server_is_killed_and_the_next_one_knows_everything(
    shared_terminal: Terminal,
) -> None:
    name, other = fresh("survivor"), fresh("attended")

    async def first(editor: Editor) -> None:
        stage = Stage(editor)
        script = "for i in 1 2 3; do echo early $i; done; read word; echo late $word; exit 6"
        stage.begin(
            "container/run", "r1", image="busybox", name=name, command=["sh", "-c", script], interactive=True, tty=True,
            network="none", remove=True,
        )  # fmt: skip
        await until(lambda: "early 3" in stage.text(), "its first words")
        server = editor.client._server
        assert server is not None
        server.kill()
        await server.wait()
        await editor.client.stop()

    async def killed() -> None:
        editor = Editor()
        await editor.start(shared_terminal)
        await first(editor)

    asyncio.run(killed())

    async def leaves(editor: Editor) -> None:
        stage = Stage(editor)
        assert (await stage.listed(name)).state == "running"
        # A window that closes says goodbye; what runs in its terminals goes on all the same.
        stage.begin(
            "container/run", "r2", image="busybox", name=other, command=["sleep", "300"], network="none", remove=True
        )
        await until(lambda: "opened" in stage.kinds(), "the second container")

    play(shared_terminal, leaves)

    async def returns(editor: Editor) -> None:
        stage = Stage(editor)
        assert (await stage.listed(other)).state == "running"
        await stage.ask("container/remove", containers=[other], force=True)
        attached = stage.begin("session/attach", "a1", container=name, replay=100, columns=70, rows=20)
        await until(lambda: "early 3" in stage.text(), "what was written before")
        assert [f"early {i}" in stage.text() for i in (1, 2, 3)] == [True] * 3
        log = stage.begin("container/logs", "log", container=name, follow=True)
        stage.type("a1", "words\n")
        assert (await asyncio.wait_for(attached, SECONDS)).exitCode == 6
        await until(lambda: stage.text().count("late words") == 2, "the last line in both")
        await asyncio.wait_for(log, SECONDS)
        assert await stage.listed(name) is None, "it was to go with its end"

    play(shared_terminal, returns)


@pytest.mark.network_helper
def test_inspect_tells_what_the_tree_tells(shared_terminal: Terminal) -> None:
    name = fresh("ports")
    shared_terminal("run", "-d", "--name", name, "--label", "a.b=c", "-p", "127.0.0.1::80", "busybox", "sleep", "300")

    async def scene(editor: Editor) -> None:
        stage = Stage(editor)
        row = await stage.listed(name)
        document = json.loads((await stage.ask("container/inspect", container=name)).json)
        (port,) = row.ports
        told = document["NetworkSettings"]["Ports"]["80/tcp"][0]
        assert (port.host, str(port.hostPort), port.containerPort) == (told["HostIp"], told["HostPort"], 80)
        await stage.ask("container/remove", containers=[name], force=True)

    play(shared_terminal, scene)
