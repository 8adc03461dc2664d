"""`orlop rename`: give a container another name."""

from __future__ import annotations

import argparse

from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """The container and its new name."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("name", metavar="NEW_NAME")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Rename it."""
    engine.containers.rename(arguments.container, arguments.name, Job())
    return 0
