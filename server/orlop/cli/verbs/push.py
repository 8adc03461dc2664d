"""`orlop push`: an image to its registry."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import transfers
from orlop.core import errors
from orlop.core import reference as references
from orlop.core.reference import Reference
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker push` has them."""
    parser.add_argument("name", metavar="NAME[:TAG]")
    parser.add_argument("-a", "--all-tags", action="store_true", help="every tag of the repository that is here")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the image's name")
    parser.add_argument("--disable-content-trust", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Push it, and tell what the registry has now in Docker's words."""
    reference = references.parse(arguments.name)
    names = _names(reference, engine) if arguments.all_tags else (reference.or_latest(),)
    if not arguments.quiet:
        if not (reference.tag or reference.digest or arguments.all_tags):
            sys.stdout.write("Using default tag: latest\n")
        sys.stdout.write(f"The push refers to repository [{reference.repository}]\n")
        sys.stdout.flush()
    for name in names:
        with transfers.job_of(transfers.make(sys.stdout, transfers.PUSH_WORDS, "", quiet=arguments.quiet)) as job:
            pushed = engine.registries.push(name, job)
        if arguments.quiet:
            sys.stdout.write(f"{pushed.reference}\n")
        else:
            sys.stdout.write(f"{name.tag}: digest: {pushed.digest} size: {pushed.size}\n")
        sys.stdout.flush()
    return 0


def _names(reference: Reference, engine: Engine) -> tuple[Reference, ...]:
    if reference.tag or reference.digest:
        raise errors.Invalid(
            f"cannot push all tags of {reference.familiar}: it names one",
            hint=f"Name the repository alone: {reference.familiar_repository}.",
        )
    return engine.registries.local_names(reference)
