"""`orlop image prune`: remove images that nothing uses."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import confirm, output
from orlop.core.job import Job
from orlop.engine import imagefilters
from orlop.engine.engine import Engine

_DANGLING = "WARNING! This will remove all dangling images."
_UNUSED = "WARNING! This will remove all images without at least one container associated to them."


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker image prune` has them, and a dry run."""
    parser.add_argument(
        "-a", "--all", action="store_true", help="every image without a container, not only nameless ones"
    )
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument(
        "--filter", action="append", default=[], metavar="NAME=VALUE", help="label=, label!=, until=; may be repeated"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Ask, remove, and say what went and how much that gave back."""
    filters = imagefilters.parse(arguments.filter, imagefilters.PRUNING)
    ask = not arguments.force and not arguments.dry_run
    if ask and not confirm.ask(_UNUSED if arguments.all else _DANGLING):
        sys.stdout.write("Total reclaimed space: 0B\n")
        return 0
    done = engine.images.prune(all_unused=arguments.all, filters=filters, dry_run=arguments.dry_run, job=Job())
    if done.records:
        sys.stdout.write("Would delete images:\n" if arguments.dry_run else "Deleted Images:\n")
        sys.stdout.write("".join(f"{kind}: {what}\n" for kind, what in done.records) + "\n")
    said = "Would reclaim" if arguments.dry_run else "Total reclaimed space:"
    sys.stdout.write(f"{said} {output.size(done.reclaimed, 4)}\n")
    # The answer did not wait for the deleting, but the command ends only once the space is free.
    sys.stdout.flush()
    if not arguments.dry_run:
        engine.store.settle(Job())
    return 0
