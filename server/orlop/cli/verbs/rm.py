"""`orlop rm`: remove containers."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker rm` has them."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    parser.add_argument("-f", "--force", action="store_true", help="kill running ones first; a missing one is no error")
    parser.add_argument("-v", "--volumes", action="store_true", help="its anonymous volumes too")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name."""

    def remove(name: str) -> str:
        try:
            engine.containers.remove(name, Job(), force=arguments.force, volumes=arguments.volumes)
        except errors.ContainerNotFound:
            if not arguments.force:
                raise
        return name

    return each.do(arguments.containers, remove)
