"""Lint rules about variables: used without being defined, and secrets kept in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orlop.dockerfile import expand
from orlop.dockerfile.evaluation import Step, expanded_heredocs, expanded_words
from orlop.dockerfile.heredoc import Heredoc
from orlop.dockerfile.instructions import Arg, Env
from orlop.dockerfile.position import Position, Span
from orlop.dockerfile.problems import quoted, suggest
from orlop.dockerfile.rules.rule import Finding, Rule, Subject
from orlop.dockerfile.words import Word

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_HARMLESS = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
# Read by the builder, never part of the environment.
_NOT_VARIABLES = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


def _undefined(subject: Subject, step: Step) -> Iterator[Finding]:
    escape = subject.dockerfile.escape
    if isinstance(step.instruction, Arg):
        yield from _undefined_defaults(subject, step)
        return
    for word in expanded_words(step.instruction):
        if "$" in word.text:
            yield from _in_word(step, word, step.variables, step.declared, escape)
    for document in expanded_heredocs(step.instruction):
        if "$" in document.text:
            yield from _in_heredoc(step, document)


def _undefined_defaults(subject: Subject, step: Step) -> Iterator[Finding]:
    """Each ARG of a line sees those before it."""
    assert isinstance(step.instruction, Arg)
    variables = dict(step.variables)
    declared = step.declared
    for name, default in step.instruction.entries:
        if default is not None and name not in subject.facts.build_args:
            if "$" in default.text:
                yield from _in_word(step, default, variables, declared, subject.dockerfile.escape)
            variables[name] = ""
        declared |= {name}


def _in_word(
    step: Step, word: Word, variables: Mapping[str, str], declared: frozenset[str], escape: str
) -> Iterator[Finding]:
    try:
        uses = expand.examine(word.text, variables, escape).uses
    except expand.ExpandError:
        return
    for use in _missing(uses, declared):
        yield _finding(step, use.name, variables, word.part(use.start, use.end))


def _in_heredoc(step: Step, document: Heredoc) -> Iterator[Finding]:
    found: list[str] = []
    try:
        expand.expand_heredoc(document.text, step.variables, found.append)
    except expand.ExpandError:
        return
    for name in dict.fromkeys(found):
        if name not in step.declared and name not in _NOT_VARIABLES:
            yield _finding(step, name, step.variables, _place(document, name))


def _place(document: Heredoc, name: str) -> Span:
    """Where the body first names the variable; lines keep their number even when tabs were stripped."""
    match = re.search(rf"\$\{{?({re.escape(name)})", document.body)
    if match is None:
        return document.span
    before = document.body[: match.start(1)]
    line = document.body_span.start.line + before.count("\n")
    column = len(before) - (before.rfind("\n") + 1)
    return Span(Position(line, column), Position(line, column + len(name)))


def _missing(uses: tuple[expand.Use, ...], declared: frozenset[str]) -> Iterator[expand.Use]:
    told: set[str] = set()
    for use in uses:
        if use.is_set or use.guarded or use.name in declared or use.name in _NOT_VARIABLES or use.name in told:
            continue
        told.add(use.name)
        yield use


def _finding(step: Step, name: str, variables: Mapping[str, str], span: Span) -> Finding:
    meant = suggest(name, variables)
    guess = f" (did you mean ${meant}?)" if meant else ""
    hint = f"Write ARG {name} or ENV {name}=... above."
    if not step.base_known:
        hint = f"Write ARG {name} or ENV {name}=... above, unless the base image sets it."
    return Finding(f"Usage of undefined variable '${name}'{guess}", span, step.instruction, hint, meant)


def _secrets(subject: Subject, step: Step) -> Iterator[Finding]:
    instruction = step.instruction
    names: list[tuple[str, Word]] = []
    if isinstance(instruction, Arg):
        names = [(name, word) for (name, _), word in zip(instruction.entries, instruction.names, strict=True)]
    elif isinstance(instruction, Env):
        for word, _ in instruction.pairs:
            try:
                names.append((expand.expand(word.text, step.variables, subject.dockerfile.escape), word))
            except expand.ExpandError:
                continue
    for name, word in names:
        if _SECRET.search(name) and not _HARMLESS.search(name):
            message = f"Do not use ARG or ENV instructions for sensitive data ({instruction.keyword} {quoted(name)})"
            hint = "Pass it with RUN --mount=type=secret, which leaves no trace in the image."
            yield Finding(message, word.span, instruction, hint)


RULES = (
    Rule("UndefinedVar", "Variables should be defined before their use", check_step=_undefined),
    Rule(
        "SecretsUsedInArgOrEnv",
        "Sensitive data should not be used in the ARG or ENV commands",
        check_step=_secrets,
    ),
)
