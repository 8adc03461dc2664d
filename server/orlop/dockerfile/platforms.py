"""Platform texts of `FROM --platform`: `os/architecture[/variant]`, an operating system or an architecture alone.

Source: containerd's `platforms.Parse`; the complaints are its own.
"""

from __future__ import annotations

import re

import attrs

from orlop.dockerfile.problems import quoted

_PART = r"^[A-Za-z0-9_.-]+$"
_SYSTEMS = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
    "openbsd", "plan9", "solaris", "windows", "zos",
})  # fmt: skip
_ARCHITECTURES = frozenset({
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle",
    "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
})  # fmt: skip
_ALIASES = {
    "i386": "386", "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm",
}  # fmt: skip


class PlatformError(ValueError):
    """A text that names no platform."""


@attrs.frozen(slots=True)
class PlatformText:
    """What a platform text names; None for what it leaves to the machine."""

    system: str | None
    architecture: str | None


def parse(text: str) -> PlatformText:
    """Read a platform; raises `PlatformError`."""
    if "*" in text:
        raise PlatformError(f"{quoted(text)}: wildcards not yet supported: invalid argument")
    parts = text.split("/")
    for part in parts:
        if not re.fullmatch(_PART, part):
            raise PlatformError(
                f"{quoted(part)} is an invalid component of {quoted(text)}: "
                f"platform specifier component must match {quoted(_PART)}: invalid argument"
            )
    first = parts[0].lower()
    first = "darwin" if first == "macos" else first
    if len(parts) == 1:
        if first in _SYSTEMS:
            return PlatformText(first, None)
        architecture = _ALIASES.get(first, first)
        if architecture in _ARCHITECTURES:
            return PlatformText(None, architecture)
        raise PlatformError(f"{quoted(text)}: unknown operating system or architecture: invalid argument")
    if len(parts) > 3:
        raise PlatformError(f"{quoted(text)}: cannot parse platform specifier: invalid argument")
    second = parts[1].lower()
    return PlatformText(first, _ALIASES.get(second, second))
