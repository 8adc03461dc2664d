"""Image references and their three spellings: canonical, familiar, and the host that is really asked.

The grammar is the reference grammar of the distribution project: `[domain/]path[:tag][@digest]`.
"""

from __future__ import annotations

import re

import attrs

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.digest import Digest

HUB = "docker.io"
DEFAULT_TAG = "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_TAG = re.compile(r"[\w][\w.-]{0,127}\Z", re.ASCII)
_HEX64 = re.compile(r"[a-f0-9]{64}\Z")
_MAX_NAME = 255


@attrs.frozen(order=True, slots=True)
class Reference:
    """A repository with an optional tag and an optional digest, in canonical form.

    `domain` is never empty (`docker.io` for Hub), `path` has its `library/` there.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        """The canonical spelling, `docker.io/library/x:y`."""
        return f"{self.repository}{self._suffix}"

    @property
    def repository(self) -> str:
        """The canonical name without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The spelling people type, `x:y`."""
        return f"{self.familiar_repository}{self._suffix}"

    @property
    def familiar_repository(self) -> str:
        """The familiar name without tag and digest."""
        if self.domain != HUB:
            return self.repository
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def wire_host(self) -> str:
        """The host that speaks the registry protocol for this domain."""
        return "registry-1.docker.io" if self.domain == HUB else self.domain

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def with_tag(self, tag: str) -> Reference:
        """The same repository under another tag, no digest."""
        return attrs.evolve(self, tag=_checked_tag(tag, tag), digest=None)

    def with_digest(self, digest: Digest) -> Reference:
        """The same repository by digest, no tag."""
        return attrs.evolve(self, tag=None, digest=digest)

    def or_latest(self) -> Reference:
        """This reference, with the tag `latest` when it has neither tag nor digest."""
        return self if self.tag or self.digest else attrs.evolve(self, tag=DEFAULT_TAG)


def parse(text: str) -> Reference:
    """Read any spelling; raises `InvalidReference` with the reason."""
    if not text:
        raise errors.InvalidReference("an image name cannot be empty", hint="Write a name such as myapp:latest.")
    if _HEX64.match(text):
        raise errors.InvalidReference(f"invalid image name {text!r}: 64 hex digits are an image ID, not a name")
    rest, at, digest_text = text.partition("@")
    digest = _checked_digest(text, digest_text) if at else None
    domain, remainder = _split_domain(rest)
    path, colon, tag_text = remainder.partition(":")
    tag = _checked_tag(text, tag_text) if colon else None
    if path != path.lower():
        raise errors.InvalidReference(
            f"invalid image name {text!r}: repository name must be lowercase",
            hint=f"Write {text.replace(path, path.lower())} instead.",
        )
    if not _PATH.match(path) or not _DOMAIN.match(domain):
        raise _invalid(text)
    if domain == HUB and "/" not in path:
        path = f"library/{path}"
    if len(domain) + 1 + len(path) > _MAX_NAME:
        raise errors.InvalidReference(f"invalid image name {text[:40]!r}…: longer than {_MAX_NAME} characters")
    return Reference(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    looks_like_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not looks_like_host:
        return HUB, text
    return (HUB if first in ("index.docker.io", HUB) else first), rest


def _checked_tag(text: str, tag: str) -> str:
    if not _TAG.match(tag):
        raise errors.InvalidReference(
            f"invalid tag {tag!r} in image name {text!r}",
            hint="A tag has up to 128 letters, digits, underscores, dots and dashes; dots and dashes not first.",
        )
    return tag


def _checked_digest(text: str, digest: str) -> Digest:
    try:
        return digests.parse(digest)
    except errors.Invalid as error:
        raise errors.InvalidReference(f"invalid image name {text!r}: {error.message}") from error


def _invalid(text: str) -> errors.InvalidReference:
    return errors.InvalidReference(
        f"invalid image name {text!r}: invalid reference format",
        hint="Write [host[:port]/]name[:tag] with lower-case letters, digits, dots, dashes, underscores and slashes.",
    )
