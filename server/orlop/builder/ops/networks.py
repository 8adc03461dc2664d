"""The networks of a build's RUN steps: chosen once for each mode, attached for each step."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from orlop.core.job import Job
from orlop.runtime.network import attach
from orlop.runtime.network.resolv import Resolver

_MODES: dict[str, attach.Mode] = {"default": "private", "none": "none", "host": "host"}


class Networks:
    """Thread-safe; `state_dir` keeps track of the networks of all containers of this user."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._chosen: dict[str, tuple[attach.Plan, Resolver]] = {}

    def choose(self, network: str, job: Job) -> tuple[attach.Plan, Resolver]:
        """What `default`, `none` or `host` means on this host; what is not as asked is noted once."""
        with self._lock:
            if network not in self._chosen:
                plan = attach.choose(_MODES[network], state_dir=self._state_dir, job=job)
                resolver = plan.resolver()
                for note in filter(None, (plan.note, resolver.note)):
                    job.note(note, "warning")
                self._chosen[network] = plan, resolver
            return self._chosen[network]

    def attach(self, plan: attach.Plan, pid: int, job: Job) -> Callable[[], None]:
        """Connect the network namespace of a waiting process; returns how to give back what that took."""
        attachment = attach.attach(
            plan.mode, pid, container_id=secrets.token_hex(32), state_dir=self._state_dir, job=job, plan=plan
        )
        return attachment.close
