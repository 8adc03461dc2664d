"""What a container may take at most, as people write it; read into the limits of its control group. Pure."""

from __future__ import annotations

import re

import attrs

from orlop.core import errors
from orlop.engine import wishes
from orlop.runtime.spec import Limits

# Docker refuses less: not even a shell would start.
_LEAST_MEMORY = 6 << 20
_CPUS = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")


@attrs.frozen(kw_only=True)
class LimitWishes:
    """What `run`, `create` and `update` ask for alike; None leaves a limit as it is, 0 takes it away."""

    memory: str | None = None
    memory_swap: str | None = None
    memory_reservation: str | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    pids_limit: int | None = None


def wished(asked: LimitWishes, before: Limits = Limits()) -> Limits:  # noqa: B008 - a frozen value
    """The limits after the wishes; 0 takes one away. Raises `Invalid` for a value that makes no sense."""
    memory = _bytes(asked.memory, "--memory", before.memory)
    swap = -1 if asked.memory_swap == "-1" else _bytes(asked.memory_swap, "--memory-swap", before.memory_swap)
    reservation = _bytes(asked.memory_reservation, "--memory-reservation", before.memory_reservation)
    if memory is not None and memory < _LEAST_MEMORY:
        raise errors.Invalid(
            f"invalid value for --memory: {asked.memory!r}: the least is 6m", hint="Give it some more."
        )
    if swap not in (None, -1):
        if memory is None:
            raise errors.Invalid("you should always set the memory limit when using the memory-swap limit")
        if swap is not None and swap < memory:
            if asked.memory_swap is None:
                raise errors.Invalid(
                    "the memory limit should be smaller than the memory-swap limit that is set already",
                    hint="Change --memory-swap at the same time.",
                )
            raise errors.Invalid("the minimum memory-swap limit should be larger than the memory limit")
    if memory is not None and reservation is not None and reservation > memory:
        raise errors.Invalid("the minimum memory limit can not be less than the memory reservation limit")
    if asked.cpus is not None and asked.cpus < 0:
        raise errors.Invalid(f"invalid value for --cpus: {asked.cpus:g}", hint="Give a number such as 1.5.")
    if asked.cpu_shares is not None and asked.cpu_shares < 0:
        raise errors.Invalid(f"invalid value for --cpu-shares: {asked.cpu_shares}", hint="1024 is the usual weight.")
    if asked.cpuset_cpus and _CPUS.fullmatch(asked.cpuset_cpus) is None:
        raise errors.Invalid(
            f"invalid value {asked.cpuset_cpus!r} for --cpuset-cpus", hint="Give processors by number, such as 0-2,4."
        )
    pids = before.pids if asked.pids_limit is None else asked.pids_limit if asked.pids_limit > 0 else None
    return attrs.evolve(
        before,
        memory=memory,
        memory_swap=swap,
        memory_reservation=reservation,
        pids=pids,
        cpus=before.cpus if asked.cpus is None else asked.cpus or None,
        cpu_shares=before.cpu_shares if asked.cpu_shares is None else asked.cpu_shares or None,
        cpuset_cpus=before.cpuset_cpus if asked.cpuset_cpus is None else asked.cpuset_cpus or None,
    )


def _bytes(text: str | None, what: str, before: int | None) -> int | None:
    return before if text is None else wishes.size(text, what) or None
