"""`orlop run`: a container in the foreground, or detached."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from orlop.cli import terminal
from orlop.core import errors
from orlop.core.job import Job, Note
from orlop.engine.creation import RunOptions
from orlop.engine.engine import Engine

# What `docker run` ends with when the container could not be made at all.
FAILURE = 125


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker run` has them."""
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    parser.add_argument("-d", "--detach", action="store_true", help="print the container's ID and leave it running")
    parser.add_argument("-i", "--interactive", action="store_true", help="keep standard input open")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="environment variable")
    parser.add_argument("--env-file", action="append", default=[], help="file of environment variables")
    parser.add_argument("-w", "--workdir", help="working directory")
    parser.add_argument("-u", "--user", help="user[:group], by name or number")
    parser.add_argument("--entrypoint", help="program to run instead of the image's")
    parser.add_argument("--name", help="name of the container")
    parser.add_argument("-h", "--hostname", help="host name inside")
    parser.add_argument("--network", "--net", default="default", help="default, none or host")
    parser.add_argument("-l", "--label", action="append", default=[], metavar="NAME[=VALUE]", help="label")
    parser.add_argument("--rm", action="store_true", help="remove the container when it ends")
    parser.add_argument("--init", action="store_true", help="run a small init that reaps processes")
    parser.add_argument("--read-only", action="store_true", help="root file system cannot be written")
    parser.add_argument("--cidfile", help="write the container's ID into this file")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Run it; the exit code is the program's, 125 to 127 when it could not start."""
    if arguments.tty and arguments.interactive and not sys.stdin.isatty():
        raise errors.Invalid("the input device is not a TTY", hint="Leave -t out when the input is a pipe.")
    job = Job(_tell)
    created = engine.containers.create(_options(arguments))
    if arguments.cidfile:
        _write(Path(arguments.cidfile), created.id)
    try:
        session = engine.containers.start(
            created.id, job, foreground=not arguments.detach, size=terminal.size() if arguments.tty else None
        )
    except errors.OrlopError:
        if arguments.rm:
            engine.containers.remove(created.id, Job(), force=True)
        raise
    if session is None:
        sys.stdout.write(f"{created.id}\n")
        return 0
    code = terminal.pump(session, tty=arguments.tty, interactive=arguments.interactive, job=job)
    session.close()
    status = engine.containers.finish(created.id, Job())
    return status.code if code is None else code


def _options(arguments: argparse.Namespace) -> RunOptions:
    entrypoint: tuple[str, ...] | None = None
    if arguments.entrypoint is not None:
        entrypoint = (
            tuple(shlex.split(arguments.entrypoint)) if " " in arguments.entrypoint else (arguments.entrypoint,)
        )
        entrypoint = () if arguments.entrypoint == "" else entrypoint
    return RunOptions(
        image=arguments.image,
        command=tuple(arguments.command),
        entrypoint=entrypoint,
        name=arguments.name,
        env=(*_from_files(arguments.env_file), *map(environment, arguments.env)),
        working_dir=arguments.workdir,
        user=arguments.user,
        hostname=arguments.hostname,
        network=arguments.network,
        labels={name: value for name, _, value in (item.partition("=") for item in arguments.label)},
        tty=arguments.tty,
        interactive=arguments.interactive,
        remove=arguments.rm,
        init=arguments.init,
        read_only=arguments.read_only,
    )


def environment(item: str) -> str:
    """`NAME` alone takes the value of this process, and unsets the name where there is none."""
    return item if "=" in item or item not in os.environ else f"{item}={os.environ[item]}"


def _from_files(paths: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for path in paths:
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise errors.Invalid(f"cannot read the file of variables {path}: {error}") from error
        found += [environment(line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(found)


def _tell(event: object) -> None:
    if isinstance(event, Note):
        sys.stderr.write(f"{event.level}: {event.message}\n")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise errors.from_os(error, f"write {path}") from error
