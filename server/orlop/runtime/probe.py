"""What this host allows, found out by doing it: the report behind `orlop doctor` and behind every refusal to run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import attrs

from orlop.core import errors
from orlop.runtime import userns
from orlop.runtime.linux import capabilities, leanjson
from orlop.runtime.linux.channel import Channel, pair
from orlop.runtime.network import helper

# Without these nothing runs; the others only take something away.
_NEEDED = ("user namespace", "namespaces", "kernel", "layers", "seccomp")


@attrs.frozen(slots=True)
class Check:
    """One thing that was tried: whether it works, what was found, and the exact fix if there is one."""

    name: str
    ok: bool
    detail: str
    fix: str | None = None


@attrs.frozen(slots=True)
class Report:
    """All checks in order; `reason` and `hint` are those of the first that keeps containers from running."""

    checks: tuple[Check, ...]
    can_run: bool
    reason: str | None
    hint: str | None

    def require(self) -> None:
        """Raise `Unavailable` with reason and hint when containers cannot run here."""
        if not self.can_run:
            raise errors.Unavailable(f"cannot run containers here: {self.reason}", hint=self.hint)


def probe(store: Path | None = None) -> Report:
    """Try everything a container needs, layers in the directory `store` (which exists); takes some 50 ms."""
    mapping = userns.for_current_user()
    checks = [_user_ids(mapping)]
    with tempfile.TemporaryDirectory(prefix="orlop-probe-") as scratch:
        checks += _tried(mapping, str(store or scratch))
    checks.append(_network())
    broken = next((check for check in checks if not check.ok and check.name in _NEEDED), None)
    return Report(
        tuple(checks),
        broken is None,
        broken.detail if broken is not None else None,
        broken.fix if broken is not None else None,
    )


def _tried(mapping: userns.IdMapping, store: str) -> list[Check]:
    ours, theirs = pair()
    log = os.memfd_create("probe", os.MFD_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = userns.spawn(
            "orlop.runtime.probing:main",
            mapping=mapping,
            fds=(theirs.fileno(),),
            params={"store": store},
            stdio=(null, null, log),
        )
        theirs.close()
        checks = list(_received(ours))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said = os.pread(log, 65536, 0).decode("utf-8", "replace").strip()
    finally:
        ours.close()
        theirs.close()
        for fd in (log, null):
            os.close(fd)
    if code == 0 and checks:
        return [_made(mapping), *checks]
    return [_not_made(said, code), *checks]


def _received(channel: Channel) -> list[Check]:
    checks = []
    while (received := channel.receive()) is not None:
        answer = received[0]
        checks.append(Check(answer["name"], answer["ok"], answer["detail"], answer["fix"]))
    return checks


def _made(mapping: userns.IdMapping) -> Check:
    if mapping.kind == "identity":
        return Check("user namespace", ok=True, detail="not needed: running as root")
    return Check("user namespace", ok=True, detail="this user can be root of a namespace of its own")


def _not_made(said: str, code: int) -> Check:
    """Why the process that should have tried did not get to it, as it left it on standard error."""
    last = said.rpartition("\n")[2]
    try:
        told = leanjson.loads(last)
        return Check("user namespace", ok=False, detail=told["message"], fix=told["hint"])
    except (ValueError, KeyError, TypeError):
        detail = f"the test process ended with exit code {code}: {last or 'no output'}"
        return Check("user namespace", ok=False, detail=detail, fix="Run `orlop doctor` again with a working Python.")


def _user_ids(mapping: userns.IdMapping) -> Check:
    if mapping.kind == "identity":
        return Check("user ids", ok=True, detail="all ids, running as root")
    if mapping.kind == "single":
        detail = f"only one user id inside containers, package managers will fail: {mapping.reason}"
        return Check("user ids", ok=False, detail=detail, fix=mapping.fix)
    count = sum(row[2] for row in mapping.uids)
    return Check("user ids", ok=True, detail=f"{count} user ids inside containers")


def _network() -> Check:
    if capabilities.held()[0] >> capabilities.NET_ADMIN & 1:
        return Check("network", ok=True, detail="containers get addresses on a bridge")
    name, reason, fix = helper.choose()
    if name is not None:
        return Check("network", ok=True, detail=f"containers get a network of their own by {name}")
    return Check("network", ok=False, detail=f"containers share the host's network: {reason}", fix=fix)
