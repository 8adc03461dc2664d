"""`orlop rmi`: take a name away, and the image with its last one."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import each, output
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker rmi` has them, and a dry run."""
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument(
        "-f", "--force", action="store_true", help="also with names in several repositories, or stopped containers"
    )
    parser.add_argument("--no-prune", action="store_true", help="no effect: the store has no intermediate images")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print `Untagged:` and `Deleted:` lines; go on after a name that cannot go, and end with 1 then."""
    failed = False
    for name in arguments.images:
        try:
            removed = engine.images.remove((name,), force=arguments.force, dry_run=arguments.dry_run, job=Job())
        except errors.Cancelled:
            raise
        except errors.OrlopError as error:
            # A forced removal has reached its end when the image is not there.
            failed = failed or not (arguments.force and isinstance(error, errors.ImageNotFound))
            each.complain(error)
            continue
        sys.stdout.write("".join(f"{kind.capitalize()}: {what}\n" for kind, what in removed.records))
        if arguments.dry_run:
            sys.stdout.write(f"Would give back {output.size(removed.reclaimed, 4)}\n")
        sys.stdout.flush()
    return 1 if failed else 0
