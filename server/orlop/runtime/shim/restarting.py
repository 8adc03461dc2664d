"""What follows a container's end: whether its policy starts it again, how long that waits, and who does it.

Source: moby, internal `restartmanager`: 100 ms, doubled each time up to a minute, from the beginning after 10 s of
running. Only the wait happens here; the start itself needs networks and ports, and is a process of its own.
"""

from __future__ import annotations

import _signal  # `signal` would load the enumerations
import fcntl
import os
import time

from orlop.runtime.linux import leanjson
from orlop.runtime.shim import health, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 0.1, 60.0, 10.0
WAKE = _signal.SIGUSR1
_FAILED = 125


def next_delay(last: float, ran: float) -> float:
    """Seconds to wait before the next start, after a wait of `last` (0: none yet) and a run of `ran` seconds."""
    if ran >= STEADY_SECONDS or last <= 0:
        return FIRST_DELAY
    return min(last * 2, LONGEST_DELAY)


def wanted(policy: dict[str, Any], code: int, count: int, *, stopped: bool) -> bool:
    """Whether a container that ended with `code`, after `count` restarts, is to run again.

    `stopped` is whether a person ended it. `policy` is the JSON form of `spec.Restart`.
    """
    match policy["name"]:
        case "always":
            return True
        case "unless-stopped":
            return not stopped
        case "on-failure":
            return code != 0 and (policy["maximum"] == 0 or count < policy["maximum"])
    return False


def policy_of(bundle: str) -> dict[str, Any]:
    """The policy as it is now; `update` may have changed it since the start."""
    config = state.read(f"{bundle}/{state.CONFIG}") or {}
    found: dict[str, Any] = config.get("spec", {}).get("restart") or {"name": "no", "maximum": 0}
    return found


def end(bundle: str, status: dict[str, Any], init: dict[str, Any], ran: float) -> float | None:
    """Write down how the run of `init` ended; returns the seconds until the next one, None when there is none.

    Written in one with the container's lock held: nobody can stop it between the decision and its record.
    """
    policy = policy_of(bundle)
    if policy["name"] == "no":
        state.write(f"{bundle}/{state.EXIT}", status)
        return None
    with _Lock(bundle):
        stopped = state.read(f"{bundle}/{state.STOPPED}")
        by_hand = stopped is not None and stopped["run"] == init
        record = state.read(f"{bundle}/{state.RESTART}") or {"count": 0, "delay": 0.0}
        delay = None
        if not by_hand and wanted(policy, status["code"], record["count"], stopped=False):
            _signal.pthread_sigmask(_signal.SIG_BLOCK, {WAKE})
            delay = next_delay(record["delay"], ran)
            state.write(
                f"{bundle}/{state.RESTART}",
                {"count": record["count"] + 1, "delay": delay, "shim": state.identity(os.getpid()), "exit": status},
            )
        elif record["count"]:
            state.write(f"{bundle}/{state.RESTART}", {**record, "shim": None, "exit": status})
        state.write(f"{bundle}/{state.EXIT}", status)
    return delay


def carry_out(bundle: str, delay: float, starter: dict[str, Any]) -> None:
    """Wait, unless somebody ends that (`WAKE`), and have the container started; returns when that is over.

    `starter`: "argv" and "env" of the process that does it, which gets our identity as one more argument.
    """
    own = state.identity(os.getpid())
    deadline = time.monotonic() + delay
    while (left := deadline - time.monotonic()) > 0 and _ours(bundle, own):
        _signal.sigtimedwait({WAKE}, left)
    if not _ours(bundle, own):
        return
    reason = "the process that was to do it was killed"
    try:
        argv = [*starter["argv"], leanjson.dumps(own)]
        pid = os.posix_spawn(argv[0], argv, starter["env"], setsigdef=health.IGNORED, setsigmask=())
        os.waitpid(pid, 0)
    except OSError as error:
        reason = f"{starter['argv'][0]}: {(error.strerror or str(error)).lower()}"
    give_up(bundle, own, reason)


def give_up(bundle: str, shim: dict[str, Any], reason: str) -> None:
    """Say that the container stays as it is, unless it was started, removed or stopped meanwhile."""
    try:
        with _Lock(bundle):
            record = state.read(f"{bundle}/{state.RESTART}")
            if record is None or record["shim"] != shim:
                return
            last = state.read(f"{bundle}/{state.STATE}")
            if last is not None and state.alive(last["init"]) and not os.path.exists(f"{bundle}/{state.EXIT}"):
                # It was killed when it had done its work but for telling so.
                state.write(f"{bundle}/{state.RESTART}", {**record, "shim": None})
            else:
                settle(bundle, record, f"cannot restart the container: {reason}")
    except OSError:
        return  # it was removed


def settle(bundle: str, record: dict[str, Any], error: str) -> None:
    """With the lock held: nobody waits to start it again, and why."""
    failed = {"code": _FAILED, "signal": None, "oom": False, "error": error, "finished": time.time()}
    end = state.read(f"{bundle}/{state.EXIT}")
    if end is None or end["error"] is None:
        state.write(f"{bundle}/{state.EXIT}", failed)
    state.write(f"{bundle}/{state.RESTART}", {**record, "shim": None})


def _ours(bundle: str, own: dict[str, Any]) -> bool:
    record = state.read(f"{bundle}/{state.RESTART}")
    return record is not None and record["shim"] == own


class _Lock:
    """The container's lock, as `bundles.Bundles.locked` takes it."""

    def __init__(self, bundle: str) -> None:
        self._fd = os.open(f"{bundle}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __enter__(self) -> None:
        """It is held already."""

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
