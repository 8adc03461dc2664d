"""Reads the instructions that hold a command: RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK."""

from __future__ import annotations

import re

from orlop.dockerfile import durations, mounts
from orlop.dockerfile.blanks import SPACE_CLASS
from orlop.dockerfile.flags import Flag
from orlop.dockerfile.instructions import Cmd, Entrypoint, Healthcheck, Run, Shell
from orlop.dockerfile.mounts import Mount
from orlop.dockerfile.problems import quoted
from orlop.dockerfile.readers.reading import Reading

_TYPE = re.compile(rf"([^{SPACE_CLASS}]+)[{SPACE_CLASS}]*")
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")
_MILLISECOND = 1_000_000
_MAX_RETRIES = 2**31 - 1


def read_run(reading: Reading) -> Run:
    """`RUN`."""
    shell_form, exec_form = _forms(reading)
    return Run(
        shell_form=shell_form,
        exec_form=exec_form,
        heredocs=reading.line.heredocs,
        mounts=tuple([_mount(reading, flag) for flag in reading.flags.valid if flag.name == "mount"]),
        network=_choice(reading, "network", _NETWORKS, "invalid network mode {}"),
        security=_choice(reading, "security", _SECURITIES, "security {} is not valid"),
        source=reading.source,
        problems=reading.found,
    )


def read_cmd(reading: Reading) -> Cmd:
    """`CMD`."""
    shell_form, exec_form = _forms(reading)
    return Cmd(reading.source, reading.found, shell_form, exec_form)


def read_entrypoint(reading: Reading) -> Entrypoint:
    """`ENTRYPOINT`."""
    shell_form, exec_form = _forms(reading)
    return Entrypoint(reading.source, reading.found, shell_form, exec_form)


def read_shell(reading: Reading) -> Shell:
    """`SHELL`, which knows the exec form only."""
    before = len(reading.problems)
    items = reading.json()
    if items:
        return Shell(reading.source, reading.found, tuple([item.text for item in items]))
    if items is not None or not reading.text:
        reading.require_some()
    elif not any(problem.severity == "error" for problem in reading.problems[before:]):
        message = "SHELL requires the arguments to be in JSON form"
        reading.fail("shell-not-json", message, hint='Write SHELL ["/bin/sh", "-c"].')
    return Shell(reading.source, reading.found, ())


def read_healthcheck(reading: Reading) -> Healthcheck:
    """`HEALTHCHECK`."""
    match = _TYPE.match(reading.line.text, reading.command.start, reading.command.end)
    kind = match.group(1).upper() if match else ""
    shell_form: str | None = None
    exec_form: tuple[str, ...] | None = None
    if match is None:
        reading.require_some()
    elif kind == "NONE":
        # The flags of HEALTHCHECK NONE are never looked at.
        reading.problems.clear()
        if match.end() < reading.command.end:
            reading.fail("healthcheck-none", "HEALTHCHECK NONE takes no arguments")
    elif kind == "CMD":
        items = reading.json(match.end())
        exec_form = tuple([item.text for item in items]) if items is not None else None
        shell_form = reading.line.text[match.end() : reading.command.end] if items is None else None
        if not shell_form and not exec_form:
            reading.fail("healthcheck-command", "Missing command after HEALTHCHECK CMD")
    else:
        span = reading.line.span(match.start(1), match.end(1))
        message = f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)"
        reading.fail("healthcheck-type", message, span, "Write CMD before the command.")
    return Healthcheck(
        none=kind == "NONE",
        shell_form=shell_form,
        exec_form=exec_form,
        interval_ns=_interval(reading, "interval", kind),
        timeout_ns=_interval(reading, "timeout", kind),
        start_period_ns=_interval(reading, "start-period", kind),
        start_interval_ns=_interval(reading, "start-interval", kind),
        retries=_retries(reading, kind),
        source=reading.source,
        problems=reading.found,
    )


def _forms(reading: Reading) -> tuple[str | None, tuple[str, ...] | None]:
    """Shell form and exec form, exactly one of which is there."""
    items = reading.json()
    return (reading.text, None) if items is None else (None, tuple([item.text for item in items]))


def _mount(reading: Reading, flag: Flag) -> Mount:
    mount, problems = mounts.read(flag.word)
    reading.problems += problems
    return mount


def _choice(reading: Reading, name: str, choices: tuple[str, ...], message: str) -> str | None:
    word = reading.flags.one(name)
    if word is None:
        return None
    if word.text not in choices:
        hint = f"Use {', '.join(choices[:-1])} or {choices[-1]}."
        reading.fail(f"invalid-{name}", message.format(quoted(word.text)), word.span, hint)
    return word.text


def _interval(reading: Reading, name: str, kind: str) -> int:
    word = reading.flags.one(name)
    if word is None or not word.text or kind == "NONE":
        return 0
    try:
        value = durations.parse(word.text)
    except durations.DurationError as wrong:
        reading.fail("invalid-duration", str(wrong), word.span, "Write a time such as 30s or 1m30s.")
        return 0
    if value and value < _MILLISECOND:
        reading.fail("invalid-duration", f"Interval {quoted(name)} cannot be less than 1ms", word.span)
        return 0
    return value


def _retries(reading: Reading, kind: str) -> int:
    word = reading.flags.one("retries")
    if word is None or not word.text or kind == "NONE":
        return 0
    text = word.text
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        message = f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax"
        reading.fail("invalid-retries", message, word.span, "Write a number.")
        return 0
    value = int(digits[-20:]) * (-1 if text[0] == "-" else 1)
    if abs(value) > _MAX_RETRIES or len(digits.lstrip("0")) > len(str(_MAX_RETRIES)):
        message = f"strconv.ParseInt: parsing {quoted(text)}: value out of range"
        reading.fail("invalid-retries", message, word.span)
        return 0
    if value < 0:
        reading.fail("invalid-retries", f"--retries cannot be negative ({value})", word.span)
        return 0
    return value
