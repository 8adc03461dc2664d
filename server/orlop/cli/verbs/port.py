"""`orlop port`: where the ports of a container are on this host."""

from __future__ import annotations

import argparse
import sys

from orlop.core import errors
from orlop.engine.engine import Engine
from orlop.runtime.network.ports import Port


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments as `docker port` has them."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("port", nargs="?", metavar="PORT[/PROTOCOL]", help="only this one")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print a line for each address."""
    found = engine.containers.find(arguments.container)
    if not arguments.port:
        for port in found.ports:
            for host in addresses(port):
                sys.stdout.write(f"{port.container_port}/{port.protocol} -> {host}\n")
        return 0
    wanted = arguments.port if "/" in arguments.port else f"{arguments.port}/tcp"
    shown = [port for port in found.ports if f"{port.container_port}/{port.protocol}" == wanted.lower()]
    if not shown:
        raise errors.NotFound(f"no public port {wanted!r} published for {found.name}")
    sys.stdout.write("".join(f"{host}\n" for port in shown for host in addresses(port)))
    return 0


def addresses(port: Port) -> tuple[str, ...]:
    """What it listens on; without an address that is everything, of both families."""
    if not port.host:
        return f"0.0.0.0:{port.host_port}", f"[::]:{port.host_port}"
    return (f"[{port.host}]:{port.host_port}" if ":" in port.host else f"{port.host}:{port.host_port}",)
