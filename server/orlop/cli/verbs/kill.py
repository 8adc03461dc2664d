"""`orlop kill`: send a signal to containers."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker kill` has them."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    parser.add_argument("-s", "--signal", default="SIGKILL", help="name or number")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name."""

    def kill(name: str) -> str:
        engine.containers.kill(name, arguments.signal)
        return name

    return each.do(arguments.containers, kill)
