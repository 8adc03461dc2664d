"""`orlop logs`: what a container wrote."""

from __future__ import annotations

import argparse
import signal
import sys

from orlop.cli import harmless
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker logs` has them."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    parser.add_argument("-t", "--timestamps", action="store_true", help="show when")
    parser.add_argument("-n", "--tail", default="all", help="only the last lines")
    parser.add_argument("--since", default="", help="not before this RFC 3339 time")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each line to the stream that it was written to."""
    if arguments.tail != "all" and not arguments.tail.isdigit():
        raise errors.Invalid(f"invalid value for --tail: {arguments.tail!r}", hint="Give a number, or all.")
    job = Job()
    signal.signal(signal.SIGINT, lambda *_: job.token.cancel())
    tail = None if arguments.tail == "all" else int(arguments.tail)
    for line in engine.containers.logs(
        arguments.container, job, tail=tail, since=arguments.since, follow=arguments.follow
    ):
        stream = harmless.raw(sys.stderr if line.stream == "stderr" else sys.stdout)
        stream.write(f"{line.time} {line.text}" if arguments.timestamps else line.text)
        if arguments.follow:
            stream.flush()
    return 0
