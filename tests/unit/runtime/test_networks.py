"""Addresses of user-defined networks, and what their name server answers; without any namespace."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from struct import pack, unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.core import errors
from orlop.runtime import memberships
from orlop.runtime.memberships import Membership, Memberships
from orlop.runtime.network import nameserver
from orlop.runtime.network.addresses import Ledger
from orlop.runtime.network.definitions import Definitions
from orlop.runtime.shim import state

OWN, OTHER = "a" * 64, "b" * 64
A, AAAA, PTR, MX = 1, 28, 12, 15


def made(root: Path, name: str, **options: object) -> str:
    chosen = {"subnet": None, "gateway": None, "internal": False, "labels": {}, **options}
    return Definitions(root).create(name, **chosen).subnet  # type: ignore[arg-type]


def test_addresses_go_around_the_gateway_wherever_it_is_until_none_is_left(tmp_path: Path) -> None:
    ledger, subnet, gateway = Ledger(tmp_path), IPv4Network("10.9.0.0/29"), IPv4Address("10.9.0.3")
    with ledger.locked():
        given_out = [ledger.lease(subnet, f"c{each}", os.getpid(), gateway=gateway) for each in range(5)]
        assert [int(each) & 7 for each in given_out] == [1, 2, 4, 5, 6]
        with pytest.raises(errors.Conflict, match="all 5 of 10"):
            ledger.lease(subnet, "more", os.getpid(), gateway=gateway)
    ledger.release(given_out[2], os.getpid())
    with ledger.locked():
        again = ledger.lease(subnet, "more", os.getpid(), gateway=gateway, details={"names": ["m"]})
    assert again == given_out[2]
    assert ledger.members()[again] == ("more", os.getpid(), {"names": ["m"]})


def test_the_dead_give_their_addresses_back_by_themselves(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as process:
        with ledger.locked():
            ledger.lease(IPv4Network("10.9.0.0/24"), "c", process.pid)
        assert len(ledger.leases()) == len(ledger.everybody()) == 1
        process.kill()
    assert ledger.leases() == {}
    assert ledger.members() == {}
    assert len(ledger.everybody()) == 1


def test_networks_get_subnets_of_their_own_whoever_makes_them_at_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\nfrom orlop.runtime.network.definitions import Definitions\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "for number in range(8):\n"
        "    Definitions(pathlib.Path(sys.argv[1])).create(f'{sys.argv[2]}{number}', subnet=None, gateway=None,"
        " internal=False, labels={})\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in "xyz"
    ]
    for each in running:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in running:
        assert each.stdin is not None
        each.stdin.close()
    assert [each.wait(60) for each in running] == [0, 0, 0]
    for each in running:
        assert each.stdout is not None
        each.stdout.close()
    found = [IPv4Network(each.subnet) for each in Definitions(tmp_path).list()]
    assert len(found) == 24
    assert not any(one.overlaps(two) for number, one in enumerate(found) for two in found[:number])


def test_a_network_that_makes_no_sense_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert made(tmp_path, "one", subnet="10.99.7.0/24") == "10.99.7.0/24"
    for options, reason in (
        ({"subnet": "10.99.7.128/25"}, "overlaps with other one"),
        ({"subnet": "10.99.8.1/24"}, "invalid subnet"),
        ({"subnet": "fd00::/64"}, "invalid subnet"),
        ({"subnet": "10.99.8.0/30"}, "too small"),
        ({"subnet": "127.0.0.0/24"}, "overlaps"),
        ({"subnet": "10.99.8.0/24", "gateway": "10.99.9.1"}, "no matching subnet"),
        ({"subnet": "10.99.8.0/24", "gateway": "10.99.8.255"}, "no matching subnet"),
        ({"subnet": "10.99.8.0/24", "gateway": "x"}, "invalid gateway"),
        ({"gateway": "10.99.8.1"}, "no matching subnet"),
    ):
        with pytest.raises(errors.OrlopError, match=reason):
            made(tmp_path, "two", **options)
    for name, reason in (("one", "already exists"), ("host", "pre-defined"), ("a/b", "invalid"), ("", "invalid")):
        with pytest.raises(errors.OrlopError, match=reason):
            made(tmp_path, name)
    assert [each.name for each in Definitions(tmp_path).list()] == ["one"]


def test_networks_are_found_by_name_id_and_prefix(tmp_path: Path) -> None:
    made(tmp_path, "one")
    (one,) = Definitions(tmp_path).list()
    assert Definitions(tmp_path).find("one") == Definitions(tmp_path).find(one.id[:7]) == one
    with pytest.raises(errors.NotFound, match="network two not found"):
        Definitions(tmp_path).find("two")


def test_a_container_remembers_its_networks(tmp_path: Path) -> None:
    assert memberships.read(tmp_path) == Memberships()
    value = Memberships(False).with_network(Membership("i", "n", ("x", "y"))).with_network(Membership("j", "m"))
    memberships.write(tmp_path, value)
    assert memberships.read(tmp_path) == value
    assert value.without("i").networks == (Membership("j", "m"),)


def test_a_containers_name_is_its_addresses_in_its_own_hosts_file(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1\tlocalhost\n10.0.0.9\tbox other\n10.0.0.7\tdb\n")
    state.write_own_addresses(str(tmp_path), "box", ["10.9.0.2", "10.9.1.2"])
    lines = (tmp_path / "hosts").read_text().splitlines()
    assert lines == ["127.0.0.1\tlocalhost", "10.0.0.7\tdb", "10.9.0.2\tbox", "10.9.1.2\tbox"]
    assert (tmp_path / "address").read_text() == "10.9.0.2"


@pytest.fixture
def table(tmp_path: Path) -> nameserver.Table:
    """Two networks with this very process on them, and one that the container is not on."""
    start = state.start_time(os.getpid())

    def lease(owner: str, *names: str, started: int | None = start) -> list[object]:
        return [owner, os.getpid(), started, {"names": names}]

    networks = {
        "front": {
            "10.9.1.2": lease(OWN, "web", "aaaaaaaaaaaa"),
            "10.9.1.3": lease(OTHER, "db", "Store"),
            "10.9.1.4": lease(OTHER, "gone", "store", started=1),
            "10.9.1.5": lease("c" * 64, "store"),
        },
        "back": {"10.9.2.2": lease(OWN, "web"), "10.9.2.3": lease(OTHER, "db")},
        "foreign": {"10.9.3.2": lease(OTHER, "secret")},
    }
    for name, leases in networks.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "leases.json").write_text(json.dumps({"leases": leases}))
        (tmp_path / name / "network.json").write_text(json.dumps({"name": name, "internal": name != "front"}))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "leases.json").write_text("{")
    return nameserver.Table(str(tmp_path), OWN)


def query(name: str, kind: int = A, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return pack("!HHHHHH", 77, flags, 1, 0, 0, 0) + labels + b"\0" + pack("!HH", kind, 1)


def addresses(answer: bytes | None) -> list[str]:
    """The A records of an answer to one question; each is 16 bytes."""
    assert answer is not None
    number, flags, questions, count = unpack_from("!HHHH", answer)
    assert (number, flags & 0x8000, questions) == (77, 0x8000, 1)
    rows = [answer[len(answer) - 16 * (count - each) :][:16] for each in range(count)]
    assert all(row[:6] == b"\xc0\x0c\0\x01\0\x01" for row in rows)
    return [socket.inet_ntoa(row[-4:]) for row in rows]


def test_neighbors_are_answered_by_every_name_they_have(table: nameserver.Table) -> None:
    def ask(name: str) -> list[str]:
        return sorted(addresses(nameserver.answered(query(name), table)))

    assert ask("db") == ask("DB") == ["10.9.1.3", "10.9.2.3"]
    assert ask("db.back") == ["10.9.2.3"]
    assert ask("store") == ["10.9.1.3", "10.9.1.5"], "all that have it and live"
    assert ask("aaaaaaaaaaaa") == ["10.9.1.2"]
    assert addresses(nameserver.answered(query("db", AAAA), table)) == [], "there is one, but not of this kind"


def test_strangers_are_left_to_others_and_to_nobody_without_a_way_out(table: nameserver.Table, tmp_path: Path) -> None:
    for name in ("secret", "gone", "example.org", "db.foreign", "3.3.9.10.in-addr.arpa"):
        assert nameserver.answered(query(name), table) is None, name
    (tmp_path / "front" / "leases.json").unlink()
    answer = nameserver.answered(query("example.org"), table)
    assert answer is not None
    assert answer[3] & 15 == 3, "no such name"
    assert addresses(nameserver.answered(query("db"), table)) == ["10.9.2.3"]


def test_an_address_has_a_name_too(table: nameserver.Table) -> None:
    answer = nameserver.answered(query("3.1.9.10.in-addr.arpa", PTR), table)
    assert answer is not None
    assert answer.endswith(b"\x02db\x05front\0")
    assert nameserver.answered(query("9.9.9.9.in-addr.arpa", PTR), table) is None


@given(st.binary(max_size=80), st.booleans())
def test_whatever_is_sent_something_or_nothing_comes_back(data: bytes, headed: bool) -> None:
    nothing = nameserver.Table("/nonexistent", OWN)
    answer = nameserver.answered(query("db")[:12] + data if headed else data, nothing)
    assert answer is None or answer == b"" or len(answer) >= 12


def test_an_answer_is_no_query(table: nameserver.Table) -> None:
    assert nameserver.answered(query("db", flags=0x8180), table) == b""
