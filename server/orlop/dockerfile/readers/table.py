"""Which reader reads which keyword, and ONBUILD, which reads with all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from orlop.dockerfile import command
from orlop.dockerfile.blanks import SPACE
from orlop.dockerfile.command import Command
from orlop.dockerfile.instructions import Instruction, OnBuild, Unknown
from orlop.dockerfile.problems import Problem, misspelled
from orlop.dockerfile.readers import commands, files, plain, variables
from orlop.dockerfile.readers.reading import Reading
from orlop.dockerfile.scanner import LogicalLine

Reader = Callable[[Reading], Instruction]

# Found while the trigger's line is cut into words; the rest only when the trigger fires.
_EARLY = frozenset({"json-not-strings", "missing-value", "missing-equals"})


def read(line: LogicalLine, escape: str) -> Instruction:
    """The instruction a logical line holds; never raises, an unknown keyword gives `Unknown`."""
    return _read(line, command.split(line.text, 0, len(line.text), escape), escape)


def _read(line: LogicalLine, parts: Command, escape: str) -> Instruction:
    return READERS.get(parts.keyword, _read_unknown)(Reading(line, parts, escape))


def _read_unknown(reading: Reading) -> Unknown:
    written = reading.command.written
    problem = misspelled(
        "unknown-instruction",
        f"unknown instruction: {written}",
        reading.keyword_span(),
        written,
        KEYWORDS,
        fold=True,
    )
    return Unknown(reading.source, (problem,))


def _read_on_build(reading: Reading) -> Instruction:
    line, parts = reading.line, reading.command
    inner = command.split(line.text, parts.start, parts.end, reading.escape)
    if not inner.keyword:
        reading.require_some()
        return OnBuild(reading.source, reading.found, "", Unknown(reading.source, ()))
    span = line.span(inner.keyword_start, inner.keyword_end)
    if inner.keyword == "ONBUILD":
        # Not read any further: a long chain of them would only repeat the error.
        reading.fail("onbuild-chain", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", span)
        trigger: Instruction = Unknown(Reading(line, inner, reading.escape).source, ())
    elif inner.keyword in ("FROM", "MAINTAINER"):
        reading.fail("onbuild-trigger", f"{inner.keyword} isn't allowed as an ONBUILD trigger", span)
        trigger = Unknown(Reading(line, inner, reading.escape).source, ())
    else:
        trigger = _read(line, inner, reading.escape)
        reading.problems += [_softened(problem) for problem in trigger.problems]
    text = line.text[parts.keyword_end :].lstrip(SPACE)
    text += "".join(f"\n{item.body}{item.name}" for item in line.heredocs)
    return OnBuild(reading.source, reading.found, text, trigger)


def _softened(problem: Problem) -> Problem:
    """A mistake in a trigger stops only the build it fires in."""
    if problem.code in _EARLY or problem.severity != "error":
        return problem
    return attrs.evolve(problem, severity="warning")


READERS: Mapping[str, Reader] = {
    "ADD": files.read_add,
    "ARG": variables.read_arg,
    "CMD": commands.read_cmd,
    "COPY": files.read_copy,
    "ENTRYPOINT": commands.read_entrypoint,
    "ENV": variables.read_env,
    "EXPOSE": plain.read_expose,
    "FROM": plain.read_from,
    "HEALTHCHECK": commands.read_healthcheck,
    "LABEL": variables.read_label,
    "MAINTAINER": plain.read_maintainer,
    "ONBUILD": _read_on_build,
    "RUN": commands.read_run,
    "SHELL": commands.read_shell,
    "STOPSIGNAL": plain.read_stop_signal,
    "USER": plain.read_user,
    "VOLUME": files.read_volume,
    "WORKDIR": files.read_workdir,
}
KEYWORDS = tuple(READERS)
