"""Lint rules about the ports of EXPOSE."""

from __future__ import annotations

from collections.abc import Iterator

from orlop.dockerfile import expand, ports
from orlop.dockerfile.evaluation import Step
from orlop.dockerfile.instructions import Expose
from orlop.dockerfile.ports import PortSpec
from orlop.dockerfile.rules.rule import Finding, Rule, Subject
from orlop.dockerfile.words import Word


def _proto(subject: Subject, step: Step) -> Iterator[Finding]:
    for word, text, port in _ports(subject, step):
        if port.protocol != port.protocol.lower():
            message = f"Defined protocol '{text}' in EXPOSE instruction should be lowercase"
            # A word that is a variable cannot be mended here.
            mended = text.lower() if word.text == text else None
            yield Finding(message, word.span, step.instruction, f"Write {text.lower()}.", mended)


def _format(subject: Subject, step: Step) -> Iterator[Finding]:
    for word, text, port in _ports(subject, step):
        if port.has_host:
            message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
            yield Finding(message, word.span, step.instruction, "Name the port alone; publish it when running.")


def _ports(subject: Subject, step: Step) -> Iterator[tuple[Word, str, PortSpec]]:
    if not isinstance(step.instruction, Expose):
        return
    for word in step.instruction.words:
        try:
            for text in expand.expand_words(word.text, step.variables, subject.dockerfile.escape):
                yield word, text, ports.parse(text)
        except (expand.ExpandError, ports.PortError):
            continue


RULES = (
    Rule("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase", check_step=_proto),
    Rule(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a "
        "future release",
        check_step=_format,
    ),
)
