"""The bridge of root's containers, on a host of its own: packets really flow, rules really come and go."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import netlab
import pytest

from orlop.core import errors
from orlop.core.job import CancelToken, Job, Note
from orlop.runtime.network import attach, bridge, firewall, links, netlink
from orlop.runtime.network.addresses import Ledger, free_subnet
from orlop.runtime.network.segment import Segment

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a host of its own")


@pytest.fixture
def outside() -> Iterator[netlab.Box]:
    with netlab.laboratory() as server:
        yield server


def connected(box: netlab.Box, state: Path, job: Job | None = None) -> attach.Attachment:
    plan = attach.choose("private", state_dir=state, job=job or Job())
    assert plan.means == "bridge"
    return attach.attach("private", box.pid, container_id="c" * 64, state_dir=state, job=job or Job(), plan=plan)


def rules() -> tuple[str, str]:
    return netlab.run("nft", "--stateless", "list", "ruleset"), netlab.run("iptables", "-S")


def test_a_container_reaches_the_outside_under_the_hosts_address(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as container:
        attachment = connected(container, tmp_path)
        assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST
        assert attachment.address is not None
        assert f"inet {attachment.address}/20" in container.run("ip", "addr", "show", "eth0")
        assert "state UNKNOWN" in container.run("ip", "link", "show", "lo")


def test_packets_are_no_larger_than_the_way_out(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as container:
        connected(container, tmp_path)
        assert f"mtu {netlab.MTU} " in container.run("ip", "link", "show", "eth0")


def test_containers_reach_each_other_and_the_host_by_its_gateway(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as one, netlab.box() as two:
        first, second = connected(one, tmp_path), connected(two, tmp_path)
        assert first.address is not None
        assert first.host == first.gateway
        with netlab.serving(first.address, 80, inside=one), netlab.serving("0.0.0.0", 8080):
            assert two.fetch(f"http://{first.address}/") == second.address
            assert two.fetch(f"http://{first.gateway}:8080/") == second.address


def test_nobody_outside_opens_a_connection_to_a_container(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as container:
        address = connected(container, tmp_path).address
        assert address is not None
        outside.run("ip", "route", "add", f"{address}/32", "via", netlab.HOST)
        with netlab.serving(address, 80, inside=container):
            assert outside.fetch(f"http://{address}/", 1) == ""
            netlab.run("nft", "flush", "chain", "ip", "orlop0", "forward")
            assert outside.fetch(f"http://{address}/", 5) != "", "only our rule was in the way"


def test_it_works_beside_docker_and_leaves_dockers_rules_as_they_were(outside: netlab.Box, tmp_path: Path) -> None:
    for rule in ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"):
        netlab.run("iptables", *rule.split())
    before = rules()
    with netlab.box() as container:
        connected(container, tmp_path).close()
        assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST
        assert "-A DOCKER-USER -i orlop0" in netlab.run("iptables", "-S"), "in the chain that Docker leaves alone"
    assert bridge.cleanup(tmp_path)
    assert before == rules()


@pytest.mark.parametrize("program", ["nft", "iptables"])
def test_it_opens_no_way_to_dockers_containers_but_to_their_published_ports(
    outside: netlab.Box, tmp_path: Path, program: str
) -> None:
    for rule in (
        "-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A FORWARD -i docker0 -j ACCEPT",
        "-A FORWARD -d 172.17.0.2/32 -o docker0 -p tcp --dport 80 -j ACCEPT",
        "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-t nat -A PREROUTING -p tcp --dport 8000 -j DNAT --to-destination 172.17.0.2:80",
    ):  # fmt: skip
        netlab.run("iptables", *rule.split())
    before = rules()

    def run(argv: Sequence[str], text: str = "") -> tuple[int, str, str]:
        return firewall.run_program(argv, text) if argv[0] != "nft" else (127, "", "nft is not installed")

    with netlab.box() as theirs, netlab.box() as ours:
        for words in (
            "link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up",
            f"link add vdocker master docker0 up type veth peer eth0 netns {theirs.pid}",
        ):  # fmt: skip
            netlab.run("ip", *words.split())
        for words in ("addr add 172.17.0.2/16 dev eth0", "link set eth0 up", "route add default via 172.17.0.1"):
            theirs.run("ip", *words.split())
        connected(ours, tmp_path)
        if program == "iptables":
            firewall.remove("orlop0")
            with netlink.Channel() as channel:
                made = links.find_bridge(channel, str(tmp_path))
                assert made is not None
                firewall.ensure(made, run, uplinks=links.uplinks(channel))
        for rule in ("-D FORWARD -j DOCKER-USER", "-I FORWARD -j DOCKER-USER"):  # as Docker does when it starts
            netlab.run("iptables", *rule.split())
        with netlab.serving("172.17.0.2", 80, inside=theirs):
            assert ours.fetch("http://172.17.0.2/", 1) == ""
            assert ours.fetch(f"http://{netlab.SERVER}/") == netlab.HOST, "the way out is open"
            assert ours.fetch(f"http://{netlab.HOST}:8000/") != "", "as to everybody"
            if program == "nft":
                netlab.run("nft", "flush", "chain", "ip", "orlop0", "forward")
                assert ours.fetch("http://172.17.0.2/", 5) != "", "only our rule was in the way"
    netlab.run("ip", "link", "del", "docker0")
    assert bridge.cleanup(tmp_path)
    assert before[program == "iptables" :] == rules()[program == "iptables" :], "chains of iptables stay, empty"


def test_user_defined_networks_are_apart_from_each_other_and_from_the_default_one(
    outside: netlab.Box, tmp_path: Path
) -> None:
    def segment(name: str, subnet: str, *, internal: bool = False) -> Segment:
        gateway = str(IPv4Network(subnet)[1])
        network = {"id": name * 32, "name": name, "subnet": subnet, "gateway": gateway, "internal": internal}
        return Segment(tmp_path / name, network, alone=False)

    open_, other, shut = (
        segment("aa", "10.9.1.0/24"),
        segment("bb", "10.9.2.0/24"),
        segment("cc", "10.9.3.0/24", internal=True),
    )
    before = rules()
    with netlab.box() as one, netlab.box() as two, netlab.box() as three, netlab.box() as four:
        places = [
            each.connect(f"c{number}", box.pid, [])[0]
            for number, (each, box) in enumerate(((open_, one), (other, two), (shut, three)))
        ]
        assert [each["address"] for each in places] == ["10.9.1.2", "10.9.2.2", "10.9.3.2"]
        default = connected(four, tmp_path / "default")
        assert default.address is not None
        assert one.fetch(f"http://{netlab.SERVER}/") == netlab.HOST, "masqueraded"
        assert f"mtu {netlab.MTU} " in one.run("ip", "link", "show", "eth0")
        # A way that somebody gives it from inside leads nowhere either.
        three.run("ip", "route", "add", "default", "via", "10.9.3.1")
        assert three.fetch(f"http://{netlab.SERVER}/", 1) == ""
        with (
            netlab.serving("0.0.0.0", 80, inside=two),
            netlab.serving("0.0.0.0", 80, inside=three),
            netlab.serving("0.0.0.0", 80, inside=four),
        ):
            for place in ("10.9.2.2", "10.9.3.2", default.address):
                assert one.fetch(f"http://{place}/", 1) == "", place
            assert four.fetch("http://10.9.2.2/", 1) == ""
            shut.connect("c0", one.pid, [])
            assert one.fetch("http://10.9.3.2/") == "10.9.3.3", "on both now"
            for each in (open_, other):
                netlab.run("nft", "flush", "chain", "ip", each.name, "forward")
            assert one.fetch("http://10.9.2.2/") != "", "only our rules were in the way"
        assert not open_.remove_if_idle(), "somebody is on it"
    for each in (open_, other, shut):
        assert netlab.eventually(each.remove_if_idle)
    bridge.cleanup(tmp_path / "default")
    assert "orlop" not in netlab.run("ip", "link")
    assert before == rules()


def test_a_firewall_that_drops_what_it_does_not_know_is_passed(outside: netlab.Box, tmp_path: Path) -> None:
    netlab.run("iptables", "-P", "FORWARD", "DROP")
    before = rules()
    with netlab.box() as container:
        connected(container, tmp_path).close()
        assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST
    bridge.cleanup(tmp_path)
    assert before == rules()


def test_a_foreign_nftables_chain_that_drops_is_told(outside: netlab.Box, tmp_path: Path) -> None:
    netlab.run(
        "nft", "add table inet strict; add chain inet strict f { type filter hook forward priority 0; policy drop; }"
    )
    told: list[object] = []
    bridge.ensure(tmp_path, Job(told.append))
    assert any(isinstance(each, Note) and "inet strict f drops forwarded packets" in each.message for each in told)


def test_rules_that_somebody_flushed_are_back_with_the_next_container(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as one, netlab.box() as two:
        connected(one, tmp_path)
        netlab.run("nft", "flush", "ruleset")
        assert one.fetch(f"http://{netlab.SERVER}/", 1) == ""
        connected(two, tmp_path)
        assert one.fetch(f"http://{netlab.SERVER}/") == netlab.HOST


def test_a_second_container_runs_no_firewall_program(
    outside: netlab.Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with netlab.box() as one, netlab.box() as two:
        connected(one, tmp_path)
        monkeypatch.setattr(subprocess, "Popen", None)
        connected(two, tmp_path)
        monkeypatch.undo()


def test_cleanup_leaves_nothing_and_switches_forwarding_off_again(outside: netlab.Box, tmp_path: Path) -> None:
    before, forwarding = rules(), Path("/proc/sys/net/ipv4/ip_forward")
    forwarding.write_text("0")
    told: list[object] = []
    bridge.ensure(tmp_path, Job(told.append))
    assert forwarding.read_text() == "1\n"
    assert any(isinstance(each, Note) and "ip_forward" in each.message for each in told), "it is said"
    assert bridge.cleanup(tmp_path)
    assert before[1] == rules()[1]
    assert "orlop" not in rules()[0]
    assert "orlop" not in netlab.run("ip", "link")
    assert forwarding.read_text() == "0\n"
    assert not bridge.cleanup(tmp_path), "a second time there is nothing to do"


def test_cleanup_refuses_while_a_container_lives(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as container:
        connected(container, tmp_path)
        with pytest.raises(errors.Conflict, match="1 containers are connected"):
            bridge.cleanup(tmp_path)
    assert bridge.cleanup(tmp_path)


def test_without_nft_iptables_serves(outside: netlab.Box, tmp_path: Path) -> None:
    def run_without_nft(argv: Sequence[str], text: str = "") -> tuple[int, str, str]:
        return (127, "", "nft is not installed") if argv[0] == "nft" else firewall.run_program(argv, text)

    made = bridge.ensure(tmp_path, Job())
    firewall.remove(made.name)
    before = netlab.run("iptables", "-t", "nat", "-S"), netlab.run("iptables", "-S")
    firewall.ensure(made, run_without_nft)
    firewall.ensure(made, run_without_nft)
    with netlab.box() as container, netlink.Channel() as channel:
        links.connect(channel, made, container.pid, IPv4Address("10.213.0.9"))
        assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST
    firewall.remove(made.name, run_without_nft)
    assert before == (netlab.run("iptables", "-t", "nat", "-S"), netlab.run("iptables", "-S"))


def test_without_any_firewall_program_the_reason_is_told(outside: netlab.Box, tmp_path: Path) -> None:
    made = bridge.ensure(tmp_path, Job())
    with pytest.raises(errors.Unavailable, match="cannot write packet rules for orlop0: x is not installed") as caught:
        firewall.ensure(made, lambda argv, text="": (127, "", "x is not installed"))
    assert caught.value.hint == "Install nftables: `sudo apt-get install nftables`."


def test_firewalld_is_told_to_trust_the_bridge(outside: netlab.Box, tmp_path: Path) -> None:
    asked = []

    def with_firewalld(argv: Sequence[str], text: str = "") -> tuple[int, str, str]:
        asked.append(" ".join(argv))
        return (0, "", "") if argv[0] == "firewall-cmd" else firewall.run_program(argv, text)

    made = bridge.ensure(tmp_path, Job())
    firewall.ensure(made, with_firewalld)
    assert "firewall-cmd --zone=trusted --change-interface=orlop0" in asked


def test_two_state_directories_get_a_bridge_and_a_subnet_each(outside: netlab.Box, tmp_path: Path) -> None:
    one, two = bridge.ensure(tmp_path / "one", Job()), bridge.ensure(tmp_path / "two", Job())
    assert (one.name, two.name) == ("orlop0", "orlop1")
    assert not one.subnet.overlaps(two.subnet)


def test_bridges_that_nobody_uses_do_not_pile_up(outside: netlab.Box, tmp_path: Path) -> None:
    for name in "abcdefgh":
        bridge.ensure(tmp_path / name, Job())
    with netlab.box() as container:
        connected(container, tmp_path / "h")
        shutil.rmtree(tmp_path / "g")
        for name in "ijklm":
            bridge.ensure(tmp_path / name, Job())
        with netlink.Channel() as channel:
            owners = {
                alias.rpartition("/")[2] for _, _, alias, _ in channel.links().values() if alias.startswith("orlop:")
            }
        assert owners == {"h", "j", "k", "l", "m"}, "the one in use, three idle ones, and the new one"
        assert netlab.run("nft", "list", "tables").count("orlop") == 5


def test_a_bridge_taken_away_meanwhile_is_made_again(outside: netlab.Box, tmp_path: Path) -> None:
    plan = attach.choose("private", state_dir=tmp_path, job=Job())
    bridge.cleanup(tmp_path)
    with netlab.box() as container:
        attach.attach("private", container.pid, container_id="x", state_dir=tmp_path, job=Job(), plan=plan)
        assert container.fetch(f"http://{netlab.SERVER}/") == netlab.HOST


def test_a_bridge_whose_maker_was_killed_is_made_again(outside: netlab.Box, tmp_path: Path) -> None:
    netlab.run("ip", "link", "add", "orlop7", "type", "bridge")
    netlab.run("ip", "link", "set", "orlop7", "alias", f"orlop:{tmp_path.resolve()}")
    made = bridge.ensure(tmp_path, Job())
    assert f"inet {made.gateway}/20" in netlab.run("ip", "addr", "show", made.name)
    assert "orlop7" not in netlab.run("ip", "link")


def test_a_cancelled_start_gives_its_address_back(outside: netlab.Box, tmp_path: Path) -> None:
    bridge.ensure(tmp_path, Job())
    token = CancelToken()
    token.cancel()
    with netlab.box() as container:
        plan = attach.Plan("private", "bridge")
        with pytest.raises(errors.Cancelled):
            attach.attach(
                "private", container.pid, container_id="x", state_dir=tmp_path, job=Job(None, token), plan=plan
            )
        assert Ledger(tmp_path).leases() == {}
        assert "eth0" not in container.run("ip", "link")


def test_an_ended_process_cannot_be_attached(outside: netlab.Box, tmp_path: Path) -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    with pytest.raises(errors.Conflict, match="it has ended"):
        attach.attach("private", done.pid, container_id="x", state_dir=tmp_path, job=Job())


def test_closing_frees_the_address_and_an_ended_container_does_too(outside: netlab.Box, tmp_path: Path) -> None:
    with netlab.box() as one, netlab.box() as two:
        attachment = connected(one, tmp_path)
        assert [str(each) for each in Ledger(tmp_path).leases()] == [attachment.address]
        attachment.close()
        attachment.close()
        assert Ledger(tmp_path).leases() == {}
        second = connected(two, tmp_path / "other")
        assert list(map(str, Ledger(tmp_path / "other").leases())) == [second.address]
    assert Ledger(tmp_path / "other").leases() == {}


def test_where_no_bridge_can_be_made_nothing_stays_behind(
    outside: netlab.Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(made: links.Bridge, **_: object) -> tuple[str, ...]:
        raise errors.Unavailable("no rules")

    monkeypatch.setattr(firewall, "ensure", refuse)
    plan = attach.choose("private", state_dir=tmp_path, job=Job())
    assert plan.means != "bridge"
    assert "orlop" not in netlab.run("ip", "link")


@pytest.mark.network
def test_a_container_fetches_a_package_index_by_name_over_the_machines_own_network(tmp_path: Path) -> None:
    with netlab.box() as container:
        try:
            connected(container, tmp_path)
            index = container.fetch(f"{netlab.mirror()[0]}/dists/bookworm/InRelease", 30)
            assert "Codename: bookworm" in index
        finally:
            container.run("true")
            Ledger(tmp_path).clear()
            bridge.cleanup(tmp_path)


LEASE_MANY = """
import os, pathlib, sys
from ipaddress import IPv4Network
from orlop.runtime.network.addresses import Ledger
ledger = Ledger(pathlib.Path(sys.argv[1]))
sys.stdin.readline()
for _ in range(25):
    with ledger.locked():
        print(ledger.lease(IPv4Network("10.77.0.0/24"), "x", os.getpid()))
sys.stdout.flush()
os.close(1)
sys.stdin.readline()
"""


def test_processes_that_lease_at_once_never_get_the_same_address(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEASE_MANY, str(tmp_path)]
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        addresses = [line for worker in workers for line in (worker.stdout or ())]
        assert len(addresses) == 100
        assert len(set(addresses)) == 100
        assert len(Ledger(tmp_path).leases()) == 100
    assert Ledger(tmp_path).leases() == {}, "they end with their processes"


def test_addresses_go_round_and_a_full_subnet_is_told(tmp_path: Path) -> None:
    ledger, subnet = Ledger(tmp_path), IPv4Network("10.77.0.0/29")
    with ledger.locked():
        given = [ledger.lease(subnet, "x", os.getpid()) for _ in range(5)]
    assert [str(each) for each in given] == [f"10.77.0.{n}" for n in range(2, 7)]
    with ledger.locked(), pytest.raises(errors.Conflict, match=r"all 5 of 10\.77\.0\.0/29 are in use"):
        ledger.lease(subnet, "x", os.getpid())
    ledger.release(given[1], os.getpid())
    ledger.release(given[3], os.getpid() + 1)
    with ledger.locked():
        assert ledger.lease(subnet, "x", os.getpid()) == given[1]


def test_leases_survive_a_file_cut_short(tmp_path: Path) -> None:
    (tmp_path / "leases.json").write_text('{"subnet": "10.77')
    with Ledger(tmp_path).locked():
        assert str(Ledger(tmp_path).lease(IPv4Network("10.77.0.0/24"), "x", os.getpid())) == "10.77.0.2"
    assert json.loads((tmp_path / "leases.json").read_text())["next"] == 1


def test_a_subnet_is_chosen_that_no_route_uses() -> None:
    first = free_subnet([IPv4Network("0.0.0.0/0"), IPv4Network("192.0.2.0/24")])
    assert str(first) == "10.213.0.0/20"
    assert str(free_subnet([IPv4Network("10.213.5.0/24")])) == "10.214.0.0/20"
    assert free_subnet([IPv4Network("10.0.0.0/8")]).subnet_of(IPv4Network("192.168.0.0/16"))
    with pytest.raises(errors.Unavailable, match="every private network overlaps"):
        free_subnet([IPv4Network("10.0.0.0/8"), IPv4Network("192.168.0.0/16"), IPv4Network("172.16.0.0/12")])


def test_the_loopback_of_a_new_namespace_can_be_switched_on_from_outside() -> None:
    with netlab.box() as container, contextlib.ExitStack() as stack:
        netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY)
        stack.callback(os.close, netns)
        netlink.loopback_up(netns)
        assert "UP" in container.run("ip", "-br", "link", "show", "lo")
