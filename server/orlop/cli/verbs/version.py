"""`orlop version`: what this is."""

from __future__ import annotations

import argparse
import json
import platform
import sys

from orlop import __version__

NEEDS_ENGINE = False


def configure(parser: argparse.ArgumentParser) -> None:
    """One flag."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print version, Python and kernel."""
    facts = {
        "Version": __version__,
        "Python": platform.python_version(),
        "OS/Arch": f"linux/{platform.machine()}",
        "Kernel": platform.release(),
    }
    if arguments.json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write("Orlop\n" + "".join(f" {name + ':':<10} {value}\n" for name, value in facts.items()))
    return 0
