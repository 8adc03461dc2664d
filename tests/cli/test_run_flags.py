"""The flags of run: ports, mounts, volumes, limits and powers."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal

SERVER = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture
def named(shared_terminal: Terminal) -> Iterator[str]:
    """A name for a container or volume, which is gone afterwards."""
    name = f"f-{os.urandom(4).hex()}"
    yield name
    shared_terminal("rm", "-f", name)
    shared_terminal("volume", "rm", "-f", name)


def once(terminal: Terminal, *words: str, code: int = 0) -> str:
    return terminal("run", "--rm", "--network", "none", *words, code=code)


@pytest.mark.network_helper
def test_a_published_port_answers_on_this_host(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "--name", named, "-p", "127.0.0.1::80", "busybox", "sh", "-c", SERVER)
    where = shared_terminal("port", named, "80").strip()
    assert where.startswith("127.0.0.1:") and f"{where}->80/tcp" in shared_terminal("ps")
    assert page(where) == "page\n"
    assert shared_terminal("port", named).strip() == f"80/tcp -> {where}"
    assert "no public port" in shared_terminal("port", named, "81", code=1)
    document = json.loads(shared_terminal("inspect", named))[0]
    assert document["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": where.partition(":")[2]}]
    }
    taken = shared_terminal("run", "--rm", "-p", f"{where}:80", "busybox", "true", code=125)
    assert "in use" in taken
    shared_terminal("restart", "-t", "0", named)
    assert page(shared_terminal("port", named, "80").strip()) == "page\n"
    again = shared_terminal("port", named, "80").strip()
    shared_terminal("stop", "-t", "0", named)
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(again.partition(":")[2]))) != 0:
                break
        time.sleep(0.05)
    else:
        raise AssertionError("the port is held still")


@pytest.mark.network_helper
def test_all_exposed_ports_are_published_on_free_ones(shared_terminal: Terminal, named: str) -> None:
    shared_terminal("run", "-d", "--name", named, "-P", "--expose", "80", "busybox", "sh", "-c", SERVER)
    everywhere, six = shared_terminal("port", named, "80/tcp").splitlines()
    assert page(f"127.0.0.1:{everywhere.rpartition(':')[2]}") == "page\n" and six.startswith("[::]:")


@pytest.mark.parametrize(
    "flag",
    [
        ("-p", "x:80"),
        ("-v", "/a:/b:/c:/d"),
        ("--mount", "type=magic,target=/x"),
        ("-m", "much"),
        ("--ulimit", "x"),
        ("--cap-add", "FLY"),
        ("-m", "1k"),
        ("--restart", "always"),
        ("--security-opt", "x=y"),
        ("-v", "vol:rel"),
        ("--nosuch",),
        ("--mount", "type=bind,source=/nosuch,target=/x"),
        ("--network", "mine"),
        ("-v", "a/b:/x"),
    ],
)
def test_a_bad_flag_is_125_and_leaves_nothing(shared_terminal: Terminal, flag: tuple[str, ...]) -> None:
    before = shared_terminal("ps", "-aq"), shared_terminal("volume", "ls", "-q")
    said = shared_terminal("run", "--rm", *flag, "busybox", "true", code=125)
    assert "error:" in said or "orlop run:" in said
    assert before == (shared_terminal("ps", "-aq"), shared_terminal("volume", "ls", "-q"))


@pytest.mark.parametrize(
    ("command", "code"), [(("nosuch",), 127), (("/etc/passwd",), 126), (("/etc",), 126), (("sh", "-c", "exit 9"), 9)]
)
def test_exit_codes_are_dockers(shared_terminal: Terminal, command: tuple[str, ...], code: int) -> None:
    once(shared_terminal, "busybox", *command, code=code)


def test_a_path_of_this_host_is_mounted(shared_terminal: Terminal, context: Path) -> None:
    if shared_terminal.account:
        os.chmod(context, 0o777)
    (context / "file").write_text("here\n")
    assert once(shared_terminal, "-v", f"{context}:/x:ro", "busybox", "cat", "/x/file") == "here\n"
    assert "Read-only" in once(shared_terminal, "-v", f"{context}:/x:ro", "busybox", "touch", "/x/y", code=1)
    once(
        shared_terminal,
        "--mount",
        f"type=bind,source={context},target=/x",
        "busybox",
        "sh",
        "-c",
        "echo made > /x/made",
    )
    assert (context / "made").read_text() == "made\n"
    assert once(shared_terminal, "-v", f"{context}/file:/etc/one", "busybox", "cat", "/etc/one") == "here\n"


def test_a_named_volume_is_filled_once_and_stays(shared_terminal: Terminal, named: str) -> None:
    script = "stat -c %a /root; ls -a /etc | sort | head -3 | tail -1; echo kept > /etc/mine"
    first = once(
        shared_terminal,
        "-v",
        f"{named}:/etc",
        "--mount",
        f"source={named}-b,target=/root",
        "busybox",
        "sh",
        "-c",
        script,
    )
    assert first == "700\ngroup\n"
    assert once(shared_terminal, "-v", f"{named}:/data", "busybox", "cat", "/data/mine") == "kept\n"
    assert once(shared_terminal, "-v", f"{named}-empty:/tmp:nocopy", "busybox", "stat", "-c", "%a", "/tmp") == "755\n"
    assert named in shared_terminal("volume", "ls", "-q").split()
    document = json.loads(shared_terminal("volume", "inspect", named))[0]
    assert document["Name"] == named and document["Mountpoint"].endswith("/_data")
    shared_terminal("create", "--name", named, "-v", f"{named}:/x", "busybox", "true")
    mounts = json.loads(shared_terminal("inspect", named))[0]["Mounts"]
    assert [(each["Type"], each["Name"], each["Destination"], each["RW"]) for each in mounts] == [
        ("volume", named, "/x", True)
    ]
    assert "uses it" in shared_terminal("volume", "rm", named, code=1)
    shared_terminal("rm", "-v", named)
    shared_terminal("volume", "rm", named, f"{named}-b", f"{named}-empty")
    assert "no volume" in shared_terminal("volume", "inspect", named, code=1)


def test_anonymous_volumes_go_with_their_container(shared_terminal: Terminal, named: str) -> None:
    before = shared_terminal("volume", "ls", "-q")
    once(shared_terminal, "-v", "/own", "busybox", "touch", "/own/x")
    assert before == shared_terminal("volume", "ls", "-q")
    shared_terminal(
        "run", "--name", named, "--network", "none", "-v", "/own", "busybox", "sh", "-c", "echo x > /own/file"
    )
    assert len(shared_terminal("volume", "ls", "-q").split()) == len(before.split()) + 1
    shared_terminal("commit", named, f"{named}:1")
    assert json.loads(shared_terminal("inspect", f"{named}:1"))[0]["Config"]["Volumes"] == {"/own": {}}
    shared_terminal("rm", "-v", named)
    assert before == shared_terminal("volume", "ls", "-q")
    # The image has a volume there now, and its own nothing in it: what lay in the volume is no part of the image.
    assert once(shared_terminal, f"{named}:1", "ls", "/own") == ""
    shared_terminal("rmi", f"{named}:1")


def test_a_tmpfs_is_empty_and_limited(shared_terminal: Terminal) -> None:
    said = once(
        shared_terminal,
        "--tmpfs",
        "/t:size=1m",
        "busybox",
        "sh",
        "-c",
        "dd if=/dev/zero of=/t/x bs=64k count=32 2>&1; stat -c %a /t",
    )
    assert "No space left" in said and said.endswith("1777\n")


@pytest.mark.several_ids
def test_the_surroundings_are_as_asked(shared_terminal: Terminal, context: Path) -> None:
    (context / "env").write_text("# no\nA=1\n\nB=two words\n")
    script = "hostname; cat /etc/hosts /etc/resolv.conf; echo $A/$B; ulimit -n; df -k /dev/shm | tail -1; id"
    said = shared_terminal(
        "run", "--rm", "-h", "boxy", "--add-host", "db:10.1.2.3", "--dns", "9.9.9.9", "--env-file", str(context / "env"),
        "--ulimit", "nofile=77:99", "--shm-size", "2m", "--group-add", "4", "busybox", "sh", "-c", script,
    )  # fmt: skip
    assert said.startswith("boxy\n") and "10.1.2.3\tdb" in said.replace(" ", "\t") and "nameserver 9.9.9.9" in said
    assert "1/two words\n77\n" in said and " 2048 " in said and "4(adm)" in said


def test_powers_are_taken_and_given(shared_terminal: Terminal) -> None:
    cap = ("grep", "CapEff", "/proc/self/status")
    assert "0000000000000000" in once(shared_terminal, "--cap-drop", "ALL", "busybox", *cap)
    assert "0000000000000400" in once(
        shared_terminal, "--cap-drop", "ALL", "--cap-add", "net_bind_service", "busybox", *cap
    )
    assert int(once(shared_terminal, "--privileged", "busybox", *cap).split()[1], 16) >> 21 & 1
    assert "NoNewPrivs:\t1" in once(
        shared_terminal, "--security-opt", "no-new-privileges", "busybox", "grep", "NoNewPrivs", "/proc/self/status"
    )
    once(shared_terminal, "--privileged", "busybox", "mount", "-t", "tmpfs", "x", "/tmp")
    assert "Read-only" in once(shared_terminal, "--read-only", "busybox", "touch", "/x", code=1)


def test_limits_hold_or_are_named_as_ignored(shared_terminal: Terminal) -> None:
    said = once(
        shared_terminal,
        "--pids-limit",
        "5",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "busybox",
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo all",
        code=0 if shared_terminal.account or os.geteuid() != 0 else 2,
    )
    if "ignored" in said:
        assert said.count("ignored") == 3 and "all" in said
    else:
        assert "all" not in said


def test_a_stop_signal_of_ones_own_is_sent(shared_terminal: Terminal, named: str) -> None:
    shared_terminal(
        "run",
        "-d",
        "--name",
        named,
        "--network",
        "none",
        "--stop-signal",
        "USR1",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 8' USR1; echo up; while :; do sleep 0.05; done",
    )
    for _ in range(100):
        if "up" in shared_terminal("logs", named):
            break
        time.sleep(0.05)
    shared_terminal("stop", named)
    assert "Exited (8)" in shared_terminal("ps", "-a")


def page(where: str) -> str:
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://{where}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing answers at {where}")
