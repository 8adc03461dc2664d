"""The terminal's whole way: import, build, list, run, as root and as an ordinary account."""

from __future__ import annotations

import json
import os
import pty
import signal
import time
from pathlib import Path

import pytest

from harness import Terminal

DOCKERFILE = """FROM busybox AS base
ARG GREETING=hello
ENV KIND=test
RUN echo "$GREETING" > /greeting && mkdir /data && chown www-data /data
WORKDIR /app
COPY . .
FROM base
COPY --from=base --chown=33:33 /greeting /copied
USER www-data
CMD ["cat", "/greeting", "/app/file"]
"""


@pytest.fixture
def built(shared_terminal: Terminal, context: Path) -> Terminal:
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "file").write_text("content\n")
    shared_terminal("build", "-t", "mobydock/app:1", str(context))
    return shared_terminal


@pytest.mark.several_ids
def test_a_built_image_is_listed_explained_and_runs(built: Terminal) -> None:
    assert "mobydock/app" in built("images")
    history = built("history", "mobydock/app:1", "--no-trunc")
    assert "RUN |1 GREETING=hello /bin/sh -c echo" in history
    assert "buildkit.dockerfile.v0" in history
    assert "hello\ncontent\n" == built("run", "--rm", "mobydock/app:1")
    assert "33\n" == built("run", "--rm", "mobydock/app:1", "id", "-u")


@pytest.mark.several_ids
def test_nothing_runs_again_when_nothing_changed(built: Terminal, context: Path) -> None:
    first = built("images", "-q", "mobydock/app")
    again = built("build", "--progress", "plain", "-t", "mobydock/app:1", str(context))
    assert again.count("CACHED") == 4
    assert first == built("images", "-q", "mobydock/app")


@pytest.mark.several_ids
def test_the_configuration_is_dockers(built: Terminal) -> None:
    config = json.loads(built("inspect", "mobydock/app:1"))[0]["Config"]
    assert (config["User"], config["WorkingDir"], config["Cmd"]) == (
        "www-data", "/app", ["cat", "/greeting", "/app/file"],
    )  # fmt: skip
    assert "KIND=test" in config["Env"]


@pytest.mark.parametrize("code", [0, 3, 127])
def test_the_exit_code_is_the_programs(shared_terminal: Terminal, code: int) -> None:
    shared_terminal("run", "--rm", "--network", "none", "busybox", "sh", "-c", f"exit {code}", code=code)


def test_a_program_that_is_not_there_is_127(shared_terminal: Terminal) -> None:
    assert "executable file not found" in shared_terminal("run", "--rm", "busybox", "nosuch", code=127)


def test_standard_input_reaches_the_program(shared_terminal: Terminal) -> None:
    assert "hi" == shared_terminal("run", "-i", "--rm", "--network", "none", "busybox", "cat", stdin=b"hi")


def test_a_terminal_has_its_size_and_follows_it(shared_terminal: Terminal) -> None:
    words = shared_terminal.words(
        "run", "--rm", "-it", "--network", "none", "busybox", "sh", "-c", "stty size; read x; stty size"
    )
    pid, master = pty.fork()
    if pid == 0:
        if shared_terminal.account:
            words = [
                "setpriv",
                f"--reuid={shared_terminal.account}",
                f"--regid={shared_terminal.account}",
                "--init-groups",
                *words,
            ]
        os.execvpe(words[0], words, shared_terminal._env(None))
    import fcntl
    import struct
    import termios

    output = b""
    resized = False
    try:
        while chunk := os.read(master, 4096):
            output += chunk
            if b"\n" in output and not resized:
                resized = True
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
                time.sleep(0.3)
                os.write(master, b"\n")
    except OSError:
        pass
    assert os.waitpid(pid, 0)[1] == 0
    assert b"40 120" in output


def test_a_detached_container_outlives_its_starter(shared_terminal: Terminal) -> None:
    name = f"stays-{os.urandom(3).hex()}"
    shared_terminal("run", "-d", "--name", name, "busybox", "sh", "-c", "echo up; exec sleep 60")
    assert name in shared_terminal("ps")
    assert "up\n" == shared_terminal("logs", name)
    assert "inside\n" == shared_terminal("exec", name, "echo", "inside")
    shared_terminal("rm", "-f", name)
    assert name not in shared_terminal("ps", "-a")


def test_an_interrupted_build_stops_at_once_and_leaves_no_image(shared_terminal: Terminal, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo started; sleep 100\n")
    import subprocess

    build = shared_terminal.start("build", "-t", "never:1", str(context), stderr=subprocess.PIPE)
    assert build.stderr is not None
    with build:
        seen = b""
        while b"started\n" not in seen:
            seen += build.stderr.read1(4096)
        clock = time.monotonic()
        os.kill(build.pid, signal.SIGINT)
        build.stderr.read()
        assert build.wait(10) == 130
    assert time.monotonic() - clock < 2
    assert "never" not in shared_terminal("images")


@pytest.mark.parametrize(
    ("text", "complaint", "code"),
    [
        ("FROM busybox\nRUM x\n", "unknown instruction: RUM (did you mean RUN?)", 1),
        ("FROM busybox\nCOPY --form=x a b\n", "unknown flag: --form (did you mean from?)", 1),
        ("FROM busybox\nCOPY missing /x\n", '"/missing": not found', 1),
        ("FROM busybox AS a\nCOPY --from=b /x /y\nFROM busybox AS b\nFROM a\n", "needs to be defined before", 1),
        ("", "the Dockerfile cannot be empty", 1),
        ("FROM nosuchimage\n", "nosuchimage", 1),
        ("FROM busybox\nRUN exit 42\n", "exit code: 42", 42),
        ("FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n", "exit code: 137", 137),
        ("FROM busybox\nRUN --mount=type=cache,target=/x true\n", "--mount", 1),
    ],
)
def test_a_bad_dockerfile_says_what_and_where(
    shared_terminal: Terminal, context: Path, text: str, complaint: str, code: int
) -> None:
    (context / "Dockerfile").write_text(text)
    before = shared_terminal("images", "-q")
    said = shared_terminal("build", str(context), code=code)
    assert complaint in said
    assert not text or f"{context}/Dockerfile:" in said or "nosuchimage" in said
    assert before == shared_terminal("images", "-q")


def test_a_source_that_is_ignored_names_the_line(shared_terminal: Terminal, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY secret /x\n")
    (context / ".dockerignore").write_text("# nothing\nsec*\n")
    (context / "secret").write_text("x")
    assert ".dockerignore:2: sec*" in shared_terminal("build", str(context), code=1)


def test_bad_names_and_places_are_refused(shared_terminal: Terminal, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\n")
    assert "invalid tag" in shared_terminal("build", "-t", "Bad:Tag:x", str(context), code=1)
    assert "does not exist" in shared_terminal("build", str(context / "nowhere"), code=1)
    assert "no such image" in shared_terminal("run", "--pull", "never", "nosuch:1", code=125)
    said = shared_terminal("run", "127.0.0.1:1/nosuch:1", code=125)
    assert said.startswith("Unable to find image '127.0.0.1:1/nosuch:1' locally\n")
    assert "cannot pull 127.0.0.1:1/nosuch:1: no connection" in said
    assert "invalid pull policy 'sometimes'" in shared_terminal("run", "--pull", "sometimes", "nosuch:1", code=125)
    assert "is not an orlop command, did you mean 'build'" in shared_terminal("biuld", code=1)


def test_a_corrupt_archive_is_refused(shared_terminal: Terminal) -> None:
    images = shared_terminal("images", "-q")
    assert "error:" in shared_terminal("import", "-", "bad:1", stdin=b"this is no tar" * 100, code=1)
    assert images == shared_terminal("images", "-q")
