"""Commit, typed as a person follows the tutorial, and what a committed image is."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal
from keyboard import Keyboard

CHANGES = """
mkdir -p /new/deep && echo one > /new/deep/file && ln /new/deep/file /new/second && ln -s deep /new/link
chmod 4755 /new/deep/file && chown 33:33 /new/deep && mkfifo /new/pipe
rm /bin/true && rm -r /home && mkdir /home && echo x > /home/mine && echo more >> /etc/passwd
"""


@pytest.fixture
def named(shared_terminal: Terminal) -> Iterator[str]:
    """A name for a container, which is gone afterwards."""
    name = f"c-{os.urandom(4).hex()}"
    yield name
    shared_terminal("rm", "-f", name)


def layer_of(terminal: Terminal, image: str) -> dict[str, tarfile.TarInfo]:
    """The entries of an image's top layer."""
    process = terminal.start("save", image, stdout=subprocess.PIPE)
    data = process.communicate()[0]
    assert process.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or io.BytesIO())
        layer = archive.extractfile(manifest[0]["Layers"][-1])
        assert layer is not None
        with tarfile.open(fileobj=layer) as tar:
            return {member.name: member for member in tar}


@pytest.mark.several_ids
def test_the_layer_is_the_change_and_nothing_else(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "--name", named, "--network", "none", "busybox", "sh", "-ec", CHANGES)
    identity = shared_terminal("commit", named).strip()
    assert identity.startswith("sha256:") and len(identity) == 71
    entries = layer_of(shared_terminal, identity)
    assert sorted(entries) == [
        "bin", "bin/.wh.true", "etc", "etc/passwd", "home", "home/.wh..wh..opq", "home/mine", "new", "new/deep",
        "new/deep/file", "new/link", "new/pipe", "new/second",
    ]  # fmt: skip
    file, second = entries["new/deep/file"], entries["new/second"]
    assert {file.islnk(), second.islnk()} == {True, False}
    assert (file if second.islnk() else second).mode == 0o4755
    assert (entries["new/deep"].uid, entries["new/deep"].gid) == (33, 33)
    assert entries["new/link"].linkname == "deep" and entries["new/pipe"].isfifo()
    said = shared_terminal(
        "run", "--rm", "--network", "none", identity, "sh", "-c", "ls /home; cat /new/link/file; ls /bin/true; true"
    )
    assert "mine\none\n" in said
    assert "No such file" in said
    shared_terminal("rmi", "-f", identity)


@pytest.mark.parametrize("running", [True, False])
def test_mount_points_that_were_made_for_the_container_are_not_in_the_layer(
    shared_terminal: Terminal, named: str, running: bool
) -> None:
    mounts = ("-v", "/made/deep", "--tmpfs", "/bin/in", "--tmpfs", "/used/in", "-v", "/etc/passwd:/etc/one:ro")
    script = "echo x > /only; echo y > /used/file; echo z > /made/deep/volume; "
    shared_terminal(
        "run", "-d", "--name", named, *mounts, "busybox", "sh", "-c", script + ("exec sleep 100" if running else "true")
    )
    if running:
        until_there(shared_terminal, named, "/made/deep/volume")
    else:
        shared_terminal("wait", named)
    assert shared_terminal("diff", named).splitlines() == ["A /only", "A /used", "A /used/file"]
    identity = shared_terminal("commit", named).strip()
    assert sorted(layer_of(shared_terminal, identity)) == ["only", "used", "used/file"]
    shared_terminal("rmi", identity)
    shared_terminal("rm", "-f", "-v", named)


def test_a_container_without_changes_gives_no_layer(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "--name", named, "--network", "none", "busybox", "true")
    shared_terminal("commit", "-m", "nothing", named, "same:1")
    base = json.loads(shared_terminal("inspect", "busybox"))[0]["RootFS"]["Layers"]
    assert json.loads(shared_terminal("inspect", "same:1"))[0]["RootFS"]["Layers"] == base
    row = shared_terminal("history", "same:1").splitlines()[1]
    assert "0B" in row and row.endswith("nothing") and " true " in row
    assert "" == shared_terminal("run", "--rm", "--network", "none", "same:1")
    shared_terminal("rmi", "same:1")


@pytest.mark.several_ids
def test_the_configuration_is_the_containers_with_the_changes(shared_terminal: Terminal, named: str) -> None:
    shared_terminal(
        "run",
        "--name",
        named,
        "--network",
        "none",
        "-e",
        "A=1",
        "-l",
        "x=y",
        "-w",
        "/tmp",
        "-u",
        "33",
        "busybox",
        "true",
    )
    shared_terminal(
        "commit", "-a", "Ada", "-m", "why", "-c", "ENV B=$A/2 C=3", "-c", "EXPOSE 80 53/udp", "--change", "LABEL k=v",
        "-c", 'CMD ["a","b"]', "-c", "ENTRYPOINT /e", "-c", "ONBUILD RUN x", "-c", "VOLUME /v", "-c", "WORKDIR sub", named, "changed:1",
    )  # fmt: skip
    found = json.loads(shared_terminal("inspect", "changed:1"))[0]
    config = found["Config"]
    assert config["Env"] == ["A=1", "B=1/2", "C=3"]
    assert (config["Cmd"], config["Entrypoint"]) == (["a", "b"], ["/bin/sh", "-c", "/e"])
    assert sorted(config["ExposedPorts"]) == ["53/udp", "80/tcp"]
    assert config["Labels"] == {"x": "y", "k": "v"}
    assert (config["OnBuild"], list(config["Volumes"])) == (["RUN x"], ["/v"])
    assert (config["WorkingDir"], config["User"]) == ("/tmp/sub", "33")
    assert (found["Author"], found["Comment"]) == ("Ada", "why")
    assert found["Parent"] == json.loads(shared_terminal("inspect", "busybox"))[0]["Id"]
    shared_terminal("rmi", "changed:1")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("RUN x", "RUN is not allowed"),
        ("", "nothing is not allowed"),
        ("EXPOSE x/y/z", "invalid"),
        ("FROM y", "FROM is not"),
    ],
)
def test_a_change_that_is_no_configuration_is_refused(
    shared_terminal: Terminal, named: str, change: str, complaint: str
) -> None:
    shared_terminal("run", "--name", named, "--network", "none", "busybox", "touch", "/x")
    before = shared_terminal("images", "-aq")
    assert complaint in shared_terminal("commit", "-c", change, named, "bad:1", code=1)
    assert before == shared_terminal("images", "-aq")


def test_bad_names_are_refused(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "--name", named, "--network", "none", "busybox", "true")
    assert "no container nosuch" in shared_terminal("commit", "nosuch", code=1)
    assert "error:" in shared_terminal("commit", named, "Upper:1", code=1)
    assert "neither true nor false" in shared_terminal("commit", "--pause=x", named, code=1)


WRITER = "i=0; while :; do i=$((i+1)); echo $i > /a; echo $i > /b; done"


def test_a_running_container_is_still_while_it_is_read_and_goes_on(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "--name", named, "--network", "none", "busybox", "sh", "-c", WRITER)
    until_there(shared_terminal, named, "/b")
    for number in range(3):
        name = f"still:{number}"
        shared_terminal("commit", named, name)
        first, second = (
            shared_terminal("run", "--rm", "--network", "none", name, "sh", "-c", "echo $(cat /a)-$(cat /b)")
            .strip()
            .split("-")
        )
        # Written one after the other, hence never further apart; an empty file is one being written.
        assert first == "" or second == "" or int(first) - int(second) in {0, 1}
    before = shared_terminal("exec", named, "stat", "-c", "%Y", "/a")
    time.sleep(1.1)
    assert before != shared_terminal("exec", named, "stat", "-c", "%Y", "/a")
    shared_terminal("rmi", *(f"still:{number}" for number in range(3)))


def test_pausing_stops_everything_until_it_is_let_go(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "--name", named, "--network", "none", "busybox", "sh", "-c", f"({WRITER}) & sleep 100")
    until_there(shared_terminal, named, "/b")
    shared_terminal("pause", named)
    assert "(Paused)" in shared_terminal("ps")
    assert "already paused" in shared_terminal("pause", named, code=1)
    assert "is paused" in shared_terminal("exec", named, "true", code=1)
    image = shared_terminal("commit", named).strip()
    time.sleep(0.3)
    again = shared_terminal("commit", named).strip()
    layers = [json.loads(shared_terminal("inspect", each))[0]["RootFS"]["Layers"][-1] for each in (image, again)]
    assert layers[0] == layers[1]
    shared_terminal("unpause", named)
    assert "is not paused" in shared_terminal("unpause", named, code=1)
    before = shared_terminal("exec", named, "stat", "-c", "%Y", "/a")
    time.sleep(1.1)
    assert before != shared_terminal("exec", named, "stat", "-c", "%Y", "/a")
    shared_terminal("pause", named)
    shared_terminal("stop", "-t", "1", named)
    assert "Exited (137)" in shared_terminal("ps", "-a")
    shared_terminal("rmi", "-f", image, again)


def test_a_container_goes_on_when_the_commit_is_killed(shared_terminal: Terminal, named: str) -> None:
    big = "dd if=/dev/zero of=/big bs=1M count=300 2>/dev/null; touch /ready; " + WRITER
    shared_terminal("run", "-d", "--name", named, "--network", "none", "busybox", "sh", "-c", big)
    until_there(shared_terminal, named, "/b")
    commit = shared_terminal.start("commit", named, "never:1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    layers = shared_terminal.root / "layers"
    while not any(name.startswith(".new-") for name in os.listdir(layers)):
        assert commit.poll() is None
        time.sleep(0.005)
    commit.kill()
    assert commit.wait() == -signal.SIGKILL
    time.sleep(0.3)
    before = shared_terminal("exec", named, "stat", "-c", "%Y", "/a")
    time.sleep(1.1)
    assert before != shared_terminal("exec", named, "stat", "-c", "%Y", "/a")
    assert "never" not in shared_terminal("images")


@pytest.mark.network
def test_the_tutorials_images_are_made_by_hand(shared_terminal: Terminal, debian_tar: Path) -> None:
    run = shared_terminal
    run("rm", "-f", "base-container", "app-container")
    run("import", "-c", 'CMD ["/bin/bash"]', "-", "debian:bookworm-slim", stdin=debian_tar.read_bytes())

    shell = Keyboard(run, "run", "--name=base-container", "-ti", "debian:bookworm-slim")
    shell.wait_for(r"root@[0-9a-f]{12}:/# ")
    shell.type("apt update && apt install -y --no-install-recommends nodejs; echo ended $?")
    code = shell.wait_for(r"ended (\d+)\r", 240)[1]
    if code != "0":
        pytest.skip(f"the Debian mirror cannot be reached from a container:\n{shell.seen[-400:]}")
    shell.type('node -e \'console.log("Hello" + " world!")\'')
    shell.wait_for("Hello world!")

    identity = run("container", "commit", "-m", "Add node", "base-container", "node-base").strip()
    assert run("images", "-q", "--no-trunc", "node-base").strip() == identity
    header, top, *below = run("image", "history", "node-base").splitlines()
    assert header.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert top.startswith(identity[7:19]) and "/bin/bash" in top and top.endswith("Add node") and "MB" in top
    assert below[0].startswith(run("images", "-q", "debian").strip())
    assert run("run", "--rm", "node-base", "node", "-e", "console.log('Hello again')") == "Hello again\n"
    shell.type("exit")
    assert shell.end() == 0
    assert run("rm", "-f", "base-container") == "base-container\n"

    shell = Keyboard(run, "run", "--name=app-container", "-ti", "node-base")
    shell.wait_for(r"root@[0-9a-f]{12}:/# ")
    shell.type("""echo 'console.log("Hello from an app")' > app.js""")
    shell.type("node app.js")
    shell.wait_for(r"node app\.js\s")
    shell.wait_for(r"Hello from an app\r")
    second = run("container", "commit", "-c", "CMD node app.js", "-m", "Add app", "app-container", "sample-app").strip()
    rows = run("image", "history", "sample-app").splitlines()[1:]
    assert [row[:12] for row in rows[:2]] == [second[7:19], identity[7:19]]
    assert rows[0].endswith("Add app") and rows[1].endswith("Add node") and " 33B " in rows[0]
    assert run("run", "--rm", "sample-app") == "Hello from an app\n"
    # Still at its prompt: it goes by force, and the terminal comes back.
    run("rm", "-f", "app-container")
    assert shell.end() == 137
    run("rmi", "sample-app", "node-base", "debian:bookworm-slim")


def until_there(terminal: Terminal, name: str, path: str) -> None:
    for _ in range(200):
        if terminal("exec", name, "sh", "-c", f"test -s {path} && echo yes; true") == "yes\n":
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")
