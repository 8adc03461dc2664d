"""`orlop update`: change the limits and the restart policy of containers."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.cli.verbs.run import limit_flags
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine
from orlop.engine.limits import LimitWishes

_LIMITS = ("memory", "memory_swap", "memory_reservation", "cpus", "cpu_shares", "cpuset_cpus", "pids_limit")


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker update` has them."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    limit_flags(parser)
    parser.add_argument("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name."""
    asked = {name: getattr(arguments, name) for name in _LIMITS}
    if arguments.restart is None and all(value is None for value in asked.values()):
        raise errors.Invalid("you must provide one or more flags when using this command", hint="See --help.")

    def update(name: str) -> str:
        engine.containers.update(name, LimitWishes(**asked), arguments.restart, Job())
        return name

    return each.do(arguments.containers, update)
