"""`orlop history`: the steps that made an image, newest first."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import output
from orlop.cli.parser import Parser
from orlop.engine.engine import Engine
from orlop.engine.inspection import HistoryRow

COLUMNS = {
    "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
}  # fmt: skip
COLUMNS_FOR_PROGRAMS = {
    "ID": "IMAGE", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
}  # fmt: skip
_CREATED_BY_WIDTH = 45


def configure(parser: Parser) -> None:
    """Flags as `docker image history` has them."""
    parser.add_argument("image")
    parser.switch("-H", "--human", default=True, help="sizes and dates for people")
    parser.add_argument("--no-trunc", action="store_true", help="whole commands and IDs")
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs")
    parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.CreatedBy}}'")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="one JSON object a line")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print them."""
    rows = engine.images.history(arguments.image)
    human = arguments.human
    shown = [_row(row, human=human, whole=arguments.no_trunc) for row in rows]
    if arguments.quiet:
        sys.stdout.write("".join(f"{row['ID']}\n" for row in shown))
        return 0
    columns = COLUMNS if human else COLUMNS_FOR_PROGRAMS
    output.print_rows(shown, columns, arguments.format)
    return 0


def _row(row: HistoryRow, *, human: bool, whole: bool) -> dict[str, str]:
    identity = "<missing>" if row.id is None else row.id if whole else row.id.partition(":")[2][:12]
    return {
        "ID": identity,
        "CreatedSince": output.age(row.created),
        "CreatedAt": output.rfc3339(row.created),
        "CreatedBy": output.shorten(row.created_by.replace("\t", " "), _CREATED_BY_WIDTH, full=whole),
        "Size": output.size(row.size) if human else str(row.size),
        "Comment": row.comment,
    }
