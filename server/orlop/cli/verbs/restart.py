"""`orlop restart`: stop containers and start them again."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.cli.verbs.run import tell
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker restart` has them."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    parser.add_argument("-t", "--time", "--timeout", type=float, help="seconds to wait before killing it")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name once it runs again."""

    def restart(name: str) -> str:
        engine.containers.restart(name, Job(tell), arguments.time)
        return name

    return each.do(arguments.containers, restart)
