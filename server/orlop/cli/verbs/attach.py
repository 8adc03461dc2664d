"""`orlop attach`: this terminal becomes that of a running container."""

from __future__ import annotations

import argparse

from orlop.cli import terminal
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker attach` has them."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("--no-stdin", action="store_true", help="only watch")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Stay until the program ends; its exit code."""
    found = engine.containers.find(arguments.container)
    session = engine.containers.attach(found.id)
    interactive = found.spec.stdin_open and not arguments.no_stdin
    code = terminal.pump(session, tty=found.spec.tty, interactive=interactive, job=Job())
    session.close()
    return engine.containers.finish(found.id, Job(), code)
