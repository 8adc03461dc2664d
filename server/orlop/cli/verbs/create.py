"""`orlop create`: a container that waits for its start."""

from __future__ import annotations

import argparse
import sys

from orlop.cli.parser import Parser
from orlop.cli.verbs import run as running
from orlop.engine.engine import Engine


def configure(parser: Parser) -> None:
    """Flags as `docker create` has them."""
    running.container_flags(parser)


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the container's ID."""
    sys.stdout.write(f"{running.create(arguments, engine).id}\n")
    return 0
