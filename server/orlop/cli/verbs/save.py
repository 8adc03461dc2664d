"""`orlop save`: images into an archive that Docker, podman and others load."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker save` has them, and the archive's form."""
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("-o", "--output", help="write to this file instead of standard output")
    parser.add_argument("--format", choices=("docker", "oci"), default="docker", help="form of the archive")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Write the archive."""
    names = tuple(arguments.images)
    if arguments.output:
        engine.images.save_file(names, Path(arguments.output), arguments.format, Job())
        return 0
    if sys.stdout.isatty():
        raise errors.Invalid(
            "cannot write an archive to a terminal", hint="Use -o FILE, or send the output to a file or a pipe."
        )
    engine.images.save(names, sys.stdout.buffer, arguments.format, Job())
    return 0
