"""`orlop network …`: networks whose containers know each other by name."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from orlop.cli import confirm, each, output
from orlop.cli.verbs.run import tell
from orlop.core import errors
from orlop.core.job import Job
from orlop.engine import containerfilters, imagefilters, networks
from orlop.engine.engine import Engine
from orlop.engine.networks import Network

COLUMNS = {"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE"}
_PRUNE_FILTERS = ("label", "label!", "until")


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as Docker has them; which, the verb in the parser's name says."""
    add = parser.add_argument
    match parser.prog.rpartition(" ")[2]:
        case "ls" | "list":
            add("-q", "--quiet", action="store_true", help="only IDs")
            add("-f", "--filter", action="append", default=[], help="name=, id=, driver=, scope=, type=, label=")
            add("--no-trunc", action="store_true", help="whole IDs")
            add("--format", help="'json', 'table …' or a template such as '{{.Name}}'")
        case "create":
            add("name", metavar="NETWORK")
            add("--subnet", metavar="CIDR", help="its IPv4 network, such as 10.5.0.0/24; a free one if left out")
            add("--gateway", metavar="ADDRESS", help="the host's address there; the first if left out")
            add("--internal", action="store_true", help="no way out")
            add("--label", action="append", default=[], metavar="NAME[=VALUE]", help="label")
            add("-d", "--driver", choices=("bridge",), default="bridge", help="only bridge")
        case "inspect":
            add("names", nargs="+", metavar="NETWORK")
            add("-f", "--format", help="a template such as '{{.Id}}'")
        case "rm" | "remove":
            add("names", nargs="+", metavar="NETWORK")
            add("-f", "--force", action="store_true", help="a missing one is no error")
        case "connect":
            add("network", metavar="NETWORK")
            add("container", metavar="CONTAINER")
            add("--alias", action="append", default=[], metavar="NAME", help="another name there")
        case "disconnect":
            add("network", metavar="NETWORK")
            add("container", metavar="CONTAINER")
        case _:
            add("-f", "--force", action="store_true", help="do not ask")
            add("--filter", action="append", default=[], metavar="NAME=VALUE", help="label=, label!=, until=")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Do what the verb says."""
    found = engine.containers.networks
    match arguments.verb.rpartition(" ")[2]:
        case "ls" | "list":
            return _list(arguments, engine)
        case "create":
            labels = {name: value for name, _, value in (item.partition("=") for item in arguments.label)}
            made = found.create(
                arguments.name,
                subnet=arguments.subnet,
                gateway=arguments.gateway,
                internal=arguments.internal,
                labels=labels,
            )
            sys.stdout.write(f"{made.id}\n")
        case "inspect":
            documents = [found.document(name) for name in arguments.names]
            if arguments.format:
                sys.stdout.write("".join(output.render(arguments.format, item) + "\n" for item in documents))
            else:
                sys.stdout.write(json.dumps(documents, indent=4, ensure_ascii=False) + "\n")
        case "rm" | "remove":
            return each.do(arguments.names, lambda name: _remove(engine, name, force=arguments.force))
        case "connect":
            found.connect(arguments.network, arguments.container, arguments.alias, Job(tell))
        case "disconnect":
            found.disconnect(arguments.network, arguments.container, Job(tell))
        case _:
            return _prune(arguments, engine)
    return 0


def _list(arguments: argparse.Namespace, engine: Engine) -> int:
    filters = tuple(map(containerfilters.parse, arguments.filter))
    found = [item for item in engine.containers.networks.list() if networks.matches(item, filters)]
    if arguments.quiet:
        sys.stdout.write("".join(f"{item.id if arguments.no_trunc else item.id[:12]}\n" for item in found))
    else:
        output.print_rows([_row(item, whole=arguments.no_trunc) for item in found], COLUMNS, arguments.format)
    return 0


def _row(item: Network, *, whole: bool) -> dict[str, str]:
    return {
        "ID": item.id if whole else item.id[:12], "Name": item.name, "Driver": item.driver, "Scope": "local",
        "CreatedAt": output.stamp(item.created), "IPv4": "true", "IPv6": "false",
        "Internal": "true" if item.internal else "false",
        "Labels": ",".join(f"{key}={value}" for key, value in item.labels.items()),
    }  # fmt: skip


def _remove(engine: Engine, name: str, *, force: bool) -> str:
    try:
        engine.containers.networks.remove(name)
    except errors.NotFound:
        if not force:
            raise
    return name


def _prune(arguments: argparse.Namespace, engine: Engine) -> int:
    filters = imagefilters.parse(arguments.filter, _PRUNE_FILTERS)
    warning = "WARNING! This will remove all custom networks not used by at least one container."
    if not arguments.force and not confirm.ask(warning):
        return 0
    now = datetime.now(UTC)

    def wanted(item: Network) -> bool:
        for name, value in filters:
            if name == "until":
                created = output.parse_time(item.created)
                if created is None or created >= imagefilters.moment(value, now):
                    return False
            elif networks.matches(item, (("label", value),)) != (name == "label"):
                return False
        return True

    gone = engine.containers.networks.prune(wanted)
    if gone:
        sys.stdout.write("".join(f"{line}\n" for line in ("Deleted Networks:", *gone, "")))
    return 0
