"""User-defined networks: names, separation, the way out, what is left; as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from harness import Terminal

pytestmark = pytest.mark.network_helper

WEB = "mkdir /w; echo hello >/w/index.html; exec httpd -f -h /w -p 80"

SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"out")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@attrs.frozen
class Lab:
    """A store with networks `front` and `back` (which is internal), and three containers.

    `web` and `db` are on `front`, `vault` on `back`, `loner` on the default network. All names have a prefix.
    """

    type: Terminal
    prefix: str

    def name(self, short: str) -> str:
        """The whole name of a container or network of this laboratory."""
        return f"{self.prefix}{short}"

    def inside(self, container: str, script: str, code: int = 0) -> str:
        """What a shell in a container says."""
        return self.type("exec", self.name(container), "sh", "-c", script, code=code)

    def address(self, container: str, network: str) -> str:
        """The address that a container has on a network."""
        entry: str = self.entries(container)[self.name(network) if network != "bridge" else network]["IPAddress"]
        return entry

    def entries(self, container: str) -> dict[str, dict[str, str]]:
        """The networks of a container, as inspect tells them."""
        found: dict[str, dict[str, str]] = json.loads(
            self.type("inspect", self.name(container), "-f", "{{json .NetworkSettings.Networks}}")
        )
        return found

    def network(self, short: str) -> dict[str, object]:
        """A network as inspect tells it."""
        found: dict[str, object] = json.loads(self.type("network", "inspect", self.name(short)))[0]
        return found

    def run(self, short: str, *words: str) -> None:
        """Start a container in the background."""
        self.type("run", "-d", "--name", self.name(short), *words)


@pytest.fixture(scope="module")
def lab(shared_terminal: Terminal) -> Iterator[Lab]:
    laboratory = Lab(shared_terminal, f"n{os.urandom(3).hex()}-")
    name = laboratory.name
    shared_terminal("network", "create", "--label", "a=b", name("front"))
    shared_terminal("network", "create", "--internal", name("back"))
    alias = ("--network-alias", "Store", "--network-alias", "shop")
    laboratory.run("web", "--network", name("front"), "-p", "127.0.0.1::80", "busybox", "sh", "-c", WEB)
    laboratory.run("db", "--network", name("front"), *alias, "busybox", "sh", "-c", WEB)
    laboratory.run("vault", "--network", name("back"), "--hostname", "safe", "busybox", "sh", "-c", WEB)
    laboratory.run("loner", "busybox", "sh", "-c", WEB)
    yield laboratory
    shared_terminal("rm", "-f", *(name(each) for each in ("web", "db", "vault", "loner")))
    shared_terminal("network", "rm", name("front"), name("back"))


def eventually(claim: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_containers_of_a_network_reach_each_other_by_name_and_nobody_else(lab: Lab) -> None:
    found = lab.inside(
        "web",
        f"timeout 9 wget -qO- http://{lab.name('db')}/; timeout 9 wget -qO- http://STORE/; timeout 9 wget -qO- http://shop/;"
        f"nslookup {lab.name('db')}.{lab.name('front')} | tail -4; cat /etc/resolv.conf; hostname -i",
    )
    assert found.count("hello") == 3
    assert lab.address("db", "front") in found
    assert "nameserver 127.0.0.11" in found
    assert found.split()[-1] == lab.address("web", "front")
    assert "hello" in lab.inside("db", f"timeout 9 wget -qO- http://{lab.name('web')}/")
    vault, web, loner = lab.address("vault", "back"), lab.address("web", "front"), lab.address("loner", "bridge")
    stranger = lab.inside(
        "web",
        f"nslookup {lab.name('vault')} || echo unknown; nslookup {lab.name('loner')} || echo unknown;"
        f"for i in {vault} {loner}; do timeout 2 wget -qO- http://$i/; done; true",
    )
    assert stranger.count("unknown") == 2
    assert "hello" not in stranger
    other = lab.inside(
        "vault", f"nslookup {lab.name('web')} || echo unknown; timeout 2 wget -qO- http://{web}/; ip route"
    )
    assert "unknown" in other
    assert "hello" not in other
    assert "default" not in other, "no way out"
    default = lab.inside("loner", f"nslookup {lab.name('db')} || echo unknown; timeout 2 wget -qO- http://{web}/; true")
    assert "unknown" in default
    assert "hello" not in default


def test_a_network_has_a_way_out_and_its_ports_are_published(lab: Lab) -> None:
    port = lab.type("port", lab.name("web"), "80").strip()
    assert urllib.request.urlopen(f"http://{port}/", timeout=20).read() == b"hello\n"
    host = subprocess.run(["ip", "-4", "route", "get", "198.51.100.1"], capture_output=True, text=True).stdout.split()
    if "src" not in host:
        pytest.skip("this machine has no way out itself")
    with subprocess.Popen(["python3", "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        number = server.stdout.readline().strip()
        place = f"http://{host[host.index('src') + 1]}:{number}/"
        told = lab.inside("db", f"ip route; timeout 9 wget -qO- {place}")
        assert "out" not in lab.inside("vault", f"timeout 2 wget -qO- {place}; true")
        server.kill()
    assert "default via" in told
    assert "out" in told


def test_networks_are_listed_and_inspected_as_docker_does(lab: Lab) -> None:
    names = [lab.name("front"), lab.name("back")]
    listed = lab.type("network", "ls").splitlines()
    assert listed[0].split("  ")[0] == "NETWORK ID"
    assert {"bridge", "host", "none", *names} <= {line.split()[1] for line in listed[1:]}
    full = lab.type("network", "ls", "-q", "--no-trunc", "-f", f"name={lab.name('front')}").strip()
    assert len(full) == 64
    assert lab.type("network", "ls", "--format", "{{.Name}} {{.Internal}}", "--filter", "label=a=b").split() == [
        names[0], "false",
    ]  # fmt: skip
    front = lab.network("front")
    assert front["Id"] == full
    assert (front["Driver"], front["Internal"], front["Labels"]) == ("bridge", False, {"a": "b"})
    members = {each["Name"]: each for each in front["Containers"].values()}  # type: ignore[attr-defined]
    assert set(members) == {lab.name("web"), lab.name("db")}
    assert members[lab.name("db")]["IPv4Address"].startswith(f"{lab.address('db', 'front')}/")
    assert lab.network("back")["Internal"] is True
    entry = lab.entries("db")[names[0]]
    assert entry["Aliases"] == ["Store", "shop"]
    assert entry["NetworkID"] == full
    assert entry["Gateway"] == front["IPAM"]["Config"][0]["Gateway"]  # type: ignore[index]
    assert lab.type("inspect", lab.name("db"), "-f", "{{.HostConfig.NetworkMode}}").strip() == names[0]
    assert lab.entries("loner").keys() == {"bridge"}


def test_a_running_container_joins_and_leaves(lab: Lab) -> None:
    front = lab.name("front")
    lab.type("network", "connect", "--alias", "deposit", front, lab.name("vault"))
    assert set(lab.entries("vault")) == {front, lab.name("back")}
    assert "hello" in lab.inside("web", "timeout 9 wget -qO- http://deposit/")
    told = lab.inside("vault", f"timeout 9 wget -qO- http://{lab.name('db')}/; ip route")
    assert "hello" in told
    assert "default via" in told, "the way out came with it"
    assert "already exists" in lab.type("network", "connect", front, lab.name("vault"), code=1)
    lab.type("network", "disconnect", front, lab.name("vault"))
    assert set(lab.entries("vault")) == {lab.name("back")}
    assert "deposit" not in lab.inside("web", "nslookup deposit >/dev/null && echo deposit; true")
    told = lab.inside("vault", "ip route; ip link show eth1; true")
    assert "default" not in told
    assert "eth1:" not in told
    assert "is not connected" in lab.type("network", "disconnect", front, lab.name("vault"), code=1)


def test_a_container_of_the_default_network_joins_where_the_kernel_lets_it(lab: Lab, account: str | None) -> None:
    front = lab.name("front")
    told = lab.type("network", "connect", front, lab.name("loner"), code=1 if account else 0)
    if account:
        assert "user namespaces" in told
        assert "Stop it, connect it, and start it again." in told
        lab.type("stop", "-t", "0", lab.name("loner"))
        lab.type("network", "connect", front, lab.name("loner"))
        lab.type("start", lab.name("loner"))
    assert "hello" in lab.inside("loner", f"timeout 9 wget -qO- http://{lab.name('db')}/")
    assert "hello" in lab.inside("db", f"timeout 9 wget -qO- http://{lab.name('loner')}/")
    lab.type("network", "disconnect", front, lab.name("loner"))


def test_a_stopped_container_keeps_its_networks_and_a_new_name_is_known_at_once(lab: Lab) -> None:
    old, new = lab.name("db"), lab.name("base")
    lab.type("stop", "-t", "0", old)
    assert "gone" in lab.inside("web", f"nslookup {old} >/dev/null || echo gone")
    lab.type("start", old)
    lab.type("rename", old, new)
    told = lab.inside(
        "web", f"timeout 9 wget -qO- http://{new}/; timeout 9 wget -qO- http://shop/; nslookup {old} || echo gone"
    )
    assert told.count("hello") == 2
    assert "gone" in told
    lab.type("rename", new, old)


def test_a_container_shares_the_network_of_another(lab: Lab) -> None:
    shared = f"container:{lab.name('vault')}"
    told = lab.type("run", "--rm", "--network", shared, "busybox", "sh", "-c", "wget -qO- http://127.0.0.1/; ip addr")
    assert "hello" in told
    assert lab.address("vault", "back") in told
    assert "conflicting options" in lab.type("run", "-p", "80", "--network", shared, "busybox", "true", code=125)
    assert "no container nosuch" in lab.type("run", "--network", "container:nosuch", "busybox", "true", code=125)


def test_what_cannot_be_is_refused_with_the_reason(lab: Lab) -> None:
    front = lab.name("front")
    subnet = lab.network("front")["IPAM"]["Config"][0]["Subnet"]  # type: ignore[index]
    for words, code, reason in (
        (("network", "create", front), 1, "already exists"),
        (("network", "create", "--subnet", subnet, "other"), 1, "overlaps with other one"),
        (("network", "create", "--ipv6", "other"), 1, "--ipv6"),
        (("network", "create", "-d", "overlay", "other"), 1, "overlay"),
        (("network", "rm", front, "bridge"), 1, "has active endpoints"),
        (("network", "inspect", "nosuch"), 1, "network nosuch not found"),
        (("network", "connect", "bridge", lab.name("vault")), 1, "only networks that were created"),
        (("network", "ls", "--filter", "dangling=perhaps"), 1, "dangling=perhaps"),
        (("run", "--network", "nosuch", "busybox", "true"), 125, "network nosuch not found"),
        (("run", "--ip", "10.1.1.1", "--network", front, "busybox", "true"), 125, "--ip"),
        (("run", "--network-alias", "x", "busybox", "true"), 125, "only for containers in user defined networks"),
    ):
        assert reason in lab.type(*words, code=code), words


def test_many_that_start_at_once_have_addresses_of_their_own(lab: Lab) -> None:
    network = lab.name("crowd")
    lab.type("network", "create", "--subnet", "10.98.76.0/28", "--gateway", "10.98.76.3", network)
    words = ("run", "--rm", "--network", network, "busybox", "sh", "-c", "hostname -i; ip route; sleep 1")
    running = [lab.type.start(*words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) for _ in range(5)]
    told = [each.communicate(timeout=120)[0].decode() for each in running]
    assert len({each.split()[0] for each in told}) == 5, told
    assert all(each.startswith("10.98.76.") and "via 10.98.76.3" in each for each in told)
    assert lab.type("network", "prune", "--force").startswith("Deleted Networks:\n")
    assert network not in lab.type("network", "ls")


def test_nothing_is_left_when_the_last_one_goes_whoever_was_killed(
    shared_terminal: Terminal, account: str | None, lab: Lab
) -> None:
    network = lab.name("doomed")
    identity = shared_terminal("network", "create", network).strip()
    link = f"orlop{identity[:10]}"

    def root_has(text: str) -> bool:
        links = subprocess.run(["ip", "link"], capture_output=True, text=True).stdout
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        return text in links or text in tables

    lab.run("last", "--network", network, "busybox", "sleep", "600")
    if account is None:
        assert root_has(link)
        lab.type("stop", "-t", "0", lab.name("last"))
        assert not root_has(link)
        lab.type("start", lab.name("last"))
    # Its shim is killed, and so nobody clears away behind it but those who come after.
    document = json.loads(lab.type("inspect", lab.name("last")))[0]
    record = next(shared_terminal.root.glob(f"containers/{document['Id']}/state.json"))
    os.kill(json.loads(record.read_text())["shim"]["pid"], 9)
    lab.type("rm", "-f", lab.name("last"))
    assert shared_terminal("network", "rm", network).strip() == network
    assert not root_has(link)
    places = [Path("/run/orlop/networks"), shared_terminal.root / "run" / "networks"]
    assert any(each.is_dir() for each in places)
    assert not any((each / identity).exists() for each in places)


def test_the_process_that_holds_the_networks_goes_with_them_and_comes_back(lab: Lab, account: str | None) -> None:
    record = lab.type.root / "run" / "networks" / "holder.json"
    if account is None and os.geteuid() == 0:
        assert not record.exists(), "root needs none"
        return

    def held() -> tuple[int, int]:
        found = json.loads(record.read_text())
        return found["keeper"]["pid"], found["process"]["pid"]

    def start_again(verb: str) -> None:
        for each in ("web", "db", "vault"):
            lab.type(verb, lab.name(each))

    keeper, holder = held()
    assert runs(keeper)
    assert runs(holder)
    os.kill(keeper, 9)
    assert eventually(lambda: not runs(holder))
    start_again("restart")
    assert "hello" in lab.inside("web", f"timeout 9 wget -qO- http://{lab.name('db')}/")
    again = held()
    assert all(map(runs, again))
    for each in ("web", "db"):
        lab.type("stop", "-t", "0", lab.name(each))
    assert all(map(runs, again)), "one is still there"
    # Nobody tells of the end of the last one.
    identity = json.loads(lab.type("inspect", lab.name("vault")))[0]["Id"]
    last = json.loads((lab.type.root / "containers" / identity / "state.json").read_text())
    os.kill(last["shim"]["pid"], 9)
    os.kill(last["init"]["pid"], 9)
    assert eventually(lambda: not any(map(runs, again)))
    start_again("start")
    assert "hello" in lab.inside("web", f"timeout 9 wget -qO- http://{lab.name('db')}/")
