"""`orlop export`: the file system of a container as a tar."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orlop.archive import images as archives
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker export` has them."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("-o", "--output", help="write into this file instead of standard output")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Write it; a file appears only when it is whole."""
    if arguments.output:
        with archives.replacing(Path(arguments.output)) as out:
            engine.containers.copies.export(arguments.container, out, Job())
        return 0
    if sys.stdout.isatty():
        raise errors.Invalid("cannot write a tar to a terminal", hint="Use -o, or redirect the output.")
    engine.containers.copies.export(arguments.container, sys.stdout.buffer, Job())
    return 0
