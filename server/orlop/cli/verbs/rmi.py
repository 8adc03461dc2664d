"""`orlop rmi`: take a name away, and the image with its last one."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import output
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker rmi` has them, and a dry run."""
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument(
        "-f", "--force", action="store_true", help="also when it has several names or containers use it"
    )
    parser.add_argument("--no-prune", action="store_true", help="no effect: the store has no intermediate images")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print `Untagged:` and `Deleted:` lines."""
    removed = engine.images.remove(tuple(arguments.images), force=arguments.force, dry_run=arguments.dry_run, job=Job())
    sys.stdout.write("".join(f"Untagged: {name}\n" for name in removed.untagged))
    sys.stdout.write("".join(f"Deleted: {identity}\n" for identity in removed.deleted))
    if arguments.dry_run:
        sys.stdout.write(f"Would give back {output.size(removed.reclaimed)}\n")
    return 0
