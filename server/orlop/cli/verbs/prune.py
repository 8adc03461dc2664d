"""`orlop system prune`, `builder prune`, `container prune`: remove what nothing uses, after saying what that is."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import output
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as Docker has them, and a dry run."""
    parser.add_argument(
        "-a", "--all", action="store_true", help="every image without a container, not only nameless ones"
    )
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """List what would go, ask, remove, and say how much that gave back."""
    if arguments.verb == "container prune":
        return _containers(arguments, engine)
    only_cache = arguments.verb == "builder prune"
    planned = engine.system.prune(all_unused=arguments.all, only_cache=only_cache, dry_run=True, job=Job())
    for line in planned.lines:
        sys.stdout.write(f"{line}\n")
    if arguments.dry_run:
        sys.stdout.write(f"Would reclaim {output.size(planned.reclaimed)}\n")
        return 0
    if not arguments.force and not _confirmed(f"these and reclaim {output.size(planned.reclaimed)}"):
        return 0
    done = engine.system.prune(all_unused=arguments.all, only_cache=only_cache, dry_run=False, job=Job())
    sys.stdout.write(f"Total reclaimed space: {output.size(done.reclaimed)}\n")
    # The answer did not wait for the deleting, but the command ends only once the space is free.
    sys.stdout.flush()
    engine.store.settle(Job())
    return 0


def _containers(arguments: argparse.Namespace, engine: Engine) -> int:
    doomed = [each for each in engine.containers.list(every=True) if not each.alive]
    for each in doomed:
        sys.stdout.write(f"container {each.name} ({each.id[:12]}) of {each.image.name}\n")
    if arguments.dry_run or not doomed or not (arguments.force or _confirmed("these")):
        return 0
    gone = engine.containers.prune(Job())
    sys.stdout.write(f"Removed {len(gone)} container{'s' if len(gone) != 1 else ''}\n")
    return 0


def _confirmed(what: str) -> bool:
    sys.stdout.write(f"Remove {what}? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
