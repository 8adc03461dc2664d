"""`orlop exec`: another program in a running container."""

from __future__ import annotations

import argparse
import os
import sys
import threading

from orlop.cli import terminal
from orlop.cli.verbs.run import environment
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker exec` has them."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    parser.add_argument("-i", "--interactive", action="store_true", help="keep standard input open")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="environment variable")
    parser.add_argument("-w", "--workdir", help="working directory")
    parser.add_argument("-u", "--user", help="user[:group], by name or number")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Run it to its end; the exit code is the program's."""
    if not arguments.command:
        raise errors.Invalid("cannot run nothing", hint="Give the command after the container's name.")
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    session = engine.containers.exec(
        arguments.container,
        tuple(arguments.command),
        env=tuple(map(environment, arguments.env)),
        working_dir=arguments.workdir,
        user=arguments.user,
        stdio=None if arguments.tty else (0 if arguments.interactive else null, 1, 2),
        size=terminal.size() if arguments.tty else None,
    )
    interactive_terminal = arguments.tty and arguments.interactive
    with (
        terminal.raw(enabled=interactive_terminal),
        terminal.following_size(session.resize, enabled=arguments.tty),
        terminal.forwarding(session.signal, interrupt=not interactive_terminal),
    ):
        if session.terminal is not None:
            _carry(session.terminal, interactive=arguments.interactive)
        code, problem = session.wait(Job())
    session.close()
    os.close(null)
    if problem is not None:
        sys.stderr.write(f"error: {problem}\n")
    return code


def _carry(master: int, *, interactive: bool) -> None:
    """Be the program's terminal until it closes its side."""
    if interactive:
        threading.Thread(target=_type, args=(master,), name="exec-input", daemon=True).start()
    while True:
        try:
            data = os.read(master, 1 << 16)
        except OSError:
            return
        if not data:
            return
        os.write(1, data)


def _type(master: int) -> None:
    try:
        while data := os.read(0, 1 << 16):
            os.write(master, data)
    except OSError:
        return
