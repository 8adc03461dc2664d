"""Giving up power for good: limits, user, capabilities and the system call filter, in the order that works."""

from __future__ import annotations

import os
import resource

from orlop.core import errors
from orlop.runtime.linux import capabilities, namespaces, seccomp, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orlop.runtime.init.identity import Identity
    from orlop.runtime.spec import RlimitJson, SpecJson

_MACHINE = os.uname().machine
# Compiled once per process, before the zygote forks: nearly every container has the default set.
_DEFAULT_PROGRAM = seccomp.compile(capabilities.DEFAULT, _MACHINE) if seccomp.supported(_MACHINE) else b""


def set_limits(limits: list[RlimitJson]) -> None:
    """Apply resource limits; a hard limit above our own is lowered to it, as far as we are allowed to go."""
    for limit in limits:
        number = getattr(resource, f"RLIMIT_{limit['name'].upper()}", None)
        if number is None:
            raise errors.Invalid(f"unknown resource limit {limit['name']}", hint="Use a name such as nofile or nproc.")
        soft, hard = (resource.RLIM_INFINITY if value < 0 else value for value in (limit["soft"], limit["hard"]))
        try:
            resource.setrlimit(number, (soft, hard))
        except ValueError:
            ceiling = resource.getrlimit(number)[1]
            resource.setrlimit(number, (_least(soft, ceiling), _least(hard, ceiling)))


def wanted_capabilities(spec: SpecJson) -> int:
    """The bounding set of a container; raises `Invalid` for an unknown name."""
    names = spec["capabilities"]
    if names is None:
        return capabilities.DEFAULT
    mask = 0
    try:
        for name in names:
            mask |= capabilities.parse(name)
    except ValueError as error:
        raise errors.Invalid(str(error), hint="Use a name such as NET_ADMIN.") from None
    return mask


def confine(spec: SpecJson, identity: Identity, *, nodes: bool) -> None:
    """Become the user with the wanted capabilities under the filter; nothing of the launcher's power is left.

    CAP_MKNOD goes unless `nodes`: where no control group limits devices, a node made inside would open the host's.
    Without no_new_privs the filter needs CAP_SYS_ADMIN, so it goes in first and allows the rest; with it, last.
    """
    mask = wanted_capabilities(spec)
    if spec["seccomp"] and not spec["no_new_privs"]:
        _filter(mask)
    if not nodes:
        mask &= ~(1 << capabilities.MKNOD)
    groups = None if namespaces.single_id() else identity.groups
    try:
        capabilities.apply(bounding=mask, wanted=mask, uid=identity.uid, gid=identity.gid, groups=groups)
    except OSError as error:
        raise errors.Unavailable(
            f"cannot become user {identity.uid}:{identity.gid}: {(error.strerror or '').lower()}",
            hint="Give this user more subordinate ids in /etc/subuid and /etc/subgid, or use a smaller user id.",
        ) from error
    if spec["no_new_privs"]:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        if spec["seccomp"]:
            _filter(mask)


def _filter(mask: int) -> None:
    if not seccomp.supported(_MACHINE):
        raise errors.Unavailable(
            f"cannot filter system calls on {_MACHINE}", hint="Turn the filter off for this container."
        )
    seccomp.install(_DEFAULT_PROGRAM if mask == capabilities.DEFAULT else seccomp.compile(mask, _MACHINE))


def _least(value: int, ceiling: int) -> int:
    if ceiling == resource.RLIM_INFINITY:
        return value
    return ceiling if value == resource.RLIM_INFINITY else min(value, ceiling)
