"""`orlop volume …`: directories that outlive containers."""

from __future__ import annotations

import argparse
import json
import sys

from orlop.cli import each, output
from orlop.core.job import Job
from orlop.engine.engine import Engine

COLUMNS = {"Driver": "DRIVER", "Name": "VOLUME NAME"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as Docker has them; which, the verb in the parser's name says."""
    match parser.prog.rpartition(" ")[2]:
        case "ls" | "list":
            parser.add_argument("-q", "--quiet", action="store_true", help="only names")
            parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.Name}}'")
        case "create":
            parser.add_argument("name", nargs="?", default="", metavar="VOLUME")
            parser.add_argument("-l", "--label", action="append", default=[], metavar="NAME[=VALUE]", help="label")
            parser.add_argument("-d", "--driver", choices=("local",), default="local", help="only local")
        case "inspect":
            parser.add_argument("names", nargs="+", metavar="VOLUME")
            parser.add_argument("-f", "--format", help="a template such as '{{.Mountpoint}}'")
        case "rm" | "remove":
            parser.add_argument("names", nargs="+", metavar="VOLUME")
            parser.add_argument("-f", "--force", action="store_true", help="a missing one is no error")
        case _:
            parser.add_argument("-a", "--all", action="store_true", help="those with a name too")
            parser.add_argument("-f", "--force", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Do what the verb says."""
    match arguments.verb.rpartition(" ")[2]:
        case "ls" | "list":
            return _list(arguments, engine)
        case "create":
            labels = {name: value for name, _, value in (item.partition("=") for item in arguments.label)}
            sys.stdout.write(f"{engine.containers.volumes.create(arguments.name, labels).name}\n")
            return 0
        case "inspect":
            found = [engine.containers.volumes.find(name).document() for name in arguments.names]
            if arguments.format:
                sys.stdout.write("".join(output.render(arguments.format, item) + "\n" for item in found))
            else:
                sys.stdout.write(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
            return 0
        case "rm" | "remove":
            return each.do(arguments.names, lambda name: _remove(engine, name, force=arguments.force))
        case _:
            return _prune(arguments, engine)


def _list(arguments: argparse.Namespace, engine: Engine) -> int:
    found = engine.containers.volumes.list()
    if arguments.quiet:
        sys.stdout.write("".join(f"{item.name}\n" for item in found))
    else:
        output.print_rows([item.document() for item in found], COLUMNS, arguments.format)
    return 0


def _remove(engine: Engine, name: str, *, force: bool) -> str:
    if not force or name in {item.name for item in engine.containers.volumes.list()}:
        engine.containers.volumes.remove(name, Job())
    return name


def _prune(arguments: argparse.Namespace, engine: Engine) -> int:
    if not arguments.force:
        kinds = "all volumes" if arguments.all else "all anonymous volumes"
        sys.stdout.write(f"Remove {kinds} that no container uses? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    for name in engine.containers.volumes.prune(Job(), every=arguments.all):
        sys.stdout.write(f"{name}\n")
    return 0
