"""Docker's question before it removes much."""

from __future__ import annotations

import sys


def ask(warning: str) -> bool:
    """Whether the person at the terminal says yes to the warning."""
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
