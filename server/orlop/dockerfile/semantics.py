"""Errors that show without building: bases, references, substitutions and values that can never work, in any stage.

A build stops at these only in stages it needs; an editor shows all. Source: BuildKit's `dockerfile2llb`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orlop.dockerfile import evaluation, expand, platforms, ports, stages
from orlop.dockerfile.evaluation import AUTOMATIC_ARGS, Facts, FindImage, Step
from orlop.dockerfile.instructions import Add, Arg, Copy, Env, Expose, Run, StopSignal
from orlop.dockerfile.mounts import MountError
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.problems import Problem, error
from orlop.dockerfile.stages import StageBase
from orlop.dockerfile.words import Word

_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"(git|ssh)://|git@[\w.-]+:|https?://[^#?]+\.git(#|\?|\Z)", re.IGNORECASE)
_CLAUSE = r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+"
_SYMBOLIC_MODE = re.compile(rf"{_CLAUSE}(?:,{_CLAUSE})*")
_SIGNALS = frozenset({
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
})  # fmt: skip
_REAL_TIME = re.compile(r"RTMIN\+(?:[1-9]|1[0-5])|RTMAX-(?:[1-9]|1[0-4])")


def check(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str] | None = None,
    platform_args: Mapping[str, str] = AUTOMATIC_ARGS,
    find_image: FindImage | None = None,
) -> tuple[Problem, ...]:
    """What is wrong beyond the language, by place; all are errors."""
    facts = Facts(build_args or {}, platform_args, find_image)
    problems: list[Problem] = []
    try:
        stages.global_values(dockerfile, facts.build_args, facts.platform_args)
    except stages.StageError as wrong:
        problems.append(wrong.problem)
    for base in evaluation.bases(dockerfile, facts):
        problems += _base(base)
    problems += stages.check_references(dockerfile)
    for step in evaluation.walk(dockerfile, facts):
        problems += _step(step, dockerfile.escape, facts.build_args)
    return tuple(sorted(problems, key=lambda item: item.span.start))


def check_mode(text: str) -> str | None:
    """Why a `--chmod` cannot be used, None when it can: octal up to 07777, or letters such as `u=rwX,go=rX`."""
    if text and text.isascii() and text.isdigit():
        valid = not text.strip("01234567") and int(text[-8:], 8) <= 0o7777
    else:
        valid = _SYMBOLIC_MODE.fullmatch(text) is not None
    return None if valid else f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"


def check_signal(text: str) -> str | None:
    """Why a STOPSIGNAL cannot be used, None when it can."""
    if re.fullmatch(r"[+-]?[0-9]+", text):
        valid = text.strip("+-0") != ""
    else:
        name = text.upper().removeprefix("SIG")
        valid = name in _SIGNALS or _REAL_TIME.fullmatch(name) is not None
    return None if valid else f"invalid signal: {text}"


def _base(base: StageBase) -> Iterator[Problem]:
    if base.problem is not None:
        yield base.problem
    word = base.stage.from_.platform
    if base.platform and word is not None:
        try:
            platforms.parse(base.platform)
        except platforms.PlatformError as wrong:
            message = f"failed to parse platform {word.text}: {wrong}"
            yield error("invalid-platform", message, word.span, "Write os/architecture, such as linux/arm64.")


def _step(step: Step, escape: str, build_args: Mapping[str, str]) -> Iterator[Problem]:
    instruction = step.instruction
    if isinstance(instruction, Run):
        yield from _mounts(step, instruction, escape)
        return
    words = list(evaluation.expanded_words(instruction))
    if isinstance(instruction, Arg):
        words = [
            word for name, word in instruction.entries if word is not None and name not in build_args
        ]  # fmt: skip
    for word in words:
        try:
            expand.expand(word.text, step.variables, escape)
        except expand.ExpandError as wrong:
            yield error("substitution", str(wrong), word.span)
    for document in evaluation.expanded_heredocs(instruction):
        try:
            expand.expand_heredoc(document.text, step.variables)
        except expand.ExpandError as wrong:
            reason = str(wrong).rpartition('": ')[2]
            yield error("substitution", f"failed to process the body of {document.source}: {reason}", document.span)
    yield from _values(step, escape)


def _mounts(step: Step, run: Run, escape: str) -> Iterator[Problem]:
    for mount in run.mounts:
        try:
            mount.resolve(lambda text: expand.expand(text, step.variables, escape))
        except MountError as wrong:
            yield wrong.problem
        except expand.ExpandError as wrong:
            yield error("substitution", str(wrong), mount.option.span)


def _values(step: Step, escape: str) -> Iterator[Problem]:
    """Values that are certain: with a variable that only an unknown base image could set nobody can tell."""
    instruction = step.instruction
    match instruction:
        case StopSignal():
            text = _certain(step, instruction.signal, escape)
            message = check_signal(text) if text else None
            if message:
                yield error("invalid-signal", message, instruction.signal.span, "Write a name such as SIGTERM.")
        case Expose():
            for word in instruction.words:
                yield from _port(step, word, escape)
        case Copy() | Add():
            yield from _copy(step, instruction, escape)
        case Env():
            for name, _ in instruction.pairs:
                if _certain(step, name, escape) == "":
                    yield error("blank-name", "ENV names can not be blank", name.span)
        case _:
            return


def _port(step: Step, word: Word, escape: str) -> Iterator[Problem]:
    if _certain(step, word, escape) is None:
        return
    for text in expand.expand_words(word.text, step.variables, escape):
        try:
            ports.parse(text)
        except ports.PortError as wrong:
            hint = "Write a port such as 8080 or 53/udp."
            yield error("invalid-port", str(wrong), word.span, hint)


def _copy(step: Step, instruction: Copy | Add, escape: str) -> Iterator[Problem]:
    if instruction.chmod is not None:
        mode = _certain(step, instruction.chmod, escape)
        message = check_mode(mode) if mode else None
        if message:
            hint = "Write 755, or letters such as u=rwX,go=rX."
            yield error("invalid-chmod", message, instruction.chmod.span, hint)
    sources = [(word, _certain(step, word, escape)) for word in instruction.sources]
    if isinstance(instruction, Copy):
        for word, text in sources:
            if text and (_URL.match(text) or _GIT.match(text)):
                what = "a git ref" if _GIT.match(text) else "a URL"
                yield error("remote-source", f"source can't be {what} for COPY", word.span, "Use ADD.")
    elif instruction.checksum is not None and instruction.checksum.text:
        span = instruction.checksum.span
        if len(sources) != 1:
            yield error("invalid-checksum", "checksum can't be specified for multiple sources", span)
        elif sources[0][1] is not None and not (_URL.match(sources[0][1]) or _GIT.match(sources[0][1])):
            yield error("invalid-checksum", "checksum requires HTTP(S) or Git sources", span)


def _certain(step: Step, word: Word, escape: str) -> str | None:
    """The expanded word, None when it cannot be expanded or may come out otherwise."""
    try:
        expansion = expand.examine(word.text, step.variables, escape)
    except expand.ExpandError:
        return None
    if any(not use.is_set and (not step.base_known or use.name in step.declared) for use in expansion.uses):
        return None
    return expansion.text
