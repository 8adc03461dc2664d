"""Challenges: what a registry says in `WWW-Authenticate` about how it wants to be asked (RFC 9110, section 11)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PARAMETER = re.compile(r"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))\s*")
_TOKEN68 = re.compile(r"\s+([A-Za-z0-9\-._~+/]+=*)\s*(?=,|\Z)")


@attrs.frozen(slots=True)
class Challenge:
    """One scheme (lower case) and its parameters (names in lower case)."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def realm(self) -> str:
        """Where a token is fetched, or the name of the protected space."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The audience that a token is for."""
        return self.parameters.get("service", "")

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the token must allow (`repository:name:pull,push`), as demanded."""
        return tuple(self.parameters.get("scope", "").split())

    @property
    def error(self) -> str:
        """`insufficient_scope`, `invalid_token`, … or empty."""
        return self.parameters.get("error", "")


def parse(header: str) -> tuple[Challenge, ...]:
    """Every challenge of one header, in order; what is malformed ends the reading, silently."""
    found: list[Challenge] = []
    position = 0
    while True:
        while position < len(header) and header[position] in ", \t":
            position += 1
        match = _TOKEN.match(header, position)
        if match is None:
            return tuple(found)
        scheme, position = match.group().lower(), match.end()
        if position < len(header) and header[position] not in ", \t":
            return tuple(found)
        parameters: dict[str, str] = {}
        position = _parameters(header, position, parameters)
        found.append(Challenge(scheme, parameters))


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The one we can answer: Bearer with a realm before Basic; Negotiate and others are passed over."""
    known = tuple(challenges)
    for challenge in known:
        if challenge.scheme == "bearer" and challenge.realm:
            return challenge
    return next((challenge for challenge in known if challenge.scheme == "basic"), None)


def _parameters(header: str, position: int, parameters: dict[str, str]) -> int:
    """Read `name=value` pairs up to the next scheme; the position after them."""
    match = _PARAMETER.match(header, position)
    if match is None:
        opaque = _TOKEN68.match(header, position)
        return opaque.end() if opaque is not None and header[position : position + 1].isspace() else position
    while match is not None:
        name, quoted, plain = match.groups()
        parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain)
        position = match.end()
        if header[position : position + 1] != ",":
            return position
        match = _PARAMETER.match(header, position + 1)
    return position
