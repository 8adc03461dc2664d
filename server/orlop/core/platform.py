"""Platforms: how people write them, and which entry of an index fits one (OCI image-spec, image-index.md)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from orlop.core import errors

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armhf": "arm",
    "armel": "arm", "armv7l": "arm", "armv6l": "arm",
}  # fmt: skip
_IMPLIED_VARIANTS = {"armhf": "v7", "armel": "v6", "armv7l": "v7", "armv6l": "v6"}
_ARM_ORDER = ("v8", "v7", "v6", "v5")


@attrs.frozen(order=True, slots=True)
class Platform:
    """Operating system, architecture and optional variant, normalized; prints as `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse(text: str, default_os: str = "linux") -> Platform:
    """Read `os/arch[/variant]`, `arch` or `os`; raises `Invalid`."""
    parts = text.strip().lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(part.replace("-", "").replace("_", "").isalnum() for part in parts):
        raise errors.Invalid(f"invalid platform {text!r}", hint="Write it as os/architecture, for example linux/arm64.")
    if len(parts) == 1:
        parts = [default_os, parts[0]]
    return normalize(*parts)


def normalize(os: str, architecture: str, variant: str = "") -> Platform:
    """The canonical platform for the many names of one thing (`aarch64`, `x86_64`, arm64's default v8, arm's v7)."""
    variant = variant or _IMPLIED_VARIANTS.get(architecture, "")
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if architecture == "arm64" and variant in ("8", "v8"):
        variant = ""
    if architecture == "arm":
        variant = f"v{variant}" if variant.isdigit() else variant or "v7"
    if architecture == "amd64" and variant == "v1":
        variant = ""
    return Platform(os, architecture, variant)


def of_machine(machine: str) -> Platform:
    """The platform of a kernel's machine name (`os.uname().machine`)."""
    return normalize("linux", machine)


def rank(wanted: Platform, offered: Platform) -> int | None:
    """How well `offered` serves `wanted`: 0 is exact, larger is worse, None does not run."""
    if offered == wanted:
        return 0
    if offered.os != wanted.os:
        return None
    if offered.architecture == wanted.architecture:
        return _rank_variant(wanted, offered)
    if wanted.architecture == "amd64" and offered.architecture == "386":
        return 20
    if wanted.architecture == "arm64" and offered.architecture == "arm" and offered.variant in _ARM_ORDER:
        return 10 + _ARM_ORDER.index(offered.variant)
    return None


def choose(wanted: Platform, offered: Iterable[Platform]) -> int | None:
    """The position of the best fitting platform, or None."""
    ranked = [(rank(wanted, item), position) for position, item in enumerate(offered)]
    fits = [(value, position) for value, position in ranked if value is not None]
    return min(fits)[1] if fits else None


def _rank_variant(wanted: Platform, offered: Platform) -> int | None:
    if wanted.architecture == "arm":
        if offered.variant not in _ARM_ORDER or wanted.variant not in _ARM_ORDER:
            return None
        distance = _ARM_ORDER.index(offered.variant) - _ARM_ORDER.index(wanted.variant)
        return distance if distance >= 0 else None
    if not offered.variant:
        return 5
    if not wanted.variant:
        return None if wanted.architecture == "amd64" else 6
    return 1 if offered.variant < wanted.variant else None
