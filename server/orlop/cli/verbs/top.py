"""`orlop top`: the processes of a container, as this host's `ps` shows them."""

from __future__ import annotations

import argparse
import subprocess
import sys

from orlop.core import errors
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """The container, and options for `ps`."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="ps OPTIONS")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the heading and the container's lines."""
    _, pids = engine.containers.processes(arguments.container)
    try:
        done = subprocess.run(["ps", *(arguments.options or ["-ef"])], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise errors.Unavailable(
            "cannot list processes: ps is not installed", hint="Install it: `sudo apt-get install procps`."
        ) from error
    if done.returncode != 0:
        raise errors.Invalid(f"ps refused its options: {done.stderr.strip().partition(chr(10))[0]}")
    heading, *lines = done.stdout.splitlines()
    if "PID" not in heading.split():
        raise errors.Invalid("cannot tell the container's processes: ps shows no PID", hint="Add -o pid,… to them.")
    column = heading.split().index("PID")
    wanted = set(map(str, pids))
    shown = [line for line in lines if len(line.split()) > column and line.split()[column] in wanted]
    sys.stdout.write("".join(f"{line}\n" for line in (heading, *shown)))
    return 0
