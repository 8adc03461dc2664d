"""`orlop doctor`: what this host allows, tried by doing it, and how to mend what it does not."""

from __future__ import annotations

import argparse
import json
import sys

from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """One flag."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print every check; the exit code is 1 when containers cannot run."""
    report = engine.system.doctor()
    if arguments.json:
        checks = [{"name": c.name, "ok": c.ok, "detail": c.detail, "fix": c.fix} for c in report.checks]
        sys.stdout.write(json.dumps(checks, ensure_ascii=False) + "\n")
    else:
        for check in report.checks:
            sys.stdout.write(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}\n")
            if not check.ok and check.fix:
                sys.stdout.write(f"      fix: {check.fix}\n")
    return 0 if report.can_run else 1
