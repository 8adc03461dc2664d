"""Packet rules of a bridge: masquerading, no way in from outside, and living beside Docker and other firewalls.

Own rules sit in an own nftables table named like the bridge, written by the `nft` program in one transaction (its
replacement in pyroute2 garbles prefixes); without nft, in the host's iptables chains. A drop in anybody's chain is
final, so where iptables drops what it does not know, the bridge is let through there too, in DOCKER-USER where Docker
runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Protocol

from orlop.core import errors

_SECONDS = 20
# What Docker calls its bridges, in iptables' way of writing.
_BRIDGES_OF_DOCKER = ("docker+", "br-+")


class Bridge(Protocol):
    """What the rules are about: a link and its IPv4 network."""

    @property
    def name(self) -> str:
        """Name of the link."""

    @property
    def subnet(self) -> IPv4Network:
        """Its network."""


class Run(Protocol):
    """Runs a program; returns its exit code (127 when it is not installed), standard output and standard error."""

    def __call__(self, argv: Sequence[str], text: str = "", /) -> tuple[int, str, str]:
        """Run `argv` with `text` as standard input."""


def run_program(argv: Sequence[str], text: str = "") -> tuple[int, str, str]:
    """Run a program of the host; also looks where only root's PATH does."""
    program = shutil.which(argv[0], path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if program is None:
        return 127, "", f"{argv[0]} is not installed"
    try:
        done = subprocess.run(
            [program, *argv[1:]], input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} did not answer within {_SECONDS} s"
    return done.returncode, done.stdout, done.stderr


def ensure(
    bridge: Bridge,
    run: Run = run_program,
    *,
    uplinks: Sequence[str] = (),
    internal: bool = False,
    alone: bool = False,
) -> tuple[str, ...]:
    """See to it that all rules are there, whatever was there before; returns notes worth telling.

    Containers get no way to other bridges of this host, such as Docker's, except one that is among the `uplinks` (links
    of default routes) and except by published ports; an `internal` bridge has no way out at all. `alone` means that no
    other firewall has a say in this network namespace. Raises `Unavailable` when neither nft nor iptables can be used.
    """
    code, _, complaint = run(("nft", "-f", "-"), _table(bridge, uplinks, internal=internal))
    shut = [each for each in _BRIDGES_OF_DOCKER if not any(link.startswith(each[:-1]) for link in uplinks)]
    if code != 0:
        _ensure_iptables(bridge, run, complaint, shut, internal=internal)
    if internal or alone:
        return ()
    notes = [*_pass_iptables(bridge, run, () if code == 0 else shut), *_pass_firewalld(bridge, run)]
    if code == 0:
        notes += _foreign_drops(bridge, run)
    return tuple(notes)


def remove(name: str, run: Run = run_program, *, alone: bool = False) -> None:
    """Take away every rule made for the bridge `name`; returns normally when there is none. `alone`: see `ensure`."""
    if run(("nft", "-f", "-"), f"table ip {name}\ndelete table ip {name}\n")[0] == 0 and alone:
        return
    for table in ("filter", "nat"):
        code, rules, _ = run(("iptables", "-w", "-t", table, "-S"))
        for line in rules.splitlines() if code == 0 else ():
            words = line.split()
            if words[0] == "-A" and "--comment" in words and words[words.index("--comment") + 1].strip('"') == name:
                run(("iptables", "-w", "-t", table, "-D", *(word.strip('"') for word in words[1:])))
    if run(("firewall-cmd", "--state"))[0] == 0:
        run(("firewall-cmd", "--zone=trusted", f"--remove-interface={name}"))


def _table(bridge: Bridge, uplinks: Sequence[str], *, internal: bool) -> str:
    # The first two lines make the transaction the same whether the table is there or not.
    name, subnet = bridge.name, bridge.subnet
    if internal:
        rules = [f'iifname != "{name}" oifname "{name}" drop', f'iifname "{name}" oifname != "{name}" drop']
        masquerade = ""
    else:
        ways = ", ".join(f'"{each}"' for each in (name, *uplinks))
        aside = f'iifname "{name}" oifname != {{ {ways} }} meta oifkind "bridge"'
        rules = [
            f'iifname != "{name}" oifname "{name}" ct state new,invalid drop',
            f"{aside} ct status dnat accept",
            f"{aside} drop",
        ]
        masquerade = f'ip saddr {subnet} oifname != "{name}" masquerade'
    return f"""\
table ip {name}
delete table ip {name}
table ip {name} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {masquerade}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    {f"{chr(10)}    ".join(rules)}
  }}
}}
"""


def _ensure_iptables(bridge: Bridge, run: Run, complaint: str, shut: Sequence[str], *, internal: bool) -> None:
    name = bridge.name
    wanted: list[tuple[str, tuple[str, ...], str]]
    if internal:
        wanted = [
            ("filter", ("FORWARD", "!", "-i", name, "-o", name), "DROP"),
            ("filter", ("FORWARD", "-i", name, "!", "-o", name), "DROP"),
        ]
    else:
        new = ("-m", "conntrack", "--ctstate", "NEW,INVALID")
        wanted = [
            ("nat", ("POSTROUTING", "-s", str(bridge.subnet), "!", "-o", name), "MASQUERADE"),
            ("filter", ("FORWARD", "!", "-i", name, "-o", name, *new), "DROP"),
            *(("filter", ("FORWARD", *_aside(name, each)), "DROP") for each in shut),
        ]
    for table, rule, target in wanted:
        failure = _insert(table, (*rule, *_comment(name), "-j", target), run)
        if failure is not None:
            raise errors.Unavailable(
                f"cannot write packet rules for {name}: {_first_line(complaint)}; {_first_line(failure)}",
                hint="Install nftables: `sudo apt-get install nftables`.",
            )


def _aside(name: str, other: str) -> tuple[str, ...]:
    """Packets to another bridge that no published port has led there."""
    return ("-i", name, "-o", other, "-m", "conntrack", "!", "--ctstate", "DNAT")


def _pass_iptables(bridge: Bridge, run: Run, shut: Sequence[str]) -> list[str]:
    code, rules, _ = run(("iptables", "-w", "-S"))
    if code != 0:
        return []
    lines = rules.splitlines()
    if "-N DOCKER-USER" in lines:
        chain = "DOCKER-USER"
    elif "-P FORWARD DROP" in lines or any(_ends_in_refusal(line) for line in lines):
        chain = "FORWARD"
    else:
        return []
    name = bridge.name
    back = ("-o", name, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    # Each at the head, so the last one has the first word.
    wanted = [(("-i", name), "ACCEPT"), (back, "ACCEPT"), *((_aside(name, each), "DROP") for each in shut)]
    for rule, target in wanted:
        failure = _insert("filter", (chain, *rule, *_comment(name), "-j", target), run)
        if failure is not None:
            return [f"the firewall may drop packets of containers: {_first_line(failure)}"]
    return []


def _ends_in_refusal(line: str) -> bool:
    return line.startswith(("-A FORWARD -j REJECT", "-A FORWARD -j DROP"))


def _pass_firewalld(bridge: Bridge, run: Run) -> list[str]:
    if run(("firewall-cmd", "--state"))[0] != 0:
        return []
    code, _, complaint = run(("firewall-cmd", "--zone=trusted", f"--change-interface={bridge.name}"))
    return [] if code == 0 else [f"firewalld may drop packets of containers: {_first_line(complaint)}"]


def _foreign_drops(bridge: Bridge, run: Run) -> list[str]:
    code, text, _ = run(("nft", "-j", "list", "chains"))
    if code != 0:
        return []
    try:
        chains = [each["chain"] for each in json.loads(text)["nftables"] if "chain" in each]
    except (ValueError, KeyError, TypeError):
        return []
    return [
        f"the nftables chain {chain['family']} {chain['table']} {chain['name']} drops forwarded packets by default; "
        f'containers reach no network until it accepts iifname "{bridge.name}" and replies'
        for chain in chains
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and chain["family"] in ("ip", "inet")
        and (chain["family"], chain["table"]) != ("ip", "filter")  # iptables' own, see above
    ]


def _insert(table: str, rule: Sequence[str], run: Run) -> str | None:
    """Put a rule at the head of its chain unless it is there; the complaint when that fails."""
    if run(("iptables", "-w", "-t", table, "-C", *rule))[0] == 0:
        return None
    code, _, complaint = run(("iptables", "-w", "-t", table, "-I", *rule))
    return None if code == 0 else complaint


def _comment(name: str) -> tuple[str, ...]:
    return ("-m", "comment", "--comment", name)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0]
