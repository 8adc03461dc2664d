"""`orlop commit`: an image of what a container has changed."""

from __future__ import annotations

import argparse
import sys

from orlop.cli.parser import Parser
from orlop.core.job import Job
from orlop.engine.containers import CommitOptions
from orlop.engine.engine import Engine


def configure(parser: Parser) -> None:
    """Flags as `docker commit` has them."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("reference", nargs="?", metavar="REPOSITORY[:TAG]", help="name of the image")
    parser.add_argument("-m", "--message", default="", help="what was done")
    parser.add_argument("-a", "--author", default="", help="who did it")
    parser.add_argument(
        "-c", "--change", action="append", default=[], help="Dockerfile instruction for the image's configuration"
    )
    parser.switch("-p", "--pause", default=True, help="keep the container still meanwhile (--pause=false: let it run)")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the image's ID."""
    options = CommitOptions(
        message=arguments.message,
        author=arguments.author,
        changes=tuple(arguments.change),
        pause=arguments.pause,
    )
    image = engine.containers.commit(arguments.container, arguments.reference, options, Job())
    sys.stdout.write(f"{image.id}\n")
    return 0
