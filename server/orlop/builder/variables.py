"""The variables of a build: the global ARGs, and what one stage's instructions see.

ENV and ARG share one list and the later line wins, both for expansion and for RUN's environment
(builder of Docker, measured; the manual's "ENV always overrides ARG" only describes the usual order).
"""

from __future__ import annotations

from collections.abc import Mapping

from orlop.core.platform import Platform

PROXIES = tuple(
    spelling
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for spelling in (name, name.lower())
)

# Read by the builder itself, so never "not consumed".
CONTROLS = frozenset({
    "BUILDKIT_SYNTAX", "BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME",
    "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_DOCKERFILE_CHECK", "SOURCE_DATE_EPOCH",
    "BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE",
})  # fmt: skip


def automatic(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """The ARGs that exist without being passed; a stage sees them after its own `ARG NAME`."""
    values: dict[str, str] = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}OSVERSION"] = ""
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    values["TARGETSTAGE"] = stage
    return values


def proxies(given: Mapping[str, str], build_args: Mapping[str, str]) -> dict[str, str]:
    """What every RUN gets without asking: the host's proxies, those of the build arguments before them."""
    values = {name: given[name] for name in PROXIES if given.get(name)}
    return values | {name: build_args[name] for name in PROXIES if build_args.get(name)}


class Variables:
    """What the next instruction of a stage sees; changes line by line."""

    def __init__(self, values: Mapping[str, str], declared: tuple[tuple[str, str], ...] = ()) -> None:
        self._values = dict(values)
        self._declared = dict(declared)

    @property
    def values(self) -> Mapping[str, str]:
        """Name to value, in the order of the last definition."""
        return self._values

    @property
    def declared(self) -> tuple[tuple[str, str], ...]:
        """The ARGs declared so far, for the stages built from this one."""
        return tuple(self._declared.items())

    def set(self, name: str, value: str) -> None:
        """An ENV, or an ARG that has a value: the last definition counts, and stands last."""
        self._values.pop(name, None)
        self._values[name] = value

    def declare(self, name: str, value: str | None) -> None:
        """An ARG; one without a value stays out of the environment but is told in the history."""
        self._declared.setdefault(name, "")
        self._declared[name] = value or ""
        if value is not None:
            self.set(name, value)

    def environment(self) -> tuple[str, ...]:
        """`NAME=value` for a process."""
        return tuple(f"{name}={value}" for name, value in self._values.items())

    def arguments(self) -> tuple[str, ...]:
        """The `|2 a=1 b=2` of a RUN's history, nothing when no ARG was declared."""
        if not self._declared:
            return ()
        told = (f"{name}={self._values.get(name, value)}" for name, value in self._declared.items())
        return (f"|{len(self._declared)}", *told)
