"""`orlop search`: images at Docker Hub."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from orlop.cli import output, transfers
from orlop.core import errors
from orlop.engine.engine import Engine

COLUMNS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}
_WIDTH = 45


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker search` has them."""
    parser.add_argument("term", metavar="TERM")
    parser.add_argument("-f", "--filter", action="append", default=[], help="stars=NUMBER, is-official=true or false")
    parser.add_argument("--limit", type=int, default=25, help="most results, 1 to 100 (25)")
    parser.add_argument("--no-trunc", action="store_true", help="whole descriptions")
    parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.Name}}: {{.StarCount}}'")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print what the index finds, in its order."""
    official, stars = _filters(arguments.filter)
    with transfers.job_of(transfers.Notes()) as job:
        found = engine.registries.search(arguments.term, arguments.limit, job, official=official, stars=stars)
    rows: list[dict[str, Any]] = [
        {
            "Name": item.name,
            "Description": output.shorten(" ".join(item.description.split()), _WIDTH, full=arguments.no_trunc),
            "StarCount": str(item.stars),
            "IsOfficial": "[OK]" if item.official else "",
            "IsAutomated": "[OK]" if item.automated else "",
        }
        for item in found
    ]
    output.print_rows(rows, COLUMNS, arguments.format)
    sys.stdout.flush()
    return 0


def _filters(items: list[str]) -> tuple[bool | None, int]:
    official: bool | None = None
    stars = 0
    for item in items:
        name, _, value = item.partition("=")
        match name, value.lower():
            case "stars", number if number.isdigit():
                stars = max(stars, int(number))
            case "is-official", "true" | "1":
                official = True
            case "is-official", "false" | "0":
                official = False
            case "is-automated", "false" | "0":
                continue
            case _:
                raise errors.Invalid(
                    f"invalid filter {item!r}", hint="Use stars=NUMBER, is-official=true or is-official=false."
                )
    return official, stars
