"""Starting a container: its network, its published ports, its small files, and the shim that stays with it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime import container, memberships, restarts, userns
from orlop.runtime.container import Container
from orlop.runtime.linux.channel import Channel
from orlop.runtime.network import attach as networks
from orlop.runtime.network import helper, ports, resolv
from orlop.runtime.network.definitions import Definitions
from orlop.runtime.sessions import Session
from orlop.runtime.shim import state
from orlop.runtime.shims import Shims

# The state of all user-defined networks of this user, in the run directory.
NETWORKS = "networks"
_LONGEST_SOCKET = 107


class Starter:
    """Starts containers that do not run; whoever calls holds their lock."""

    def __init__(self, run_dir: Path, mapping: userns.IdMapping, shims: Shims, defined: Definitions) -> None:
        self._run_dir = run_dir
        self._defined = defined
        self._mapping = mapping
        self._shims = shims

    def start(
        self,
        found: Container,
        job: Job,
        *,
        foreground: bool,
        size: tuple[int, int] | None,
        other: Container | None = None,
        again: bool = False,
    ) -> Session | None:
        """See `Manager.start`; `other` is the running container whose network it shares.

        `again` is for a start by the container's policy, which counts on.
        """
        path = str(self._run_dir / f"{found.id[:12]}.sock")
        if len(os.fsencode(path)) > _LONGEST_SOCKET:
            raise errors.Invalid(f"the path {path} is too long for a socket", hint="Choose a shorter run directory.")
        request = self._networks(found)
        plan = self._plan(found, job, alone=request is None, shares=other is not None)
        if plan.note:
            job.note(plan.note, "warning")
        if not again:
            restarts.forget(found)
        for name in (state.EXIT, state.STATE, state.PAUSED, state.PORTS, state.ADDRESS, state.STOPPED):
            with contextlib.suppress(FileNotFoundError):
                (found.bundle / name).unlink()
        slirp = plan.means == "slirp4netns"
        if other is not None:
            _share_files(found, other)
        else:
            self._write_files(found, plan, helper.SLIRP_ADDRESS if slirp else None)
        listeners = _listen(found, plan, job)
        request = {
            "networks": request,
            "join": container.identity(other.bundle) if other is not None else None,
            "bundle": str(found.bundle),
            "socket": path,
            "mapping": self._mapping.to_json(),
            "network": plan.mode,
            "means": plan.means,
            "size": list(size) if size is not None else None,
            "client": foreground,
            "starter": restarts.starter(found, self._run_dir, self._defined.root),
            "proxy": ports.proxy_params(listeners, user_namespace=self._mapping.kind != "identity"),
        }
        opened = [each.port for each in listeners]
        rows = [[each.host, each.host_port, each.container_port, each.protocol] for each in opened]
        if rows:
            state.write(f"{found.bundle}/{state.PORTS}", {"ports": rows}, sync=False)
        ours, theirs = socket.socketpair() if foreground else (None, None)
        try:
            sockets = [each.fileno() for listener in listeners for each in listener.sockets]
            passed = [theirs.fileno(), *sockets] if theirs is not None else sockets
            channel = self._shims.request({"start": request}, passed)
            with contextlib.closing(channel):
                self._follow_start(found, plan, channel, job)
        except BaseException:
            if ours is not None:
                ours.close()
            raise
        finally:
            if theirs is not None:
                theirs.close()
            for each in listeners:
                each.close()
        return Session(ours) if ours is not None else None

    def _follow_start(self, found: Container, plan: networks.Plan, channel: Channel, job: Job) -> None:
        """Answer the shim until the program runs; raises what kept it from running."""
        while True:
            received = channel.receive()
            if received is None:
                raise errors.Unavailable(f"cannot start {found.name}: its shim ended without a word")
            message = received[0]
            if "network" in message:
                try:
                    answer = self._connect(found, plan, message["network"], job)
                except errors.OrlopError as error:
                    channel.send({"failed": error.message})
                    raise
                channel.send(answer)
            elif "failed" in message:
                raise _start_error(message)
            elif "started" in message:
                for note in message["notes"]:
                    job.note(note, "warning")
                for name in message["ignored"]:
                    job.note(
                        f"the {name.replace('_', '-')} limit is ignored: no control group can be made here", "warning"
                    )
                return

    def _connect(self, found: Container, plan: networks.Plan, pid: int, job: Job) -> dict[str, Any]:
        attachment = networks.attach(
            plan.mode, pid, container_id=found.id, state_dir=self._run_dir / "network", job=job, plan=plan
        )
        self._write_files(found, plan, attachment.address, gateway=attachment.host)
        (found.bundle / state.ADDRESS).write_text(attachment.address or "", encoding="ascii")
        return {"go": True}

    def _networks(self, found: Container) -> dict[str, Any] | None:
        """What the shim needs to put it on its user-defined networks, None when there are none."""
        if not found.memberships.networks:
            return None
        return memberships.request(
            directory=self._run_dir / NETWORKS,
            mapping=self._mapping.to_json(),
            container=found.id,
            name=found.name,
            networks=[(self._defined.find(each.id), each.aliases) for each in found.memberships.networks],
            resolver=memberships.upstream(found.spec.dns),
        )

    def _plan(self, found: Container, job: Job, *, alone: bool, shares: bool) -> networks.Plan:
        """The default network, unless it has others instead. An ordinary user's others have a way out of their own."""
        if shares:
            return networks.Plan("host", "container")
        if not alone and (not found.memberships.default or self._mapping.kind != "identity"):
            return networks.Plan("private", "networks")
        return networks.choose(found.spec.network, state_dir=self._run_dir / "network", job=job)

    @staticmethod
    def _write_files(found: Container, plan: networks.Plan, address: str | None, gateway: str | None = None) -> None:
        """Fill hosts, hostname and resolv.conf; in place, since the container has them mounted already."""
        hostname = found.spec.hostname
        shared = plan.means == "host"
        host_file = Path("/etc/hosts").read_text(encoding="utf-8") if shared and os.path.exists("/etc/hosts") else None
        reachable = "127.0.0.1" if shared else gateway or helper.SLIRP_GATEWAY
        extra = resolv.parse_extra_hosts(found.spec.extra_hosts, gateway=reachable)
        texts = {
            "hosts": resolv.hosts_text(hostname, address=address, extra=extra, host_file=host_file),
            "hostname": resolv.hostname_text(hostname),
            "resolv.conf": memberships.resolver_text(found.spec.dns)
            if found.memberships.networks
            else plan.resolver(found.spec.dns).text(),
        }
        for name, text in texts.items():
            (found.bundle / name).write_text(text, encoding="utf-8")


def _share_files(found: Container, other: Container) -> None:
    """Names mean to it what they mean to the container whose network it shares."""
    for name in ("hosts", "hostname", "resolv.conf"):
        (found.bundle / name).write_text((other.bundle / name).read_text(encoding="utf-8"), encoding="utf-8")


def _listen(found: Container, plan: networks.Plan, job: Job) -> list[ports.Listener]:
    """Take the container's ports of this host; a container that shares the host's network has no others."""
    wanted = [port for text in found.spec.ports for port in ports.parse(text)]
    if wanted and plan.means in ("host", "none", "container"):
        job.note(f"published ports are ignored: the network of the container is {plan.means}", "warning")
        return []
    listeners: list[ports.Listener] = []
    try:
        listeners.extend(map(ports.listen, wanted))
    except BaseException:
        for each in listeners:
            each.close()
        raise
    return listeners


def _start_error(message: Mapping[str, Any]) -> errors.OrlopError:
    kinds = {kind.kind: kind for kind in (errors.Unavailable, errors.Invalid, errors.Conflict, errors.NotFound)}
    error = kinds.get(message["kind"], errors.OrlopError)(message["failed"], hint=message["hint"])
    error.exit_code = message["code"]
    return error
