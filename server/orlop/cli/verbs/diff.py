"""`orlop diff`: what a container changed."""

from __future__ import annotations

import argparse
import sys

from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """A name."""
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print a line for each path: A is added, C changed, D deleted."""
    for kind, path in engine.containers.copies.changes(arguments.container, Job()):
        sys.stdout.write(f"{kind} {path}\n")
    return 0
