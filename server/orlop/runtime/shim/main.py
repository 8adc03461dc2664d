"""One shim: starts the container, stays with it, and writes down how it ended."""

from __future__ import annotations

import _signal  # `signal` would load the enumerations
import fcntl
import os
import time

from orlop.core import errors
from orlop.runtime import launch, remains
from orlop.runtime.init import sequence
from orlop.runtime.linux import cgroups, idmap, syscalls
from orlop.runtime.linux.channel import Channel, pair
from orlop.runtime.network import helper, membership, proxy
from orlop.runtime.shim import health, restarting, state, streams
from orlop.runtime.shim.log import JsonLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(request: dict[str, Any], reply: Channel, client: int | None, listeners: list[int]) -> None:
    """Serve one start of a container to its end.

    `request`: "bundle" (its directory), "socket" (where to listen), "mapping" (ids), "network" (mode of this start),
    "means" ("bridge": the starter attaches, asked by {"network": pid}; "slirp4netns", "pasta": the shim starts it),
    "size" (columns, rows or null), "proxy" (parameters of `network.proxy.main` for `listeners`, the host's ports),
    "networks" (user-defined ones, see `network.membership`; null for none), "join" (identity of a process to share the
    network of, or null), "starter" (how to have it started again, see `restarting.carry_out`).
    `client` is a connected foreground front-end. Answers on `reply`: {"started": pid} or {"failed": text, "code",
    "kind", "hint"}.
    """
    for signal in health.IGNORED:
        _signal.signal(signal, _signal.SIG_IGN)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    shim = _Shim(request, reply, client, listeners)
    try:
        shim.start()
    except errors.OrlopError as error:
        shim.failed({"failed": error.message, "code": launch.CANNOT_START, "kind": error.kind, "hint": error.hint})
    except OSError as error:
        text = f"cannot start the container: {(error.strerror or str(error)).lower()}"
        shim.failed({"failed": text, "code": launch.CANNOT_START, "kind": "error", "hint": None})
    else:
        shim.serve()


class _Shim:
    def __init__(self, request: dict[str, Any], reply: Channel, client: int | None, listeners: list[int]) -> None:
        self._request = request
        self._reply = reply
        self._client = client
        self._listeners = listeners
        self._bundle: str = request["bundle"]
        config = state.read(f"{self._bundle}/{state.CONFIG}") or {}
        self._config = config
        self._spec = {**config["spec"], "network": request["network"], "size": request["size"]}
        self._pid = 0
        self._init: dict[str, Any] = {}
        self._began = time.monotonic()
        self._terminal: int | None = None
        self._ends: dict[str, int | None] = {"stdin": None, "stdout": None, "stderr": None}
        self._helper: int | None = None
        self._group: cgroups.Group | None = None
        self._stubs: dict[str, Any] = {}
        self._proxy: int | None = None
        self._networks: dict[str, Any] | None = request.get("networks")
        self._join: dict[str, Any] | None = None
        self._notes: list[str] = []
        self._held: dict[str, Any] = {
            "shim": state.identity(os.getpid()),
            "init": None,
            "socket": request["socket"],
            "pasta": f"{self._bundle}/pasta.pid",
            "cgroups": [],
        }
        remains.note(self._bundle, self._held)
        self._listener = streams.listening_socket(request["socket"])

    def start(self) -> None:
        """Fork the container and bring it up; raises an error when it does not start."""
        stdio, inside = self._streams()
        self._group, ignored = cgroups.create(self._config["id"], self._spec["limits"], self._note_groups)
        self._join = self._request.get("join")
        flags = syscalls.CLONE_NEWNET
        if self._networks is not None:
            self._join, flags = membership.hold(self._networks), 0
        ours, theirs = pair()
        launcher = os.fork()
        if launcher == 0:
            self._launch(stdio, ours, theirs, flags)
        theirs.close()
        for fd in inside:
            os.close(fd)
        started = launch.converse(ours, attach_network=self._attach, on_terminal=self._take_terminal)
        ours.close()
        os.waitpid(launcher, 0)
        self._pid = started.pid or 0
        self._stubs = started.stubs
        if started.failure is not None:
            if self._pid:
                os.waitpid(self._pid, 0)
            self.failed(started.failure)
            os._exit(0)
        if not self._pid:
            raise errors.Unavailable("cannot start the container: its launcher ended without a word")
        self._publish()
        self._init = state.identity(self._pid)
        self._began = time.monotonic()
        started_at = time.time()
        state.write(
            f"{self._bundle}/{state.STATE}",
            {
                "init": self._init,
                "shim": state.identity(os.getpid()),
                "started": started_at,
                "socket": self._request["socket"],
                "means": self._request["means"],
                "cgroups": self._group.paths if self._group else {},
                "stubs": started.stubs,
            },
            sync=False,
        )
        health.fork(self._bundle, self._spec, self._init, started_at)
        self._tell({"started": self._pid, "ignored": ignored, "notes": self._notes})
        self._reply.close()

    def _note_groups(self, paths: list[str]) -> None:
        self._held["cgroups"] = paths
        remains.note(self._bundle, self._held)

    def _publish(self) -> None:
        """Fork the proxy of the published ports; it ends with the container."""
        if not self._listeners:
            return
        read, write = os.pipe2(os.O_CLOEXEC)
        pidfd = os.pidfd_open(self._pid)
        child = os.fork()
        if child == 0:
            try:
                syscalls.set_process_name("orlop-proxy")
                fds = [pidfd, read, *self._listeners]
                syscalls.close_from(3, fds)
                proxy.main(self._request["proxy"], fds)
            finally:
                os._exit(0)
        # Our end stays open as long as this process lives: the proxy sees both ends.
        for fd in (read, pidfd, *self._listeners):
            os.close(fd)
        self._listeners = []
        self._proxy = write

    def serve(self) -> None:
        """Carry bytes until the end, then record it."""
        log = JsonLog(f"{self._bundle}/{state.LOG}", **self._config.get("log", {}))
        pidfd = os.pidfd_open(self._pid)
        loop = streams.Streams(
            log, pidfd, terminal=self._terminal, close_stdin_with_client=self._client is not None, **self._ends
        )
        if self._client is not None:
            loop.add(self._client, primary=True)
        loop.listen(self._listener)
        loop.run()
        log.close()
        # Not reaped before its end is on disk: until then everybody sees it as alive.
        info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        assert info is not None
        code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        status = launch.exit_json(code, None)
        status["oom"] = cgroups.Group(self._groups()).out_of_memory()
        self._clean_up()
        delay = self._end(status)
        os.waitpid(self._pid, 0)
        watched = loop.watched()
        loop.finish(status["code"])
        if delay is not None:
            syscalls.close_from(3)
            restarting.carry_out(self._bundle, delay, self._request["starter"])
            return
        if self._config.get("auto_remove") and not watched:
            self._discard()

    def _discard(self) -> None:
        """Nobody else will: make the container disappear. What is left is deleted by whoever tidies up next."""
        try:
            lock = os.open(f"{self._bundle}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(self._bundle, state.gone(self._bundle))
        except OSError:
            return  # it was removed meanwhile

    def failed(self, failure: dict[str, Any]) -> None:
        """Record and tell that the container did not start."""
        remains.end(self._held["init"])
        self._clean_up()
        failed = {**launch.exit_json(0, failure), "finished": time.time()}
        state.write(f"{self._bundle}/{state.EXIT}", failed)
        self._tell(failure)

    def _tell(self, message: dict[str, Any]) -> None:
        """The starter may be gone; the container goes on, and everything is on disk as well."""
        try:
            self._reply.send(message)
        except OSError:
            return

    def _end(self, status: dict[str, Any]) -> float | None:
        """Record the end; returns the seconds until the next start, None when there is none."""
        try:
            ran = time.monotonic() - self._began
            return restarting.end(self._bundle, {**status, "finished": time.time()}, self._init, ran)
        except FileNotFoundError:
            return None  # it was removed

    def _clean_up(self) -> None:
        """Before the end is on disk: from then on the next start may make the same things again."""
        if self._helper is not None:
            os.close(self._helper)
        if self._networks is not None:
            membership.leave(self._networks)
        self._held["cgroups"] = sorted({*self._held["cgroups"], *self._groups().values()})
        remains.give_back(self._bundle, self._held, self._stubs)

    def _groups(self) -> dict[str, str]:
        """The control groups of the run: `update` may have made some since the start."""
        last = state.read(f"{self._bundle}/{state.STATE}") if self._init else None
        found: dict[str, str] = (last or {}).get("cgroups") or (self._group.paths if self._group else {})
        return found

    def _streams(self) -> tuple[launch.Stdio | None, list[int]]:
        """The program's streams, and those descriptors of them that are not ours to keep."""
        if self._spec["tty"]:
            return None, []
        if self._spec["stdin_open"]:
            stdin, self._ends["stdin"] = os.pipe2(os.O_CLOEXEC)
        else:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._ends["stdout"], stdout = os.pipe2(os.O_CLOEXEC)
        self._ends["stderr"], stderr = os.pipe2(os.O_CLOEXEC)
        return launch.Stdio(stdin, stdout, stderr), [stdin, stdout, stderr]

    def _launch(self, stdio: launch.Stdio | None, ours: Channel, theirs: Channel, join_flags: int) -> None:
        """In a child: become root of the user namespace, leave the first process behind, and end."""

        def work() -> None:
            for signal in health.IGNORED:
                _signal.signal(signal, _signal.SIG_DFL)
            if self._group is not None:
                self._group.join(os.getpid())
            if self._join is None:
                idmap.enter(self._request["mapping"])
            else:
                from orlop.runtime.network import holder  # noqa: PLC0415 - few containers share

                rootless = self._request["mapping"]["kind"] != "identity"
                holder.enter(self._join, join_flags | (syscalls.CLONE_NEWUSER if rootless else 0))
            pid = launch.fork_init(self._spec, stdio, ours, theirs, die_with_me=False)  # type: ignore[arg-type]
            theirs.send({"init": pid})
            os._exit(0)

        sequence.tell_failures(theirs, work)

    def _take_terminal(self, master: int) -> None:
        self._terminal = master

    def _attach(self, pid: int) -> dict[str, Any] | None:
        # Before its program may run: from then on it would live on without us.
        self._held["init"] = state.identity(pid)
        remains.note(self._bundle, self._held)
        means = self._request["means"]
        if means == "bridge":
            self._reply.send({"network": pid})
            received = self._reply.receive()
            if received is None or "failed" in received[0]:
                os.kill(pid, 9)
                reason = received[0]["failed"] if received else "whoever started it is gone"
                raise errors.Unavailable(f"cannot start the container: {reason}")
        elif means in (helper.SLIRP4NETNS, helper.PASTA):
            self._start_helper(means, pid)
        if self._networks is not None:
            self._attach_networks(self._networks, pid)
        return None

    def _attach_networks(self, networks: dict[str, Any], pid: int) -> None:
        """The links of user-defined networks, and the name server; needs nobody else, so a restart does the same."""
        try:
            answer = membership.attach(networks, pid)
        except errors.OrlopError:
            os.kill(pid, 9)
            raise
        self._notes = answer["notes"]
        state.write_own_addresses(
            self._bundle, self._spec["hostname"], [each["address"] for each in answer["attached"]]
        )
        membership.serve_names(networks, pid)

    def _start_helper(self, means: str, pid: int) -> None:
        """The network helper lives as long as the descriptor that only this process holds."""
        complaint = ""
        for sandbox in (True, False) if means == helper.SLIRP4NETNS else (True,):
            log = os.memfd_create("network-helper", os.MFD_CLOEXEC)
            try:
                _, ready, self._helper = helper.start(
                    means, pid, pid_file=self._held["pasta"], log_fd=log, sandbox=sandbox
                )
                helper.is_ready(ready, helper.READY_SECONDS, last=True)
                os.close(ready)
            except OSError as error:
                said = os.pread(log, 4096, 0).decode("utf-8", "replace").strip()
                complaint = said.rpartition("\n")[2] or str(error)
            else:
                return
            finally:
                os.close(log)
        os.kill(pid, 9)
        raise errors.Unavailable(
            f"cannot start {means} for the container: {complaint}", hint="Use the host's network for this container."
        )
