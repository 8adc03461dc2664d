"""`orlop import`: one layer out of a root file system archive."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker import` has them."""
    parser.add_argument("file", help="a tar archive (plain, gzip, bzip2, xz or zstd), or - for standard input")
    parser.add_argument("repository", nargs="?", metavar="REPOSITORY[:TAG]")
    parser.add_argument(
        "-c", "--change", action="append", default=[], help="apply a Dockerfile instruction, e.g. 'CMD sh'"
    )
    parser.add_argument("-m", "--message", default="", help="comment of the image")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the image's ID."""
    changes = tuple(arguments.change)
    if arguments.file == "-":
        image = engine.images.import_stream(
            sys.stdin.buffer, "-", arguments.repository, changes, arguments.message, Job()
        )
    else:
        image = engine.images.import_path(Path(arguments.file), arguments.repository, changes, arguments.message, Job())
    sys.stdout.write(f"{image.id}\n")
    return 0
