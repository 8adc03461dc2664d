"""`orlop tag`: another name for an image."""

from __future__ import annotations

import argparse

from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Two names."""
    parser.add_argument("source", metavar="SOURCE_IMAGE[:TAG]")
    parser.add_argument("target", metavar="TARGET_IMAGE[:TAG]")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Silent when it worked, as Docker is."""
    engine.images.tag(arguments.source, arguments.target)
    return 0
