"""Networks of ordinary users' containers: slirp4netns, pasta, and what is told where neither can run."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import netlab
import pytest

from orlop.core import errors
from orlop.core.job import CancelToken, Job
from orlop.runtime.network import attach, helper, resolv

USER = "orloptest"
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a host of its own")

ATTACH = """
import json, pathlib, sys
from orlop.core.job import Job
from orlop.runtime.network import attach, helper
pid, state, means = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
plan = attach.Plan("private", means) if means != "any" else attach.choose("private", state_dir=state, job=Job())
attachment = attach.attach("private", pid, container_id="x", state_dir=state, job=Job(), plan=plan)
print(json.dumps([plan.mode, plan.means, attachment.address, attachment.gateway, attachment.dns]), flush=True)
sys.stdin.read()
attachment.close()
"""


@pytest.fixture
def tun() -> None:
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        pytest.skip(f"needs an account {USER}")
    device = Path(helper.TUN)
    if os.getuid() == 0:
        # It stays open: other tests may be using it at the same time.
        device.chmod(0o666)


@pytest.fixture
def outside(tun: None) -> Iterator[netlab.Box]:
    with netlab.laboratory() as server:
        yield server


@pytest.fixture
def state() -> Iterator[Path]:
    made = netlab.run("runuser", "-u", USER, "--", "mktemp", "-d", "/tmp/orlop-net-XXXXXX").strip()
    yield Path(made)
    netlab.run("rm", "-r", made)


def helpers_of(pid: int) -> list[str]:
    """Command lines of processes that serve a container."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                words = (each / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith((b"slirp4netns", b"pasta")) and str(pid).encode() in words:
                found.append(words[0].decode())
    return found


@needs_root
@pytest.mark.parametrize("means", ["any", "slirp4netns", "pasta"])
def test_a_users_container_reaches_the_outside(outside: netlab.Box, state: Path, means: str) -> None:
    with netlab.box(user=USER) as container:
        with netlab.driven(USER, ATTACH, str(container.pid), str(state), means) as line:
            mode, used, address, gateway, dns = json.loads(line)
            assert (mode, used) == ("private", "slirp4netns" if means == "any" else means)
            assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST
            assert helpers_of(container.pid) != []
            if used == "slirp4netns":
                assert (address, gateway, dns) == ("10.0.2.100", "10.0.2.2", ["10.0.2.3"])
            else:
                assert address == netlab.HOST
        assert netlab.eventually(lambda: helpers_of(container.pid) == []), "it ends when it is closed"
        assert list(state.iterdir()) == []


@needs_root
@pytest.mark.parametrize("means", ["slirp4netns", "pasta"])
def test_the_helper_dies_with_a_killed_owner(outside: netlab.Box, state: Path, means: str) -> None:
    with netlab.box(user=USER) as container:
        command = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", netlab.PYTHON, "-c", ATTACH)
        owner = subprocess.Popen(
            [*command, str(container.pid), str(state), means], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert owner.stdout.readline() != b""
        owner.kill()
        owner.wait()
        owner.stdin.close()
        owner.stdout.close()
        assert netlab.eventually(lambda: helpers_of(container.pid) == [])


@needs_root
def test_the_hosts_loopback_is_out_of_reach(outside: netlab.Box, state: Path) -> None:
    with (
        netlab.serving("127.0.0.1", 8080),
        netlab.box(user=USER) as container,
        netlab.driven(USER, ATTACH, str(container.pid), str(state), "slirp4netns"),
    ):
        assert netlab.run("busybox", "wget", "-qO-", "http://127.0.0.1:8080/") == "127.0.0.1"
        assert container.fetch("http://10.0.2.2:8080/", 2) == ""


@needs_root
def test_root_without_a_bridge_uses_a_helper_too(
    outside: netlab.Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "_owns_network", lambda: False)
    plan = attach.choose("private", state_dir=tmp_path, job=Job())
    assert plan.means == "slirp4netns"
    with netlab.box() as container:
        attachment = attach.attach("private", container.pid, container_id="x", state_dir=tmp_path, job=Job(), plan=plan)
        assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST
        attachment.close()
        attachment.close()
        assert netlab.eventually(lambda: helpers_of(container.pid) == [])


@needs_root
def test_a_helper_that_fails_says_why_and_leaves_nothing(outside: netlab.Box, tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    before = set(os.listdir("/proc/self/fd"))
    plan = attach.Plan("private", "slirp4netns")
    with pytest.raises(errors.Unavailable, match="cannot start slirp4netns for a container: it ended") as caught:
        attach.attach("private", ended.pid, container_id="x", state_dir=tmp_path, job=Job(), plan=plan)
    assert "No such file" in (caught.value.detail or "")
    assert set(os.listdir("/proc/self/fd")) == before


@needs_root
def test_waiting_for_a_helper_can_be_cancelled(
    outside: netlab.Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "slirp4netns"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nread -r _ <&4\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=":")
    token = CancelToken()
    timer = threading.Timer(0.3, token.cancel)
    timer.start()
    begun = time.monotonic()
    plan = attach.Plan("private", "slirp4netns")
    with netlab.box() as container, pytest.raises(errors.Cancelled):
        attach.attach("private", container.pid, container_id="x", state_dir=tmp_path, job=Job(None, token), plan=plan)
    assert time.monotonic() - begun < 2
    timer.join()


def test_a_helper_is_chosen_by_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "_is_real_root", lambda: False)
    tun = tmp_path / "tun"
    assert helper.choose([str(tmp_path)], str(tun))[1:] == (
        "slirp4netns is not installed",
        "Install it: `sudo apt-get install slirp4netns`.",
    )
    (tmp_path / "pasta").write_text("")
    (tmp_path / "pasta").chmod(0o755)
    assert helper.choose([str(tmp_path)], str(tun)) == (
        None,
        f"{tun} does not exist",
        "Load the kernel's driver: `sudo modprobe tun`.",
    )
    tun.write_text("")
    assert helper.choose([str(tmp_path)], str(tun))[0] == "pasta"
    (tmp_path / "slirp4netns").symlink_to("pasta")
    assert helper.choose([str(tmp_path)], str(tun))[0] == "slirp4netns"


@needs_root
def test_root_does_not_choose_pasta_which_would_become_nobody(tmp_path: Path) -> None:
    (tmp_path / "pasta").write_text("")
    (tmp_path / "pasta").chmod(0o755)
    assert helper.choose([str(tmp_path)])[1] == "slirp4netns is not installed"


def test_a_device_that_may_not_be_opened_gives_the_hosts_network_and_one_clear_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = (None, "/dev/net/tun may not be opened", "Open it to users: `sudo chmod 666 /dev/net/tun`.")
    monkeypatch.setattr(helper, "choose", lambda: shut)
    monkeypatch.setattr(attach, "_owns_network", lambda: False)
    plan = attach.choose("private", state_dir=tmp_path, job=Job())
    note = "using the host's network: /dev/net/tun may not be opened. Open it to users: `sudo chmod 666 /dev/net/tun`."
    assert plan == attach.Plan("host", "host", note)
    assert attach.attach(plan.mode, 1, container_id="x", state_dir=tmp_path, job=Job(), plan=plan).note == note
    with pytest.raises(errors.Unavailable, match="cannot attach process 1 to a network: using the host's network"):
        attach.attach("private", 1, container_id="x", state_dir=tmp_path, job=Job())


@needs_root
def test_a_device_that_only_root_may_open_is_told_to_users(tmp_path: Path) -> None:
    device = tmp_path / "tun"
    device.write_text("")
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    device.chmod(0o600)
    code = "import sys; from orlop.runtime.network import helper; print(helper.choose(None, sys.argv[1]), flush=True)"
    with netlab.driven(USER, code, str(device)) as line:
        assert line == str((None, f"{device} may not be opened", f"Open it to users: `sudo chmod 666 {device}`."))


@pytest.mark.parametrize("mode", ["none", "host"])
def test_without_a_network_of_its_own_nothing_is_started(mode: attach.Mode, tmp_path: Path) -> None:
    plan = attach.choose(mode, state_dir=tmp_path, job=Job())
    assert (plan.mode, plan.means, plan.note) == (mode, mode, None)
    attachment = attach.attach(mode, os.getpid(), container_id="x", state_dir=tmp_path, job=Job())
    attachment.close()
    assert attachment.address is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.network
@needs_root
@pytest.mark.parametrize("means", ["slirp4netns", "pasta"])
def test_a_users_container_fetches_a_package_index_by_name(tun: None, state: Path, means: str) -> None:
    with (
        netlab.box(user=USER) as container,
        netlab.driven(USER, ATTACH, str(container.pid), str(state), means) as line,
    ):
        servers = json.loads(line)[4]
        found = container.run("busybox", "nslookup", netlab.mirror()[1], servers[0], check=False)
        assert "Name:" in found
        index = container.fetch(f"{netlab.mirror()[0]}/dists/bookworm/InRelease", 30)
        assert "Codename: bookworm" in index


def resolver(text: str, tmp_path: Path, *, upstream: str | None = None, **options: object) -> resolv.Resolver:
    (tmp_path / "resolv.conf").write_text(text)
    if upstream is not None:
        (tmp_path / "upstream").write_text(upstream)
    options.setdefault("shares_host", False)
    return resolv.for_container(
        configuration=tmp_path / "resolv.conf",
        upstream=tmp_path / "upstream",
        **options,  # type: ignore[arg-type]
    )


def test_name_servers_that_containers_cannot_reach_are_left_out(tmp_path: Path) -> None:
    text = "nameserver 127.0.0.53\nnameserver 10.1.1.1\nnameserver fe80::1%eth0\nnameserver ::1\nsearch a.example b.example\noptions edns0 trust-ad\n"
    assert resolver(text, tmp_path).text() == (
        "nameserver 10.1.1.1\nsearch a.example b.example\noptions edns0 trust-ad\n"
    )


def test_behind_a_local_stub_the_servers_of_systemd_resolved_are_used(tmp_path: Path) -> None:
    found = resolver("nameserver 127.0.0.53\n", tmp_path, upstream="nameserver 192.168.1.1\nsearch lan\n")
    assert (found.servers, found.search, found.note) == (("192.168.1.1",), ("lan",), None)


def test_with_no_reachable_server_public_ones_stand_in_and_a_note_says_so(tmp_path: Path) -> None:
    found = resolver("nameserver 127.0.0.1\n", tmp_path)
    assert found.servers == ("8.8.8.8", "8.8.4.4")
    assert found.note is not None
    assert "8.8.8.8" in found.note


def test_asked_for_servers_win_and_the_host_network_keeps_the_stub(tmp_path: Path) -> None:
    assert resolver("nameserver 127.0.0.53\n", tmp_path, servers=("9.9.9.9",)).servers == ("9.9.9.9",)
    assert resolver("nameserver 127.0.0.53\n", tmp_path, shares_host=True).servers == ("127.0.0.53",)
    assert resolver("nameserver 127.0.0.53\n", tmp_path, forwarder="10.0.2.3").servers == ("10.0.2.3",)


def test_hosts_names_the_container_and_what_was_added() -> None:
    text = resolv.hosts_text("web.example.org", address="10.213.0.2", extra={"db": "10.0.0.7"})
    assert text.splitlines()[0] == "127.0.0.1\tlocalhost"
    assert text.endswith("10.0.0.7\tdb\n10.213.0.2\tweb.example.org web\n")
    assert resolv.hosts_text("h", address=None).endswith("127.0.0.1\th\n")
    assert resolv.hosts_text(
        "h", address=None, host_file="127.0.0.1 localhost\n10.1.1.1 nas\n", extra={"db": "::2"}
    ) == ("127.0.0.1 localhost\n10.1.1.1 nas\n::2\tdb\n")


def test_extra_hosts_are_read_as_docker_reads_them() -> None:
    items = ("db:10.0.0.7", "six:[::1]", "also=fe80::1", "host.docker.internal:host-gateway")
    assert resolv.parse_extra_hosts(items, gateway="10.213.0.1") == {
        "db": "10.0.0.7",
        "six": "::1",
        "also": "fe80::1",
        "host.docker.internal": "10.213.0.1",
    }
    for bad in ("db", "db:", ":10.0.0.1", "a b:10.0.0.1", "db:10.0.0"):
        with pytest.raises(errors.Invalid):
            resolv.parse_extra_hosts([bad], gateway=None)
    with pytest.raises(errors.Invalid, match="no way to the host"):
        resolv.parse_extra_hosts(["x:host-gateway"], gateway=None)
