"""`orlop wait`: until containers stop."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Names."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each exit code."""
    return each.do(arguments.containers, lambda name: str(engine.containers.wait(name, Job()).code))
