"""Wire types of the server and the host: info, usage, doctor, and what it tells by itself."""

from __future__ import annotations

from typing import Literal

import attrs

UsageType = Literal["images", "containers", "build-cache"]


@attrs.frozen(kw_only=True)
class ServerInfoResult:
    """Who answers, and where its store is."""

    version: str
    protocol: str
    python: str
    platform: str
    root: str
    rootless: bool
    can_run: bool
    reason: str | None
    hint: str | None


@attrs.frozen(kw_only=True)
class UsageRow:
    """One row of `system df`; sizes in bytes."""

    type: UsageType
    total: int
    active: int
    size: int
    reclaimable: int


@attrs.frozen(kw_only=True)
class ServerUsageResult:
    """All rows."""

    rows: list[UsageRow]


@attrs.frozen(kw_only=True)
class CheckResult:
    """One thing the host must allow; `fix` is what to do when it does not."""

    name: str
    ok: bool
    detail: str
    fix: str | None


@attrs.frozen(kw_only=True)
class ServerDoctorResult:
    """Every check, in order."""

    checks: list[CheckResult]


@attrs.frozen(kw_only=True)
class StoreDidChange:
    """Something was written, by this window or another; `kinds` names what to list again."""

    revision: int
    kinds: list[Literal["images", "containers"]]


@attrs.frozen(kw_only=True)
class ServerDidLog:
    """One line for the log channel."""

    level: Literal["debug", "info", "warning", "error"]
    message: str
