"""Verbs that do one thing to each of several names: go on after a failure, and end with 1 then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from orlop.core import errors


def do(names: Sequence[str], action: Callable[[str], str]) -> int:
    """Print what `action` returns for each name; print its error and go on otherwise."""
    failed = False
    for name in names:
        try:
            sys.stdout.write(f"{action(name)}\n")
            sys.stdout.flush()
        except errors.Cancelled:
            raise
        except errors.OrlopError as error:
            failed = True
            complain(error)
    return 1 if failed else 0


def complain(error: errors.OrlopError) -> None:
    """Say what is wrong and what helps."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
