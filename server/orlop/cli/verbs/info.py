"""`orlop info`: where the store is, how full, and whether containers can run here."""

from __future__ import annotations

import argparse
import json
import sys

from orlop.cli import output
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """One flag."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the facts."""
    info = engine.system.info()
    facts = {
        "Version": info.version,
        "Store": str(info.root),
        "Images": len(engine.images.list()),
        "Size": output.size(sum(row.size for row in engine.system.usage())),
        "Rootless": info.rootless,
        "Containers can run": info.can_run,
    }
    if info.reason:
        facts["Reason"] = info.reason
    if info.hint:
        facts["Fix"] = info.hint
    if arguments.json:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in facts.items()))
    return 0
