"""`orlop load`: images out of an archive, whoever wrote it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker load` has them."""
    parser.add_argument("-i", "--input", help="read this file or OCI layout folder instead of standard input")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print what was loaded in Docker's words."""
    if arguments.input is None and sys.stdin.isatty():
        raise errors.Invalid(
            "requested load from stdin, but stdin is empty", hint="Use -i FILE, or send an archive in."
        )
    if arguments.input is None:
        loaded = engine.images.load(sys.stdin.buffer, Job())
    else:
        loaded = engine.images.load(Path(arguments.input), Job())
    for item in loaded:
        if item.reference is not None:
            sys.stdout.write(f"Loaded image: {item.reference.familiar}\n")
        else:
            sys.stdout.write(f"Loaded image ID: {item.id}\n")
    return 0
