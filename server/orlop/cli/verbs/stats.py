"""`orlop stats`: what running containers use."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import harmless, output
from orlop.core.job import Job
from orlop.engine.engine import Engine
from orlop.runtime.container import Container
from orlop.runtime.usage import Usage

COLUMNS = {
    "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %",
    "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}  # fmt: skip
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker stats` has them."""
    parser.add_argument("containers", nargs="*", metavar="CONTAINER")
    parser.add_argument("--no-stream", action="store_true", help="one look instead of one after the other")
    parser.add_argument("--no-trunc", action="store_true", help="whole IDs")
    parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.Name}}: {{.CPUPerc}}'")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the table, again and again unless told otherwise."""
    while True:
        used = engine.containers.usage(tuple(arguments.containers), Job())
        rows = [_row(each, usage, whole=arguments.no_trunc) for each, usage in used]
        if not arguments.no_stream and sys.stdout.isatty():
            harmless.raw(sys.stdout).write("\x1b[H\x1b[2J")
        output.print_rows(rows, COLUMNS, arguments.format)
        sys.stdout.flush()
        if arguments.no_stream:
            return 0


def _row(each: Container, usage: Usage | None, *, whole: bool) -> dict[str, str]:
    named = {"ID": each.id if whole else each.id[:12], "Name": each.name}
    if usage is None:
        return {**dict.fromkeys(COLUMNS, "--"), **named}
    return {
        **named,
        "CPUPerc": f"{usage.cpu * 100:.2f}%",
        "MemUsage": f"{_binary(usage.memory)} / {_binary(usage.limit)}",
        "MemPerc": f"{usage.memory * 100 / usage.limit:.2f}%",
        "NetIO": f"{output.size(usage.received)} / {output.size(usage.sent)}",
        "BlockIO": f"{output.size(usage.read)} / {output.size(usage.written)}",
        "PIDs": str(usage.processes),
    }


def _binary(count: float) -> str:
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{float(f'{count:.4g}'):g}{_UNITS[unit]}"
