"""`orlop system prune`, `builder prune`, `container prune`: remove what nothing uses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from orlop.cli import confirm, output
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine import imagefilters
from orlop.engine.containers import PRUNE_PATIENCE
from orlop.engine.engine import Engine
from orlop.engine.imagefilters import Filters
from orlop.runtime.container import Container

_FILTERS = ("label", "label!", "until")


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as Docker has them, and a dry run."""
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
    only_cache = arguments.verb == "builder prune"
    only_containers = arguments.verb == "container prune"
    filters = imagefilters.parse(arguments.filter, ("until",) if only_cache else _FILTERS)
    ask = not arguments.force and not arguments.dry_run
    if ask and not confirm.ask(_warning(arguments)):
        if arguments.verb != "system prune":
            sys.stdout.write("Total reclaimed space: 0B\n")
        return 0
    if not only_cache and not arguments.dry_run:
        engine.containers.tidy(Job(), patience=PRUNE_PATIENCE)
    containers = [] if only_cache else _ended(engine, filters)
    gone, freed = _containers(arguments, engine, containers)
    if not only_containers:
        freed += _the_rest(arguments, engine, filters, gone)
    total = output.size(freed, 4)
    sys.stdout.write(f"Would reclaim {total}\n" if arguments.dry_run else f"Total reclaimed space: {total}\n")
    # The answer did not wait for the deleting, but the command ends only once the space is free.
    sys.stdout.flush()
    if not arguments.dry_run:
        engine.store.settle(Job())
    return 0


def _the_rest(arguments: argparse.Namespace, engine: Engine, filters: Filters, ended: frozenset[str]) -> int:
    """Images and build cache; the bytes that they give back."""
    dry = arguments.dry_run
    done = engine.system.prune(
        all_unused=arguments.all, only_cache=arguments.verb == "builder prune", dry_run=dry, job=Job(),
        filters=filters, ended=ended,
    )  # fmt: skip
    _section("Would delete images:" if dry else "Deleted Images:", [f"{kind}: {what}" for kind, what in done.images])
    objects = [f"{key}  {step}".rstrip() if dry else key for key, step in done.cache]
    _section("Would delete build cache objects:" if dry else "Deleted build cache objects:", objects)
    if dry:
        _section("Would delete files:", done.files)
    return done.reclaimed


def _ended(engine: Engine, filters: Filters) -> list[Container]:
    """Containers that do not run, as far as the filters keep them."""
    found = [each for each in engine.containers.list(every=True) if not each.alive]
    now = datetime.now(UTC)
    for name, value in filters:
        if name == "until":
            border = imagefilters.moment(value, now).timestamp()
            found = [each for each in found if each.created < border]
        else:
            key, equals, wanted = value.partition("=")
            found = [
                each
                for each in found
                if (key in each.labels and (not equals or each.labels[key] == wanted)) == (name == "label")
            ]
    return found


def _containers(arguments: argparse.Namespace, engine: Engine, ended: list[Container]) -> tuple[frozenset[str], int]:
    """Remove them, and say so; the IDs of those that went, and the bytes of their own files."""
    if not ended:
        return frozenset(), 0
    sizes = engine.system.measure().bundles
    gone: list[Container] = []
    for each in ended:
        try:
            if not arguments.dry_run:
                engine.containers.remove(each.id, Job())
        except (errors.ContainerNotFound, errors.Conflict):
            # Somebody else removed it, or started it again.
            continue
        gone.append(each)
    if arguments.dry_run:
        _section("Would delete containers:", [f"{each.id}  {each.name}" for each in gone])
    else:
        _section("Deleted Containers:", [each.id for each in gone])
    return frozenset(each.id for each in gone), sum(sizes.get(each.id, 0) for each in gone)


def _section(heading: str, lines: Sequence[str]) -> None:
    if lines:
        sys.stdout.write("\n".join((heading, *lines)) + "\n\n")


def _warning(arguments: argparse.Namespace) -> str:
    every = arguments.all
    if arguments.verb == "container prune":
        return "WARNING! This will remove all stopped containers."
    if arguments.verb == "builder prune":
        return f"WARNING! This will remove all {'' if every else 'dangling '}build cache."
    what = [
        "all stopped containers",
        "all images without at least one container associated to them" if every else "all dangling images",
        "all build cache" if every else "all dangling build cache",
    ]
    text = "WARNING! This will remove:\n" + "".join(f"  - {item}\n" for item in what)
    if arguments.filter:
        text += "\n  Items to be pruned will be filtered with:\n" + "".join(
            f"  - {item}\n" for item in arguments.filter
        )
    return text
