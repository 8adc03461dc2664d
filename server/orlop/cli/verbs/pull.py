"""`orlop pull`: an image from a registry."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TextIO

from orlop.cli import transfers
from orlop.core import errors, platform
from orlop.core import reference as references
from orlop.core.platform import Platform
from orlop.core.reference import Reference
from orlop.engine.engine import Engine

if TYPE_CHECKING:
    from orlop.engine.pulling import Pulled


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker pull` has them."""
    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("-a", "--all-tags", action="store_true", help="every tag of the repository")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the image's name")
    parser.add_argument("--platform", metavar="OS/ARCHITECTURE", help="platform of the image (default: this machine's)")
    parser.add_argument("--disable-content-trust", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Pull it, and tell what came in Docker's words."""
    reference = references.parse(arguments.name)
    wanted = platform.parse(arguments.platform) if arguments.platform else None
    if arguments.all_tags:
        return _pull_all(arguments, reference, wanted, engine)
    if not (reference.tag or reference.digest or arguments.quiet):
        sys.stdout.write("Using default tag: latest\n")
    show(engine, reference.or_latest(), wanted, sys.stdout, quiet=arguments.quiet)
    sys.stdout.write(f"{reference.or_latest()}\n")
    return 0


def ensure(engine: Engine, text: str, policy: str) -> None:
    """Have the image of a name or ID here before a container is made of it; what is pulled shows on standard error.

    `policy` is missing, always or never; raises `ImageNotFound` and what a pull raises.
    """
    if policy not in ("missing", "always", "never"):
        raise errors.Invalid(f"invalid pull policy {policy!r}", hint="Use always, missing or never.")
    if policy != "always":
        try:
            if not engine.images.find(text).missing or policy == "never":
                return
        except errors.ImageNotFound:
            if policy == "never":
                raise
        sys.stderr.write(f"Unable to find image '{_spelled(text)}' locally\n")
    name = engine.registries.pullable(text)
    if name is not None:
        show(engine, name, None, sys.stderr)


def show(
    engine: Engine, name: Reference, wanted: Platform | None, out: TextIO, *, quiet: bool = False
) -> Pulled:  # fmt: skip
    """Pull one name with a line for each layer, its digest, and whether anything was new."""
    heading = f"{name.tag or name}: Pulling from {name.path}\n"
    with transfers.job_of(transfers.make(out, transfers.PULL_WORDS, heading, quiet=quiet)) as job:
        pulled = engine.registries.pull(name, wanted, job)
    if not quiet:
        status = "Downloaded newer image for" if pulled.status == "newer" else "Image is up to date for"
        out.write(f"Digest: {pulled.digest}\nStatus: {status} {name.familiar}\n")
        out.flush()
    return pulled


def _pull_all(arguments: argparse.Namespace, reference: Reference, wanted: Platform | None, engine: Engine) -> int:
    with transfers.job_of(transfers.Notes()) as job:
        for tag in engine.registries.all_tags(reference, job):
            job.checkpoint()
            show(engine, reference.with_tag(tag), wanted, sys.stdout, quiet=arguments.quiet)
    sys.stdout.write(f"{reference}\n")
    return 0


def _spelled(text: str) -> str:
    try:
        return references.parse(text).or_latest().familiar
    except errors.InvalidReference:
        return text
