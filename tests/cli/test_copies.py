"""diff, cp and export: what a container changed, files in and out of it, and all of it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal

MAKE = """
mkdir -p /data/sub && echo one > /data/one && echo two > /data/sub/two && ln -s one /data/link && ln -s /etc/passwd /data/out
chown 33:33 /data/one && chmod 640 /data/one && rm /bin/true && echo more >> /etc/passwd && rm -r /home && mkdir /home
ln -s /data /todata
"""


@pytest.fixture(params=["running", "stopped"])
def made(shared_terminal: Terminal, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container with some files, which runs or has ended."""
    name = f"k-{os.urandom(4).hex()}"
    if request.param == "stopped":
        shared_terminal("run", "--name", name, "--network", "none", "busybox", "sh", "-ec", MAKE)
    else:
        script = f"{MAKE}\ntouch /ready; exec sleep 300"
        shared_terminal("run", "-d", "--name", name, "--network", "none", "busybox", "sh", "-ec", script)
        for _ in range(100):
            if "ready" in shared_terminal("exec", name, "ls", "/"):
                break
            time.sleep(0.05)
        shared_terminal("exec", name, "rm", "/ready")
    yield name
    shared_terminal("rm", "-f", name)


@pytest.fixture
def here(shared_terminal: Terminal) -> Iterator[Path]:
    """A directory of the account that types."""
    folder = Path("/var/tmp") / f"orlop-here-{os.urandom(4).hex()}"
    folder.mkdir()
    owned(shared_terminal, folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def owned(terminal: Terminal, path: Path) -> None:
    if terminal.account:
        subprocess.run(["chown", "-hR", f"{terminal.account}:", path], check=True)


def stream_of(terminal: Terminal, *words: str) -> bytes:
    process = terminal.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    data, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return data


def sh(terminal: Terminal, name: str, script: str) -> str:
    """What a script says about the container's files, whether it runs or not."""
    if name in terminal("ps", "--format", "{{.Names}}").split():
        return terminal("exec", name, "sh", "-c", script)
    image = terminal("commit", name).strip()
    said = terminal("run", "--rm", "--network", "none", "-u", "0", image, "sh", "-c", script)
    terminal("rmi", "-f", image)
    return said


@pytest.mark.several_ids
def test_diff_tells_what_was_added_changed_and_deleted(shared_terminal: Terminal, made: str) -> None:
    assert shared_terminal("diff", made).splitlines() == [
        "C /bin", "D /bin/true", "A /data", "A /data/link", "A /data/one", "A /data/out", "A /data/sub",
        "A /data/sub/two", "C /etc", "C /etc/passwd", "A /todata",
    ]  # fmt: skip


@pytest.mark.several_ids
def test_files_come_out(shared_terminal: Terminal, made: str, here: Path) -> None:
    run = shared_terminal
    run("cp", f"{made}:/data/one", str(here / "new"))
    assert (here / "new").read_text() == "one\n"
    assert ((here / "new").stat().st_mode & 0o777, (here / "new").stat().st_uid) == (0o640, here.stat().st_uid)
    run("cp", f"{made}:/data/one", str(here))
    run("cp", f"{made}:data/sub/", str(here / "tree"))
    run("cp", f"{made}:/data/sub", str(here / "tree"))
    run("cp", f"{made}:/data/sub/.", str(here / "tree"))
    assert sorted(str(path.relative_to(here)) for path in here.rglob("*")) == [
        "new", "one", "tree", "tree/sub", "tree/sub/two", "tree/two",
    ]  # fmt: skip
    assert "no such file" in run("cp", f"{made}:/nosuch", str(here), code=1)
    assert "there is no directory" in run("cp", f"{made}:/data/one", str(here / "a" / "b"), code=1)
    assert "it is a file" in run("cp", f"{made}:/data", str(here / "new"), code=1)


@pytest.mark.several_ids
def test_links_are_links_and_never_lead_out_of_the_container(shared_terminal: Terminal, made: str, here: Path) -> None:
    run = shared_terminal
    run("cp", f"{made}:/data/link", str(here))
    assert os.readlink(here / "link") == "one"
    run("cp", "-L", f"{made}:/data/link", str(here / "followed"))
    assert (here / "followed").read_text() == "one\n" and not (here / "followed").is_symlink()
    run("cp", "-L", f"{made}:/data/out", str(here / "passwd"))
    assert "more" in (here / "passwd").read_text()
    run("cp", f"{made}:/data/../../../../etc/group", str(here))
    assert "root:x:0:" in (here / "group").read_text()
    run("cp", f"{made}:/todata/one", str(here / "through"))
    assert (here / "through").read_text() == "one\n"


def test_an_image_cannot_make_a_copy_write_elsewhere_here(shared_terminal: Terminal, made: str, here: Path) -> None:
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        link = tarfile.TarInfo("t/away")
        link.type, link.linkname = tarfile.SYMTYPE, str(here / "victim")
        tar.addfile(link)
    (here / "victim").mkdir()
    (here / "target").mkdir()
    owned(shared_terminal, here)
    shared_terminal("cp", "-", f"{made}:/data", stdin=evil.getvalue())
    shared_terminal("cp", f"{made}:/data/t/.", str(here / "target"))
    (here / "file").write_text("x")
    shared_terminal("cp", f"{made}:/data/one", str(here / "target"))
    assert os.listdir(here / "victim") == []


@pytest.mark.several_ids
def test_files_go_in(shared_terminal: Terminal, made: str, here: Path) -> None:
    run = shared_terminal
    (here / "dir" / "deep").mkdir(parents=True)
    (here / "dir" / "deep" / "file").write_text("content")
    (here / "dir" / "deep" / "file").chmod(0o600)
    (here / "dir" / "link").symlink_to("deep/file")
    (here / "tolink").symlink_to(here / "dir")
    owned(run, here)
    run("cp", str(here / "dir" / "deep" / "file"), f"{made}:/etc/passwd")
    run("cp", str(here / "dir" / "deep" / "file"), f"{made}:/data")
    run("cp", str(here / "dir"), f"{made}:/data")
    run("cp", f"{here}/dir/.", f"{made}:/made")
    run("cp", "-L", str(here / "tolink"), f"{made}:/followed")
    run("cp", str(here / "tolink"), f"{made}:/asis")
    run("cp", str(here / "dir" / "deep" / "file"), f"{made}:/todata/sub/../through")
    script = "cat /etc/passwd /data/file /data/dir/deep/file /made/deep/file /followed/deep/file /data/through; readlink /asis; stat -c %u:%g:%a /data/file"
    assert sh(run, made, script).split("\n")[:2] == [f"{'content' * 6}{here / 'dir'}", "0:0:600"]
    run("cp", "-a", str(here / "dir" / "deep" / "file"), f"{made}:/kept")
    assert sh(run, made, "stat -c %u /kept") == f"{here.stat().st_uid}\n"
    assert "no such file" in run("cp", str(here / "nosuch"), f"{made}:/", code=1)
    assert "no such directory" in run("cp", str(here / "dir" / "deep" / "file"), f"{made}:/no/such/place", code=1)
    assert "it is a file" in run("cp", str(here / "dir"), f"{made}:/data/one", code=1)
    assert "neither side" in run("cp", "/x", "/y", code=1)


def test_a_link_in_a_container_does_not_lead_a_copy_out(shared_terminal: Terminal, made: str, here: Path) -> None:
    source = here / "file"
    source.write_text("in")
    owned(shared_terminal, here)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("escape")
        link.type, link.linkname = tarfile.SYMTYPE, f"../../../../../..{here}"
        tar.addfile(link)
    shared_terminal("cp", "-", f"{made}:/data", stdin=archive.getvalue())
    said = shared_terminal("cp", str(source), f"{made}:/data/escape/stolen", code=1)
    assert "no such directory" in said
    assert sorted(os.listdir(here)) == ["file"]


@pytest.mark.several_ids
def test_tar_streams_go_both_ways(shared_terminal: Terminal, made: str) -> None:
    data = stream_of(shared_terminal, "cp", f"{made}:/data", "-")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: member for member in tar}
    assert sorted(found) == ["data", "data/link", "data/one", "data/out", "data/sub", "data/sub/two"]
    assert (found["data/one"].uid, found["data/one"].mode) == (33, 0o640)
    shared_terminal("cp", "-a", "-", f"{made}:/home", stdin=data)
    assert sh(shared_terminal, made, "stat -c %u /home/data/one; cat /home/data/sub/two") == "33\ntwo\n"
    assert "is no directory" in shared_terminal("cp", "-", f"{made}:/data/one", stdin=data, code=1)
    assert "error:" in shared_terminal("cp", "-", f"{made}:/data", stdin=b"no tar" * 500, code=1)


@pytest.mark.several_ids
def test_an_export_is_the_whole_file_system(shared_terminal: Terminal, made: str, here: Path) -> None:
    data = stream_of(shared_terminal, "export", made)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name.removeprefix("./"): member for member in tar}
    assert {"bin/busybox", "etc/passwd", "data/one", "data/sub/two"} <= set(found)
    assert not {"bin/true", "dev/null"} & set(found)
    assert found["data/one"].uid == 33
    shared_terminal("export", "-o", str(here / "x.tar"), made)
    shared_terminal("import", str(here / "x.tar"), "again:1")
    assert "one\n" == shared_terminal("run", "--rm", "--network", "none", "again:1", "cat", "/data/one")
    shared_terminal("rmi", "again:1")
