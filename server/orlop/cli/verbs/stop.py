"""`orlop stop`: ask containers to end, kill those that do not."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker stop` has them."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    parser.add_argument("-t", "--time", "--timeout", type=float, help="seconds to wait before killing it")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name once it has stopped."""

    def stop(name: str) -> str:
        engine.containers.stop(name, Job(), arguments.time)
        return name

    return each.do(arguments.containers, stop)
