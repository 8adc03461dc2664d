"""EXPOSE's port specifications: `80`, `53/udp`, `8000-8010`, and `ip:host:container`, of which the last part counts."""

from __future__ import annotations

from orlop.core import errors

_PROTOCOLS = ("tcp", "udp", "sctp")


def parse(words: tuple[str, ...]) -> tuple[str, ...]:
    """The ports named, as `80/tcp`, sorted, each once; raises `Invalid` in the words of the reference parser."""
    found = {port for word in words for port in _one(word)}
    return tuple(sorted(found))


def _one(word: str) -> list[str]:
    text, slash, protocol = word.partition("/")
    protocol = protocol.lower() if slash and protocol else "tcp"
    if protocol not in _PROTOCOLS:
        raise errors.Invalid(f"invalid proto: {protocol}", hint="Use tcp, udp or sctp.")
    container = text.rpartition(":")[2] if not text.startswith("[") else text.rpartition("]")[2].rpartition(":")[2]
    if not container:
        raise errors.Invalid(f"no port specified: {word}<empty>")
    first, dash, last = container.partition("-")
    low = _number(first, container)
    high = _number(last, container) if dash else low
    if high < low:
        raise errors.Invalid(f"invalid containerPort: {container}", hint="A range starts with its lower port.")
    return [f"{port}/{protocol}" for port in range(low, high + 1)]


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise errors.Invalid(f"invalid containerPort: {whole}", hint="A port is a number up to 65535.")
    return int(text)
