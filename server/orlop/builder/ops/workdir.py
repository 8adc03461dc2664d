"""WORKDIR: the directory and its missing parents, owned by the user of the moment."""

from __future__ import annotations

from typing import Any

from orlop.builder.operations import WorkdirOp
from orlop.core.job import Job
from orlop.rootfs.workshop import Workshop


def perform(operation: WorkdirOp, target: dict[str, Any], workshop: Workshop, job: Job) -> int:
    """Make it; directories hold no bytes."""
    workshop.call("mkdir", {"target": target, "path": operation.path, "user": operation.user}, job)
    return 0
