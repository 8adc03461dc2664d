"""`orlop run`: a container in the foreground, or detached."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from orlop.cli import terminal
from orlop.cli.parser import Parser
from orlop.core import errors
from orlop.core.job import Job, Note
from orlop.engine.creation import RunOptions
from orlop.engine.engine import Engine
from orlop.runtime.container import Container

# What `docker run` ends with when the container could not be made at all.
FAILURE = 125


def configure(parser: Parser) -> None:
    """Flags as `docker run` has them."""
    container_flags(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="print the container's ID and leave it running")


def container_flags(parser: Parser) -> None:
    """What `run` and `create` share."""
    add = parser.add_argument

    def several(*names: str, **rest: str) -> None:
        add(*names, action="append", default=[], **rest)  # type: ignore[arg-type]

    add("image", metavar="IMAGE")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    several("-e", "--env", metavar="NAME[=VALUE]", help="environment variable")
    several("--env-file", help="file of environment variables")
    add("-w", "--workdir", help="working directory")
    add("-u", "--user", help="user[:group], by name or number")
    several("--group-add", help="another group")
    add("--entrypoint", help="program to run instead of the image's")
    add("--name", help="name of the container")
    add("-h", "--hostname", help="host name inside")
    add("--network", "--net", default="default", help="default, none, host, container:NAME, or one you created")
    several("--network-alias", "--net-alias", metavar="NAME", help="another name on the network you created")
    several("-p", "--publish", metavar="[[ADDRESS:]PORT:]PORT", help="port to offer on this host")
    add("-P", "--publish-all", action="store_true", help="offer all exposed ports on free ports of this host")
    several("--expose", metavar="PORT", help="port that the program offers")
    several("--add-host", metavar="NAME:ADDRESS", help="line for /etc/hosts")
    several("--dns", metavar="ADDRESS", help="name server")
    several("-v", "--volume", metavar="[SOURCE:]TARGET[:OPTIONS]", help="volume by name, or path of this host")
    several("--mount", metavar="type=…,source=…,target=…", help="the same in long")
    several("--tmpfs", metavar="TARGET[:OPTIONS]", help="file system in memory")
    several("-l", "--label", metavar="NAME[=VALUE]", help="label")
    several("--label-file", help="file of labels")
    add("--rm", action="store_true", help="remove the container when it ends")
    add("--init", action="store_true", help="run a small init that reaps processes")
    add("--read-only", action="store_true", help="root file system cannot be written")
    several("--cap-add", metavar="NAME", help="capability to have too")
    several("--cap-drop", metavar="NAME", help="capability not to have")
    add("--privileged", action="store_true", help="all capabilities, no filter of system calls (no further devices)")
    several("--security-opt", metavar="OPTION", help="no-new-privileges, or seccomp=unconfined")
    limit_flags(parser)
    several("--ulimit", metavar="NAME=SOFT[:HARD]", help="resource limit")
    add("--shm-size", metavar="SIZE", help="size of /dev/shm (64m)")
    add("--stop-signal", help="signal that ends it")
    add("--stop-timeout", type=float, help="seconds to wait for its end before it is killed")
    add("--restart", default="no", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped")
    add("--health-cmd", metavar="COMMAND", help="what tells by its exit code whether the container is well")
    add("--health-interval", metavar="TIME", help="time between two checks (30s)")
    add("--health-timeout", metavar="TIME", help="most time that a check may take (30s)")
    add("--health-retries", type=int, metavar="N", help="failures in a row that make it unhealthy (3)")
    add("--health-start-period", metavar="TIME", help="time at the beginning in which failures do not count (0s)")
    add("--health-start-interval", metavar="TIME", help="time between two checks in that period (5s)")
    add("--no-healthcheck", action="store_true", help="do not carry out the image's check")
    add("--cidfile", help="write the container's ID into this file")
    add("--pull", default="missing", help="pull the image: missing (if it is not here), always or never")


def limit_flags(parser: argparse.ArgumentParser) -> None:
    """What `update` can change later."""
    add = parser.add_argument
    add("-m", "--memory", metavar="SIZE", help="most memory, such as 512m")
    add("--memory-swap", metavar="SIZE", help="most memory and swap together, -1 for any swap")
    add("--memory-reservation", metavar="SIZE", help="memory that it is left with when the host has little")
    add("--cpus", type=float, help="most processors, such as 1.5")
    add("-c", "--cpu-shares", type=int, metavar="N", help="weight against other containers (1024)")
    add("--cpuset-cpus", metavar="LIST", help="processors it may run on, such as 0-2,4")
    add("--pids-limit", type=int, help="most processes, -1 for any number")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Run it; the exit code is the program's, 125 to 127 when it could not start."""
    if arguments.tty and arguments.interactive and not arguments.detach and not sys.stdin.isatty():
        raise errors.Invalid("the input device is not a TTY", hint="Leave -t out when the input is a pipe.")
    job = Job(tell)
    created = create(arguments, engine)
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
    return engine.containers.finish(created.id, Job(), code)


def create(arguments: argparse.Namespace, engine: Engine) -> Container:
    """Create the container, and tell its ID in the file that was asked for."""
    if arguments.rm and arguments.restart not in ("no", ""):
        raise errors.Invalid(
            "conflicting options: cannot specify both --restart and --rm", hint="Leave one of them out."
        )
    if arguments.cidfile and os.path.lexists(arguments.cidfile):
        raise errors.Conflict(f"the file {arguments.cidfile} exists already", hint="Delete it, or choose another.")
    _have_image(engine, arguments.image, arguments.pull)
    created = engine.containers.create(_options(arguments), Job(tell))
    if arguments.cidfile:
        _write(Path(arguments.cidfile), created.id)
    return created


def _have_image(engine: Engine, image: str, policy: str) -> None:
    if policy == "missing":
        with contextlib.suppress(errors.ImageNotFound):
            if not engine.store.images.find(image).missing:
                return
    # What shows a pull is imported only for one.
    from orlop.cli.verbs import pull  # noqa: PLC0415

    pull.ensure(engine, image, policy)


def _options(arguments: argparse.Namespace) -> RunOptions:
    entrypoint: tuple[str, ...] | None = None
    if arguments.entrypoint is not None:
        entrypoint = (arguments.entrypoint,) if arguments.entrypoint else ()
    labels = (*_lines(arguments.label_file, "labels"), *arguments.label)
    return RunOptions(
        image=arguments.image,
        command=tuple(arguments.command),
        entrypoint=entrypoint,
        name=arguments.name,
        env=(*map(environment, _lines(arguments.env_file, "variables")), *map(environment, arguments.env)),
        working_dir=arguments.workdir,
        user=arguments.user,
        groups=tuple(arguments.group_add),
        hostname=arguments.hostname,
        network=arguments.network,
        network_aliases=tuple(arguments.network_alias),
        publish=tuple(arguments.publish),
        publish_all=arguments.publish_all,
        expose=tuple(arguments.expose),
        extra_hosts=tuple(arguments.add_host),
        dns=tuple(arguments.dns),
        volumes=tuple(arguments.volume),
        mounts=tuple(arguments.mount),
        tmpfs=tuple(arguments.tmpfs),
        labels={name: value for name, _, value in (item.partition("=") for item in labels)},
        tty=arguments.tty,
        interactive=arguments.interactive,
        remove=arguments.rm,
        init=arguments.init,
        read_only=arguments.read_only,
        cap_add=tuple(arguments.cap_add),
        cap_drop=tuple(arguments.cap_drop),
        privileged=arguments.privileged,
        memory=arguments.memory,
        memory_swap=arguments.memory_swap,
        memory_reservation=arguments.memory_reservation,
        cpus=arguments.cpus,
        cpu_shares=arguments.cpu_shares,
        cpuset_cpus=arguments.cpuset_cpus,
        pids_limit=arguments.pids_limit,
        restart=arguments.restart,
        health_cmd=arguments.health_cmd,
        health_interval=arguments.health_interval,
        health_timeout=arguments.health_timeout,
        health_retries=arguments.health_retries,
        health_start_period=arguments.health_start_period,
        health_start_interval=arguments.health_start_interval,
        no_healthcheck=arguments.no_healthcheck,
        ulimits=tuple(arguments.ulimit),
        shm_size=arguments.shm_size,
        stop_signal=arguments.stop_signal,
        stop_timeout=arguments.stop_timeout,
        **_security(arguments.security_opt),
    )


def _security(options: list[str]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for option in options:
        match option.replace(":", "="):
            case "no-new-privileges" | "no-new-privileges=true":
                found["no_new_privs"] = True
            case "no-new-privileges=false" | "seccomp=builtin" | "apparmor=unconfined" | "label=disable":
                continue
            case "seccomp=unconfined":
                found["seccomp"] = False
            case _:
                raise errors.Unavailable(
                    f"cannot apply the security option {option!r}", hint="Use no-new-privileges or seccomp=unconfined."
                )
    return found


def environment(item: str) -> str:
    """`NAME` alone takes the value of this process, and unsets the name where there is none."""
    return item if "=" in item or item not in os.environ else f"{item}={os.environ[item]}"


def _lines(paths: list[str], what: str) -> tuple[str, ...]:
    """The lines of files, without blank ones and comments."""
    found: list[str] = []
    for path in paths:
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise errors.Invalid(f"cannot read the file of {what} {path}: {error}") from error
        found += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(found)


def tell(event: object) -> None:
    """Show notes, such as limits that are ignored."""
    if isinstance(event, Note):
        sys.stderr.write(f"{event.level}: {event.message}\n")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise errors.from_os(error, f"write {path}") from error
