"""`orlop pause`, `orlop unpause`: hold a container's processes still, and let them go on."""

from __future__ import annotations

import argparse

from orlop.cli import each
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Names."""
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name once it is done."""
    action = (
        engine.containers.pause
        if arguments.verb.endswith(" pause") or arguments.verb == "pause"
        else (engine.containers.unpause)
    )

    def do(name: str) -> str:
        action(name, Job())
        return name

    return each.do(arguments.containers, do)
