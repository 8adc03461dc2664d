"""`orlop ps`: containers."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from datetime import UTC, datetime
from typing import Any

from orlop.cli import output
from orlop.cli.verbs.port import addresses
from orlop.engine import containerfilters
from orlop.engine.engine import Engine
from orlop.runtime.container import Container

COLUMNS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedSince": "CREATED", "Status": "STATUS",
    "Ports": "PORTS", "Names": "NAMES",
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker ps` has them."""
    parser.add_argument("-a", "--all", action="store_true", help="stopped ones too")
    parser.add_argument("-q", "--quiet", action="store_true", help="only IDs")
    parser.add_argument("-l", "--latest", action="store_true", help="only the newest, running or not")
    parser.add_argument("-n", "--last", type=int, help="only so many of the newest, running or not")
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        help="name=, id=, status=, health=, exited=, label=, ancestor=, volume=",
    )
    parser.add_argument("--no-trunc", action="store_true", help="whole IDs and commands")
    parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.Names}}'")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="one JSON object a line")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print them, newest first."""
    last = 1 if arguments.latest else arguments.last
    filters = tuple(map(containerfilters.parse, arguments.filter))
    found = engine.containers.list(every=arguments.all or last is not None, filters=filters)
    found = found if last is None or last < 0 else found[:last]
    if arguments.quiet:
        sys.stdout.write("".join(f"{item.id if arguments.no_trunc else item.id[:12]}\n" for item in found))
        return 0
    output.print_rows([row(item, whole=arguments.no_trunc) for item in found], COLUMNS, arguments.format)
    return 0


def status(item: Container, now: float) -> str:
    """`Up 3 minutes (healthy)`, `Restarting (1) 4 seconds ago`, `Exited (0) 2 hours ago`, `Created`."""
    if item.status in ("restarting", "exited"):
        code = item.exit.code if item.exit else 0
        return f"{item.status.title()} ({code}) {output.duration(now - (item.finished or now))} ago"
    if item.alive:
        return f"Up {output.duration(now - (item.started or now))}{_addition(item)}"
    return "Created"


def _addition(item: Container) -> str:
    if item.status == "paused":
        return " (Paused)"
    if item.health is None:
        return ""
    return " (health: starting)" if item.health.status == "starting" else f" ({item.health.status})"


def row(item: Container, *, whole: bool) -> dict[str, Any]:
    """A container as lists show it."""
    created = datetime.fromtimestamp(item.created, UTC).isoformat()
    return {
        "ID": item.id if whole else item.id[:12],
        "Image": item.image.name,
        "Command": f'"{output.shorten(shlex.join(item.spec.args), 20, full=whole)}"',
        "CreatedSince": output.age(created),
        "CreatedAt": created,
        "Status": status(item, time.time()),
        "State": item.status,
        "Ports": ", ".join(
            f"{host}->{port.container_port}/{port.protocol}" for port in item.ports for host in addresses(port)
        ),
        "Names": item.name,
    }
