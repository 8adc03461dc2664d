"""Finds the verb, opens the engine, turns errors into one line with a hint and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from orlop.cli import harmless
from orlop.cli.parser import Parser
from orlop.core import errors

# Verb as typed -> module in cli.verbs and what it is for. Groups ("image ls") are two words.
VERBS: dict[str, tuple[str, str]] = {
    "build": ("build", "Build an image from a Dockerfile"),
    "images": ("images", "List images"),
    "history": ("history", "Show the history of an image"),
    "inspect": ("inspect", "Show all that is known of images or containers, as JSON"),
    "tag": ("tag", "Give an image another name"),
    "rmi": ("rmi", "Remove images"),
    "pull": ("pull", "Pull an image from a registry"),
    "push": ("push", "Push an image to a registry"),
    "search": ("search", "Search Docker Hub for images"),
    "login": ("login", "Log in to a registry"),
    "logout": ("logout", "Log out of a registry"),
    "save": ("save", "Write images into an archive"),
    "load": ("load", "Read images from an archive"),
    "import": ("import_", "Make an image of a root file system archive"),
    "run": ("run", "Create a container from an image and run it"),
    "exec": ("exec", "Run a command in a running container"),
    "attach": ("attach", "Attach this terminal to a running container"),
    "ps": ("ps", "List containers"),
    "logs": ("logs", "Show what a container wrote"),
    "stop": ("stop", "Stop containers"),
    "kill": ("kill", "Send a signal to containers"),
    "wait": ("wait", "Wait until containers stop, print their exit codes"),
    "rm": ("rm", "Remove containers"),
    "create": ("create", "Create a container without starting it"),
    "start": ("start", "Start containers"),
    "restart": ("restart", "Stop containers and start them again"),
    "update": ("update", "Change the limits and the restart policy of containers"),
    "rename": ("rename", "Give a container another name"),
    "top": ("top", "Show the processes of a container"),
    "stats": ("stats", "Show what running containers use"),
    "port": ("port", "Show the published ports of a container"),
    "pause": ("pause", "Hold the processes of containers still"),
    "unpause": ("pause", "Let paused containers go on"),
    "diff": ("diff", "Show what a container changed"),
    "cp": ("cp", "Copy files between a container and this host"),
    "export": ("export", "Write the file system of a container as a tar"),
    "commit": ("commit", "Make an image of what a container has changed"),
    "info": ("info", "Show where the store is and what this host allows"),
    "doctor": ("doctor", "Check what this host allows and how to mend what it does not"),
    "version": ("version", "Show the version"),
    "image ls": ("images", "List images"),
    "image list": ("images", "List images"),
    "image history": ("history", "Show the history of an image"),
    "image inspect": ("inspect", "Show all that is known of images, as JSON"),
    "image tag": ("tag", "Give an image another name"),
    "image rm": ("rmi", "Remove images"),
    "image pull": ("pull", "Pull an image from a registry"),
    "image push": ("push", "Push an image to a registry"),
    "manifest inspect": ("manifest", "Show what a name stands for at its registry"),
    "image save": ("save", "Write images into an archive"),
    "image load": ("load", "Read images from an archive"),
    "image import": ("import_", "Make an image of a root file system archive"),
    "image prune": ("imageprune", "Remove images that nothing uses"),
    "image build": ("build", "Build an image from a Dockerfile"),
    "container ls": ("ps", "List containers"),
    "container list": ("ps", "List containers"),
    "container run": ("run", "Create a container from an image and run it"),
    "container exec": ("exec", "Run a command in a running container"),
    "container attach": ("attach", "Attach this terminal to a running container"),
    "container logs": ("logs", "Show what a container wrote"),
    "container stop": ("stop", "Stop containers"),
    "container kill": ("kill", "Send a signal to containers"),
    "container wait": ("wait", "Wait until containers stop"),
    "container rm": ("rm", "Remove containers"),
    "container create": ("create", "Create a container without starting it"),
    "container start": ("start", "Start containers"),
    "container restart": ("restart", "Stop containers and start them again"),
    "container update": ("update", "Change the limits and the restart policy of containers"),
    "container rename": ("rename", "Give a container another name"),
    "container top": ("top", "Show the processes of a container"),
    "container stats": ("stats", "Show what running containers use"),
    "container port": ("port", "Show the published ports of a container"),
    "container prune": ("systemprune", "Remove containers that do not run"),
    "container ps": ("ps", "List containers"),
    "container pause": ("pause", "Hold the processes of containers still"),
    "container unpause": ("pause", "Let paused containers go on"),
    "container diff": ("diff", "Show what a container changed"),
    "container cp": ("cp", "Copy files between a container and this host"),
    "container export": ("export", "Write the file system of a container as a tar"),
    "container commit": ("commit", "Make an image of what a container has changed"),
    "container inspect": ("inspect", "Show all that is known of containers, as JSON"),
    "volume ls": ("volume", "List volumes"),
    "volume list": ("volume", "List volumes"),
    "volume create": ("volume", "Make a volume"),
    "volume inspect": ("volume", "Show all that is known of volumes, as JSON"),
    "volume rm": ("volume", "Remove volumes"),
    "volume prune": ("volume", "Remove volumes that no container uses"),
    "network ls": ("network", "List networks"),
    "network list": ("network", "List networks"),
    "network create": ("network", "Make a network"),
    "network inspect": ("network", "Show all that is known of networks, as JSON"),
    "network rm": ("network", "Remove networks"),
    "network remove": ("network", "Remove networks"),
    "network prune": ("network", "Remove networks that no container is on"),
    "network connect": ("network", "Put a container on a network"),
    "network disconnect": ("network", "Take a container off a network"),
    "system df": ("df", "Show disk usage"),
    "system prune": ("systemprune", "Remove what nothing uses"),
    "system info": ("info", "Show where the store is and what this host allows"),
    "builder prune": ("systemprune", "Remove the build cache"),
}
GROUPS = ("image", "container", "system", "builder", "volume", "network", "manifest")


def main(arguments: Sequence[str]) -> int:
    """Run one verb; returns the exit code."""
    with harmless.streams():
        return _main(arguments)


def _main(arguments: Sequence[str]) -> int:
    root, rest = _global_options(list(arguments))
    if not rest or rest[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    name = " ".join(rest[:2]) if rest[0] in GROUPS and len(rest) > 1 else rest[0]
    if name not in VERBS:
        sys.stderr.write(f"orlop: '{name}' is not an orlop command{_did_you_mean(name)}\nSee 'orlop --help'.\n")
        return 1
    module_name, purpose = VERBS[name]
    module = importlib.import_module(f"orlop.cli.verbs.{module_name}")
    parser = Parser(prog=f"orlop {name}", description=purpose, allow_abbrev=False, add_help=False)
    parser.add_argument("--help", action="help", help="show this and end")
    module.configure(parser)
    return _run(module, parser.parse_args(parser.plain(rest[len(name.split()) :])), root, name)


def _run(module: ModuleType, arguments: argparse.Namespace, root: Path | None, name: str) -> int:
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    arguments.verb = name
    try:
        return int(_with_engine(module, arguments, root))
    except errors.Cancelled:
        return errors.Cancelled.exit_code
    except errors.OrlopError as error:
        _complain(error)
        # A container's own failure to start (125 to 127) says more than that the verb failed.
        return error.exit_code if error.exit_code != 1 else getattr(module, "FAILURE", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        _complain(errors.from_os(error, f"finish `orlop {name}`"))
        return 1


def _with_engine(module: ModuleType, arguments: argparse.Namespace, root: Path | None) -> int:
    if getattr(module, "NEEDS_ENGINE", True) is False:
        result: int = module.run(arguments)
        return result
    from orlop.engine.engine import Engine  # noqa: PLC0415
    from orlop.engine.settings import Settings  # noqa: PLC0415

    engine = Engine(Settings.from_environment(dict(os.environ), root))
    try:
        result = module.run(arguments, engine)
    finally:
        engine.close()
    return result


def _complain(error: errors.OrlopError) -> None:
    where = f"{error.location}: " if error.location else ""
    sys.stdout.flush()
    sys.stderr.write(f"error: {where}{error.message}\n")
    if error.detail:
        sys.stderr.write("".join(f"  {line}\n" for line in error.detail.rstrip().splitlines()))
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def _global_options(arguments: list[str]) -> tuple[Path | None, list[str]]:
    root: Path | None = None
    while arguments[:1] and arguments[0].startswith("--root"):
        word = arguments.pop(0)
        _, equals, value = word.partition("=")
        if not equals:
            value = arguments.pop(0) if arguments else ""
        if not value:
            raise SystemExit("orlop: flag needs an argument: --root")
        root = Path(value)
    return root, arguments


def _did_you_mean(name: str) -> str:
    import difflib  # noqa: PLC0415

    near = difflib.get_close_matches(name, VERBS, n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def _help() -> str:
    lines = [
        "Usage:  orlop [--root DIR] COMMAND", "",
        "Containers without a daemon. Commands and flags are those of Docker's CLI.", "", "Commands:",
    ]  # fmt: skip
    lines += [f"  {name:<18} {purpose}" for name, (_, purpose) in VERBS.items() if " " not in name]
    lines += ["", "Groups:"]
    lines += [f"  {name:<18} {purpose}" for name, (_, purpose) in VERBS.items() if " " in name]
    lines += ["", "Run 'orlop COMMAND --help' for the flags of a command.", ""]
    return "\n".join(lines)
