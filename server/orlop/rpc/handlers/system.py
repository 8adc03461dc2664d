"""Handlers of `server/*`."""

from __future__ import annotations

import platform
from typing import cast

from orlop.engine.engine import Engine
from orlop.protocol import system
from orlop.protocol.common import Empty
from orlop.protocol.typescript import protocol_hash
from orlop.rpc.dispatch import Call


class SystemHandlers:
    """Answers about the server and its host."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def info(self, _: Empty, __: Call) -> system.ServerInfoResult:
        """Who answers."""
        info = self._engine.system.info()
        return system.ServerInfoResult(
            version=info.version,
            protocol=protocol_hash(),
            python=platform.python_version(),
            platform=f"linux/{platform.machine()}",
            root=str(info.root),
            rootless=info.rootless,
            can_run=info.can_run,
            reason=info.reason,
            hint=info.hint,
        )

    def usage(self, _: Empty, __: Call) -> system.ServerUsageResult:
        """What the store takes."""
        return system.ServerUsageResult(
            rows=[
                system.UsageRow(
                    type=cast("system.UsageType", row.type), total=row.total, active=row.active, size=row.size,
                    reclaimable=row.reclaimable,
                )
                for row in self._engine.system.usage()
            ]
        )  # fmt: skip

    def doctor(self, _: Empty, __: Call) -> system.ServerDoctorResult:
        """What the host allows, tried again."""
        report = self._engine.system.doctor(again=True)
        return system.ServerDoctorResult(
            checks=[
                system.CheckResult(name=check.name, ok=check.ok, detail=check.detail, fix=check.fix)
                for check in report.checks
            ]
        )
