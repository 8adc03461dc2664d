"""`orlop logout`: forgets an account of a registry."""

from __future__ import annotations

import argparse
import sys

from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """One registry, Docker Hub unless said."""
    parser.add_argument("server", nargs="?", default="", metavar="SERVER", help="registry (default: Docker Hub)")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Not having been logged in is no failure."""
    from orlop.engine.registries import host_of  # noqa: PLC0415

    host = host_of(arguments.server)
    if engine.registries.logout(host):
        sys.stdout.write(f"Removing login credentials for {host}\n")
    else:
        sys.stdout.write(f"Not logged in to {host}\n")
    return 0
