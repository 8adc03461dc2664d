"""`orlop start`: start containers that were created or have ended."""

from __future__ import annotations

import argparse
import sys

from orlop.cli import each, terminal
from orlop.cli.verbs.run import tell
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker start` has them."""
    parser.add_argument("containers", nargs="*", metavar="CONTAINER")
    parser.add_argument("-a", "--attach", action="store_true", help="stay with it, and end with its exit code")
    parser.add_argument("-i", "--interactive", action="store_true", help="give it this standard input too")
    parser.add_argument("--due", action="store_true", help="all that their restart policies want to run (after a boot)")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print each name, or be the terminal of one."""
    names: list[str] = arguments.containers
    if arguments.due:
        if names or arguments.attach or arguments.interactive:
            raise errors.Invalid("cannot combine --due with a container or a terminal", hint="Give --due alone.")
        names = [found.name for found in engine.containers.due()]
    elif not names:
        raise errors.Invalid('"orlop start" requires at least 1 argument', hint="Name a container, or give --due.")
    if not arguments.attach and not arguments.interactive:

        def start(name: str) -> str:
            engine.containers.start(name, Job(tell))
            return name

        return each.do(names, start)
    if len(names) > 1:
        raise errors.Invalid("cannot start and attach several containers at once", hint="Name one.")
    found = engine.containers.find(names[0])
    if found.spec.tty and arguments.interactive and not sys.stdin.isatty():
        raise errors.Invalid("the input device is not a TTY", hint="Leave -i out when the input is a pipe.")
    job = Job(tell)
    if found.alive:
        session = engine.containers.attach(found.id)
    else:
        started = engine.containers.start(
            found.id, job, foreground=True, size=terminal.size() if found.spec.tty else None
        )
        assert started is not None
        session = started
    interactive = arguments.interactive and found.spec.stdin_open
    code = terminal.pump(session, tty=found.spec.tty, interactive=interactive, job=job)
    session.close()
    return engine.containers.finish(found.id, Job(), code)
