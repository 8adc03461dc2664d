"""`orlop cp`: files between a container and this host."""

from __future__ import annotations

import argparse
import sys

from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker cp` has them."""
    parser.add_argument(
        "source", metavar="SOURCE", help="CONTAINER:PATH, a path here, or - for a tar on standard input"
    )
    parser.add_argument(
        "target", metavar="TARGET", help="a path here, CONTAINER:PATH, or - for a tar on standard output"
    )
    parser.add_argument("-a", "--archive", action="store_true", help="keep the owners")
    parser.add_argument("-L", "--follow-link", action="store_true", help="follow a link at the end of SOURCE")
    parser.add_argument("-q", "--quiet", action="store_true", help="no effect: nothing is told anyway")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Copy."""
    source, target = _split(arguments.source), _split(arguments.target)
    archive, follow = arguments.archive, arguments.follow_link
    copies = engine.containers.copies
    if source[0] is not None and target[0] is not None:
        raise errors.Invalid("cannot copy between two containers", hint="Copy to this host first.")
    if source[0] is not None:
        if target[1] == "-":
            copies.read(source[0], source[1], sys.stdout.buffer, follow=follow, job=Job())
        else:
            copies.take(source[0], source[1], target[1], archive=archive, follow=follow, job=Job())
    elif target[0] is not None:
        if source[1] == "-":
            copies.write(target[0], sys.stdin.buffer, target[1], archive=archive, job=Job())
        else:
            copies.put(target[0], source[1], target[1], archive=archive, follow=follow, job=Job())
    else:
        raise errors.Invalid("cannot copy: neither side is a container", hint="Write CONTAINER:PATH on one side.")
    return 0


def _split(text: str) -> tuple[str | None, str]:
    """(container, path inside) or (None, path here): a path with a colon here begins with a slash or a dot."""
    name, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")) or not name:
        return None, text
    if not path:
        raise errors.Invalid(f"cannot copy {text}: the path is missing", hint="Write CONTAINER:PATH.")
    return name, path if path.startswith("/") else f"/{path}"
