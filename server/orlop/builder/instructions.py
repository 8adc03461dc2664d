"""What each instruction does to a stage on paper: its step, its change of the configuration, its line of history.

The rules are those of BuildKit's Dockerfile frontend (`dockerfile2llb`); nothing is run and nothing is read here.
"""

from __future__ import annotations

import posixpath
import re

from orlop.builder import gotext
from orlop.builder.draft import Draft
from orlop.builder.operations import ContextOrigin, CopyOp, InlineFile, RunOp, WorkdirOp
from orlop.core import errors
from orlop.core.errors import Location
from orlop.core.imageconfig import Healthcheck
from orlop.dockerfile import expand, ports, semantics
from orlop.dockerfile import instructions as syntax
from orlop.dockerfile.heredoc import Heredoc

DEFAULT_SHELL = ("/bin/sh", "-c")
SCRIPTS = "/dev/pipes"
_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"(git|ssh)://|git@[\w.-]+:", re.IGNORECASE)


def apply(draft: Draft, instruction: syntax.Instruction, location: Location) -> None:
    """Carry out one instruction; raises `ExpandError` or `Invalid` for one that makes no sense."""
    match instruction:
        case syntax.Run():
            _run(draft, instruction, location)
        case syntax.Copy() | syntax.Add():
            _copy(draft, instruction, location)
        case syntax.Workdir():
            _workdir(draft, instruction, location)
        case syntax.Arg():
            _arg(draft, instruction)
        case syntax.Env():
            _env(draft, instruction)
        case syntax.Label():
            _label(draft, instruction)
        case _:
            _configure(draft, instruction)


def _configure(draft: Draft, instruction: syntax.Instruction) -> None:
    """The instructions that only change the configuration."""
    match instruction:
        case syntax.Cmd():
            words = _command(draft, instruction.shell_form, instruction.exec_form)
            draft.cmd_set = True
            draft.configure(f"CMD {gotext.quote_all(words)}", command=words)
        case syntax.Entrypoint():
            words = _command(draft, instruction.shell_form, instruction.exec_form)
            # An inherited CMD was meant for the old entry point; one of this stage was not.
            command = draft.config.command if draft.cmd_set else None
            draft.configure(f"ENTRYPOINT {gotext.quote_all(words)}", entrypoint=words, command=command)
        case syntax.Shell():
            draft.configure(f"SHELL {gotext.plain_all(instruction.exec_form)}", shell=instruction.exec_form)
        case syntax.User():
            user = draft.expand(instruction.user)
            draft.configure(f"USER {user}", user=user)
        case syntax.StopSignal():
            name = draft.expand(instruction.signal)
            _refuse(semantics.check_signal(name), "Write a name such as SIGTERM, or a number.")
            draft.configure(f"STOPSIGNAL {name}", stop_signal=name)
        case syntax.Expose():
            _expose(draft, instruction)
        case syntax.Volume():
            _volume(draft, instruction)
        case syntax.Healthcheck():
            _healthcheck(draft, instruction)
        case syntax.OnBuild():
            draft.change(on_build=(*draft.config.on_build, instruction.text))
        case syntax.Maintainer():
            draft.author = instruction.name
            draft.tell(f"MAINTAINER {instruction.name}")
        case _:
            raise errors.Invalid(f"unexpected instruction: {instruction.keyword}")


def _run(draft: Draft, run: syntax.Run, location: Location) -> None:
    argv, script = _run_arguments(draft, run)
    surroundings = draft.surroundings
    network = run.network if run.network and run.network != "default" else surroundings.network
    operation = RunOp(
        argv=argv,
        environment=draft.variables.environment(),
        user=draft.config.user,
        working_dir=draft.config.working_dir or "/",
        network=network,
        hostname=surroundings.hostname,
        script=script,
        proxies={name: value for name, value in surroundings.proxies.items() if name not in draft.variables.values},
    )
    told = " ".join(("RUN", *draft.variables.arguments(), *argv))
    draft.perform(operation, f"{told} # buildkit", run, location)


def _run_arguments(draft: Draft, run: syntax.Run) -> tuple[tuple[str, ...], InlineFile | None]:
    """The process to run. A lone heredoc is a script for the shell; others are left to the shell as they stand."""
    if run.exec_form is not None:
        return run.exec_form, None
    command = run.shell_form or ""
    if not run.heredocs:
        return _in_shell(draft, command), None
    first = run.heredocs[0]
    if len(run.heredocs) == 1 and command.strip() == first.source:
        body = first.text
        if body.startswith("#!"):
            script = InlineFile(first.name, body.encode("utf-8", "surrogateescape"))
            return _in_shell(draft, f"{SCRIPTS}/{first.name}"), script
        return _in_shell(draft, body), None
    whole = command + "".join(f"\n{item.body}{item.name}" for item in run.heredocs)
    return _in_shell(draft, whole), None


def _command(draft: Draft, shell_form: str | None, exec_form: tuple[str, ...] | None) -> tuple[str, ...]:
    return exec_form if exec_form is not None else _in_shell(draft, shell_form or "")


def _in_shell(draft: Draft, command: str) -> tuple[str, ...]:
    return (*(draft.config.shell or DEFAULT_SHELL), command)


def _copy(draft: Draft, copy: syntax.Copy | syntax.Add, location: Location) -> None:
    sources = tuple(draft.expand(word) for word in copy.sources)
    destination = draft.expand(copy.destination)
    chown = draft.expand(copy.chown) if copy.chown is not None else None
    chmod = draft.expand(copy.chmod) if copy.chmod is not None else None
    if chmod is not None:
        _refuse(semantics.check_mode(chmod), "Write 755, or letters such as u=rwX,go=rX.")
    for source in sources:
        _check_source(source, copy)
    operation = CopyOp(
        sources=tuple(clean_source(source) for source in sources),
        destination=_destination(draft.config.working_dir, destination),
        origin=draft.surroundings.origin(copy) if isinstance(copy, syntax.Copy) and copy.from_ else ContextOrigin(),
        inline=tuple(_inline(draft, item) for item in copy.heredocs),
        chown=chown or None,
        chmod=chmod or None,
        excludes=tuple(draft.expand(word) for word in copy.excludes),
        unpack=isinstance(copy, syntax.Add) and copy.unpack is not False,
    )
    words = [copy.keyword]
    if chown:
        words.append(f"--chown={chown}")
    if chmod:
        words.append(f"--chmod={chmod}")
    words += [*sources, *(f"<<{item.name}" for item in copy.heredocs), destination, "# buildkit"]
    draft.perform(operation, " ".join(words), copy, location)


def _inline(draft: Draft, heredoc: Heredoc) -> InlineFile:
    text = heredoc.text
    if heredoc.expand:
        text = expand.expand_heredoc(text, draft.variables.values)
    return InlineFile(heredoc.name, text.encode("utf-8", "surrogateescape"))


def _workdir(draft: Draft, workdir: syntax.Workdir, location: Location) -> None:
    path = draft.expand(workdir.path)
    if not path:
        raise errors.Invalid("cannot normalize nothing", hint="Give WORKDIR a path.")
    if not path.startswith("/"):
        path = clean(f"{draft.config.working_dir or '/'}/{path}")
    draft.change(working_dir=path)
    told = f"WORKDIR {path}"
    if clean(path) == "/":
        draft.tell(told)
    else:
        draft.perform(WorkdirOp(clean(path), draft.config.user), told, workdir, location)


def _arg(draft: Draft, arg: syntax.Arg) -> None:
    told: list[str] = []
    for name, default in arg.entries:
        value = draft.surroundings.build_args.get(name)
        if value is None:
            value = draft.expand(default) if default is not None else draft.surroundings.globals.get(name)
        draft.variables.declare(name, value)
        told.append(name if value is None else f"{name}={value}")
    draft.tell(f"ARG {' '.join(told)}")


def _env(draft: Draft, env: syntax.Env) -> None:
    # Every pair sees the variables as they were before the instruction.
    pairs = [(draft.expand(name), draft.expand(value)) for name, value in env.pairs]
    config = draft.config
    for name, value in pairs:
        if not name:
            raise errors.Invalid("ENV names can not be blank")
        draft.variables.set(name, value)
        config = config.with_env(name, value)
    draft.change(env=config.env)
    draft.tell(f"ENV {' '.join(f'{name}={value}' for name, value in pairs)}")


def _label(draft: Draft, label: syntax.Label) -> None:
    pairs = [(draft.expand(name), draft.expand(value)) for name, value in label.pairs]
    if any(not name for name, _ in pairs):
        raise errors.Invalid("LABEL names can not be blank")
    told = " ".join(f"{name}={value}" for name, value in pairs)
    draft.configure(f"LABEL {told}", labels={**draft.config.labels, **dict(pairs)})


def _expose(draft: Draft, expose: syntax.Expose) -> None:
    surroundings = draft.surroundings
    words = tuple(
        part
        for word in expose.words
        for part in expand.expand_words(word.text, draft.variables.values, surroundings.escape)
    )
    try:
        specs = [ports.parse(word) for word in words]
    except ports.PortError as error:
        raise errors.Invalid(str(error), hint="Write a port such as 80, 53/udp or 8000-8010.") from error
    numbers = [(port, spec.protocol.lower()) for spec in specs for port in range(spec.first, spec.last + 1)]
    found = tuple(sorted({f"{port}/{protocol}" for port, protocol in numbers}))
    merged = tuple(sorted({*draft.config.exposed_ports, *found}))
    draft.configure(f"EXPOSE {gotext.plain_all(found)}", exposed_ports=merged)


def _volume(draft: Draft, volume: syntax.Volume) -> None:
    paths = tuple(draft.expand(word) for word in volume.paths)
    if any(not path.strip() for path in paths):
        raise errors.Invalid("VOLUME specified can not be an empty string")
    merged = tuple(sorted({*draft.config.volumes, *paths}))
    draft.configure(f"VOLUME {gotext.plain_all(paths)}", volumes=merged)


def _healthcheck(draft: Draft, check: syntax.Healthcheck) -> None:
    if check.none:
        test: tuple[str, ...] = ("NONE",)
    elif check.exec_form is not None:
        test = ("CMD", *check.exec_form)
    else:
        test = ("CMD-SHELL", check.shell_form or "")
    health = Healthcheck(
        test, check.interval_ns, check.timeout_ns, check.start_period_ns, check.start_interval_ns, check.retries
    )
    times = (health.interval, health.timeout, health.start_period, health.start_interval)
    quoted = " ".join(gotext.quote(gotext.duration(item)) for item in times)
    told = f"HEALTHCHECK &{{{gotext.quote_all(test)} {quoted} {gotext.quote_rune(health.retries)}}}"
    draft.configure(told, healthcheck=health)


def clean(path: str) -> str:
    """Go's `path.Clean` of an absolute path."""
    return posixpath.normpath("/" + path.lstrip("/"))


def clean_source(source: str) -> str:
    """A source relative to its root: a leading slash and every `..` stay inside."""
    return clean(f"/{source}")[1:]


def _destination(working_dir: str, destination: str) -> str:
    """The absolute destination; a trailing slash means that it is a directory."""
    as_directory = destination in ("", ".") or destination.endswith(("/", "/."))
    path = clean(destination if destination.startswith("/") else f"{working_dir or '/'}/{destination}")
    return path if path == "/" or not as_directory else path + "/"


def _check_source(source: str, copy: syntax.Copy | syntax.Add) -> None:
    if not _URL.match(source) and not _GIT.match(source):
        return
    if isinstance(copy, syntax.Copy):
        if _URL.match(source):
            raise errors.Invalid("source can't be a URL for COPY", hint="Use ADD, or fetch it in a RUN.")
        return
    raise errors.Unavailable(
        f"cannot add {source}: ADD of a URL or a Git repository is not supported yet",
        hint="Fetch it in a RUN, or put it into the build context and COPY it.",
    )


def _refuse(complaint: str | None, hint: str) -> None:
    if complaint is not None:
        raise errors.Invalid(complaint, hint=hint)
