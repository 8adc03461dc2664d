"""`orlop manifest inspect`: what a name stands for at its registry, without pulling it."""

from __future__ import annotations

import argparse
import json
import sys

from orlop.cli import transfers
from orlop.core import reference as references
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker manifest inspect` has them."""
    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("-v", "--verbose", action="store_true", help="name, digest and platforms too")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the document."""
    with transfers.job_of(transfers.Notes()) as job:
        found = engine.registries.manifest(references.parse(arguments.name), job)
    document = json.loads(found.raw)
    if arguments.verbose:
        described = {"mediaType": found.media_type, "digest": str(found.digest), "size": len(found.raw)}
        document = {
            "Ref": str(found.reference),
            "Descriptor": described,
            "Platforms": [str(one) for one in found.platforms],
            "Manifest": document,
        }
    sys.stdout.write(json.dumps(document, indent=3, ensure_ascii=False) + "\n")
    return 0
