"""`orlop system df`: what the store takes on disk."""

from __future__ import annotations

import argparse

from orlop.cli import output
from orlop.engine.engine import Engine

COLUMNS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
_NAMES = {"images": "Images", "containers": "Containers", "build-cache": "Build Cache"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker system df` has them."""
    parser.add_argument("--format", help="'json', 'table …' or a template")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="one JSON object a line")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the table."""
    rows = []
    for row in engine.system.usage():
        percent = f" ({row.reclaimable * 100 // row.size}%)" if row.size else ""
        rows.append(
            {
                "Type": _NAMES[row.type],
                "TotalCount": row.total,
                "Active": row.active,
                "Size": output.size(row.size),
                "Reclaimable": output.size(row.reclaimable) + percent,
            }
        )
    output.print_rows(rows, COLUMNS, arguments.format)
    return 0
