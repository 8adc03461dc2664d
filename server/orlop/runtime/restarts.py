"""Restarts as seen from outside of the shim: ending them, those due after a boot, and the start a shim asks for.

There is no daemon. A shim that waits for its container's next start (`shim.restarting`) runs `main` here once the wait
is over; whoever stops a container writes that down, and wakes the shim.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime import container, userns
from orlop.runtime.bundles import Bundles
from orlop.runtime.container import Container
from orlop.runtime.linux import leanjson
from orlop.runtime.shim import restarting, state
from orlop.runtime.spec import ExitStatus

# What a start needs of the environment it was first asked for in; the rest may hold secrets, and lives long in a shim.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH")
_BOOT = (
    "import sys,json;p=json.loads(sys.argv[1]);sys.path[:]=p['path'];from orlop.runtime.restarts import main;main(p)"
)


def starter(found: Container, run_dir: Path, networks: Path) -> dict[str, Any]:
    """What `shim.restarting.carry_out` needs: this very Python and package, whoever installed them."""
    params = {
        "root": str(found.bundle.parent), "id": found.id, "run_dir": str(run_dir), "networks": str(networks),
        "path": [userns.SERVER_ROOT, *(each for each in sys.path if os.path.isabs(each))],
    }  # fmt: skip
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    argv = [sys.executable, "-I", "-S", "-c", _BOOT, leanjson.dumps(params)]
    return {"argv": argv, "env": environment}


def main(params: dict[str, Any]) -> None:
    """Start the container for the shim whose identity is the last argument, if that is still wanted."""
    from orlop.runtime.network.definitions import Definitions  # noqa: PLC0415
    from orlop.runtime.shims import Shims  # noqa: PLC0415
    from orlop.runtime.starting import Starter  # noqa: PLC0415 - it imports this module

    shim = leanjson.loads(sys.argv[-1])
    bundles = Bundles(Path(params["root"]))
    bundle = bundles.root / params["id"]
    shims = Shims()
    try:
        with bundles.locked(bundle, Job()):
            record = state.read(f"{bundle}/{state.RESTART}")
            found = container.read(bundle)
            if record is None or found is None or record["shim"] != shim or found.status != "restarting":
                return
            try:
                defined = Definitions(Path(params["networks"]))
                Starter(Path(params["run_dir"]), userns.for_current_user(), shims, defined).start(
                    found, Job(), foreground=False, size=None, other=_lender(bundles, found), again=True
                )
            except (errors.OrlopError, OSError) as error:
                reason = error.message if isinstance(error, errors.OrlopError) else str(error)
                restarting.settle(str(bundle), record, f"cannot restart the container: {reason}")
            else:
                state.write(f"{bundle}/{state.RESTART}", {**record, "shim": None})
    except errors.ContainerNotFound:
        return
    finally:
        shims.close()


def _lender(bundles: Bundles, found: Container) -> Container | None:
    """The container whose network it shares, if it does; raises `Conflict` when that one does not run."""
    if found.memberships.shared is None:
        return None
    other = container.read(bundles.root / found.memberships.shared)
    if other is None or other.pid is None:
        raise errors.Conflict(f"the container {found.memberships.shared[:12]}, whose network it shares, does not run")
    return other


def stop(found: Container) -> None:
    """Let the run that goes on be the last one; the caller holds the container's lock.

    One that waits for its next start has ended with that.
    """
    last = state.read(f"{found.bundle}/{state.STATE}") or {}
    record = state.read(f"{found.bundle}/{state.RESTART}")
    try:
        # Of a container that has ended already it says so too: `unless-stopped` remembers it over a boot.
        lasting = found.spec.restart.name != "no"
        state.write(f"{found.bundle}/{state.STOPPED}", {"run": last.get("init")}, sync=lasting)
        if record is not None and record["shim"] is not None:
            state.write(f"{found.bundle}/{state.RESTART}", {**record, "shim": None})
    except FileNotFoundError:
        raise errors.ContainerNotFound(f"no container {found.name}: it was removed") from None
    except OSError as error:
        raise errors.from_os(error, f"stop {found.name}") from error
    if found.status == "restarting" and record is not None:
        _wake(record["shim"])


def forget(found: Container) -> None:
    """Count from nothing: a person starts it. How it ended last stays known to those who still wait for that."""
    end = state.read(f"{found.bundle}/{state.EXIT}")
    if end is not None:
        record = {"count": 0, "delay": 0.0, "shim": None, "exit": end}
        state.write(f"{found.bundle}/{state.RESTART}", record, sync=False)
    else:
        (found.bundle / state.RESTART).unlink(missing_ok=True)


def due(found: Container) -> bool:
    """Whether its policy wants it to run and nobody is there to start it: after a boot, or when its shim was killed.

    As Docker decides when its daemon starts (moby, daemon/daemon.go, `restore`), except that a container that was
    never started is not.
    """
    if found.status != "exited":
        return False
    stopped = os.path.exists(found.bundle / state.STOPPED)
    policy = {"name": found.spec.restart.name, "maximum": found.spec.restart.maximum}
    code = found.exit.code if found.exit is not None else 0
    # A person who stopped it is obeyed by all but `always`.
    if stopped and policy["name"] == "on-failure":
        return False
    return restarting.wanted(policy, code, found.restarts, stopped=stopped)


def last_exit(bundle: Path) -> ExitStatus | None:
    """How the last finished run ended, though another one may go on already."""
    record = state.read(f"{bundle}/{state.RESTART}")
    return container.exit_of(record["exit"]) if record is not None else None


def _wake(shim: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(shim["pid"])
        try:
            if state.alive(shim):
                signal.pidfd_send_signal(pidfd, restarting.WAKE)
        finally:
            os.close(pidfd)
