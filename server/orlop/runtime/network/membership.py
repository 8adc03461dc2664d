"""Joining and leaving user-defined networks: what shims do for their containers, and commands for running ones.

Each call forks a child, which alone changes namespaces, and holds one lock for all networks of this user. A request is
the JSON object that `starting.membership` makes: "state" (directory), "rootless", "mapping", "container", "networks".
Only the standard library, and that late: the child alone loads what it needs.
"""

from __future__ import annotations

import fcntl
import os

from orlop.core import errors
from orlop.runtime.linux.channel import pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

# A file for each container that was promised a place in the namespaces: who promised it (`shim.state.identity`).
_EXPECTED = "expected-"
_KINDS = {kind.kind: kind for kind in (errors.Unavailable, errors.Invalid, errors.Conflict, errors.NotFound)}


def hold(request: dict[str, Any]) -> dict[str, Any] | None:
    """The process whose user namespace a container of these networks must be born in; None for root."""
    if not request["rootless"]:
        return None
    shim = os.getpid()
    answer: dict[str, Any] = _in_child(request, lambda: _expect(request, shim))
    return answer["process"]  # type: ignore[no-any-return]


def attach(request: dict[str, Any], pid: int) -> dict[str, Any]:
    """Connect the network namespace of process `pid` to all networks of the request.

    Returns {"attached": [`Segment.connect`'s objects], "notes": [text]}. Raises an error of those above.
    """
    answer: dict[str, Any] = _in_child(request, lambda: _attach(request, pid))
    return answer


def leave(request: dict[str, Any]) -> None:
    """The container has ended: give back what it had, and clear away networks that nobody is on. Never raises."""
    try:
        _in_child(request, lambda: _sweep(request, release=True))
    except (errors.OrlopError, OSError):
        return


def detach(request: dict[str, Any], pid: int, rest: list[dict[str, Any]]) -> None:
    """Disconnect a running container from the networks of the request; it stays on `rest`."""
    _in_child(request, lambda: _detach(request, pid, rest))


def sweep(request: dict[str, Any]) -> None:
    """Clear away networks that nobody is on, and what killed processes left; of those of the request all records."""
    _in_child(request, lambda: _sweep(request, release=False))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Serve a command: {"attach": pid}, {"detach": pid, "rest": […]} or {"sweep": true} beside what a request has."""
    try:
        if "attach" in request:
            answer = attach(request, request["attach"])
            if request["resolver"] is not None:
                serve_names(request, request["attach"])
            return {"done": answer}
        if "detach" in request:
            detach(request, request["detach"], request["rest"])
        else:
            sweep(request)
    except errors.OrlopError as error:
        return {"failed": error.message, "kind": error.kind, "hint": error.hint}
    return {"done": {}}


def serve_names(request: dict[str, Any], pid: int) -> None:
    """Fork the process that resolves names inside the container; it ends with the container."""
    from orlop.runtime.network import nameserver  # noqa: PLC0415

    pidfd = os.pidfd_open(pid)
    if os.fork() == 0:
        try:
            nameserver.serve(request, pidfd)
        finally:
            os._exit(0)
    os.close(pidfd)


def raised(answer: dict[str, Any]) -> errors.OrlopError:
    """The error that `run` told of."""
    return _KINDS.get(answer["kind"], errors.OrlopError)(answer["failed"], hint=answer["hint"])


def _in_child(request: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    ours, theirs = pair()
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            try:
                os.makedirs(request["state"], mode=0o700, exist_ok=True)
                lock = os.open(f"{request['state']}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                fcntl.flock(lock, fcntl.LOCK_EX)
                theirs.send({"done": work()})
            except errors.OrlopError as error:
                theirs.send({"failed": error.message, "kind": error.kind, "hint": error.hint})
            except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
                text = f"cannot set up the network: {getattr(error, 'strerror', None) or error}"
                theirs.send({"failed": text, "kind": "error", "hint": None})
        finally:
            os._exit(0)
    theirs.close()
    received = ours.receive()
    ours.close()
    os.waitpid(child, 0)
    if received is None:
        raise errors.Unavailable("cannot set up the network: the process that does it was killed")
    if "failed" in received[0]:
        raise raised(received[0])
    done: dict[str, Any] = received[0]["done"]
    return done


def _hold(request: dict[str, Any]) -> dict[str, Any]:
    from pathlib import Path  # noqa: PLC0415

    from orlop.runtime.network import holder  # noqa: PLC0415

    state = Path(request["state"])
    process, note = holder.ensure(state, request["mapping"], lambda: _settled(state))
    return {"process": process, "note": note}


def _expect(request: dict[str, Any], shim: int) -> dict[str, Any]:
    """Hold the namespaces for a container that is on no network yet, as long as its shim lives."""
    from orlop.runtime.shim import state  # noqa: PLC0415

    state.write(f"{request['state']}/{_EXPECTED}{request['container']}", state.identity(shim), sync=False)
    return _hold(request)


def _attach(request: dict[str, Any], pid: int) -> dict[str, Any]:
    from orlop.runtime.network import holder  # noqa: PLC0415

    notes = []
    if request["rootless"]:
        held = _hold(request)
        notes += [held["note"]] if held["note"] and not all(each["internal"] for each in request["networks"]) else []
        if not os.path.samefile(f"/proc/{pid}/ns/user", f"/proc/{held['process']['pid']}/ns/user"):
            raise errors.Unavailable(
                "cannot connect the running container: it was started without user-defined networks, and the kernel "
                "ties no links between user namespaces of an ordinary user",
                hint="Stop it, connect it, and start it again.",
            )
        holder.join(held["process"])
    attached: list[dict[str, Any]] = []
    for network in request["networks"]:
        got, told = _segment(request, network).connect(request["container"], pid, network["names"])
        attached.append(got)
        notes += told
    _forget_expected(request)
    return {"attached": attached, "notes": notes}


def _detach(request: dict[str, Any], pid: int, rest: list[dict[str, Any]]) -> dict[str, Any]:
    _join_if_held(request)
    for network in request["networks"]:
        _segment(request, network).disconnect(request["container"])
    for network in rest:
        if _segment(request, network).set_default_route(pid):
            break
    _remove_idle(request)
    return {}


def _sweep(request: dict[str, Any], *, release: bool) -> dict[str, Any]:
    from pathlib import Path  # noqa: PLC0415

    from orlop.runtime.network import holder, segment  # noqa: PLC0415

    state = Path(request["state"])
    if release:
        _forget_expected(request)
        for network in segment.recorded(state).values():
            _segment(request, network).release(request["container"])
    if request["rootless"] and _idle(state):
        # Bridges and rules go with the namespace.
        holder.end(state)
        for network in segment.recorded(state).values():
            _segment(request, network).forget()
    elif not request["rootless"] or _join_if_held(request):
        _remove_idle(request)
    if not release:
        for network in request["networks"]:
            _segment(request, network).erase()
    return {}


def _join_if_held(request: dict[str, Any]) -> bool:
    from pathlib import Path  # noqa: PLC0415

    from orlop.runtime.network import holder  # noqa: PLC0415

    if not request["rootless"]:
        return True
    process = holder.find(Path(request["state"]))
    if process is not None:
        holder.join(process)
    return process is not None


def _remove_idle(request: dict[str, Any]) -> None:
    from pathlib import Path  # noqa: PLC0415

    from orlop.runtime.network import segment  # noqa: PLC0415

    for network in segment.recorded(Path(request["state"])).values():
        _segment(request, network).remove_if_idle()


def _segment(request: dict[str, Any], network: dict[str, Any]) -> Any:
    from pathlib import Path  # noqa: PLC0415

    from orlop.runtime.network import segment  # noqa: PLC0415

    return segment.Segment(Path(request["state"]) / network["id"], network, alone=request["rootless"])


def _forget_expected(request: dict[str, Any]) -> None:
    import contextlib  # noqa: PLC0415

    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{request['state']}/{_EXPECTED}{request['container']}")


def _settled(state: Path) -> bool:
    """What the keeper of the namespaces asks: nobody is on any network, and the records say so from now on."""
    lock = os.open(f"{state}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        idle = _idle(state)
    except OSError:
        idle = False
    if not idle:
        os.close(lock)  # else it stays locked until the keeper has ended
    return idle


def _idle(state: Path) -> bool:
    """Whether no living container is on any network, or about to be."""
    from orlop.runtime.network import holder, segment  # noqa: PLC0415
    from orlop.runtime.network.addresses import Ledger  # noqa: PLC0415
    from orlop.runtime.shim import state as processes  # noqa: PLC0415

    for path in state.glob(f"{_EXPECTED}*"):
        if holder.runs(processes.read(str(path))):
            return False
        path.unlink(missing_ok=True)
    return not any(Ledger(state / each).leases() for each in segment.recorded(state))
