"""`orlop inspect`: images and containers as Docker's JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from orlop.cli import output
from orlop.core import errors
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker inspect` has them."""
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("-f", "--format", help="a template such as '{{.Config.User}}' or '{{json .Config}}'")
    parser.add_argument("--type", choices=("image", "container"), help="only look for this kind")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print one array, or a line each by the template."""
    kind = arguments.type or {"image inspect": "image", "container inspect": "container"}.get(arguments.verb)
    found = [_inspect(engine, name, kind) for name in arguments.names]
    if arguments.format:
        sys.stdout.write("".join(output.render(arguments.format, item) + "\n" for item in found))
    else:
        sys.stdout.write(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
    return 0


def _inspect(engine: Engine, name: str, kind: str | None) -> dict[str, Any]:
    if kind != "image":
        try:
            return engine.containers.inspect(name)
        except errors.ContainerNotFound:
            if kind == "container":
                raise
    return engine.images.inspect(name)
