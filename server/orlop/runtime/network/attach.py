"""Choosing a container's network and attaching it: the one entry to this package for whoever starts containers.

Before the container: `choose`. While its first process waits, in its new network namespace: `attach`. After its end:
`Attachment.close`. `bridge.cleanup` takes the bridge and every rule away again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime.linux import capabilities
from orlop.runtime.network import bridge, helper, links, netlink, resolv
from orlop.runtime.network.addresses import Ledger

Mode = Literal["none", "host", "private"]
# `networks`: user-defined ones alone (`membership`); `container`: that of another container.
Means = Literal["none", "host", "bridge", "slirp4netns", "pasta", "networks", "container"]

_NS_GET_USERNS = 0xB701


@attrs.frozen(slots=True)
class Plan:
    """What a container gets: `mode` is what its spec must say (`private`: a namespace of its own), `means` how.

    `note` is one line for people when it is not what they asked for.
    """

    mode: Mode
    means: Means
    note: str | None = None

    def resolver(self, servers: tuple[str, ...] = ()) -> resolv.Resolver:
        """The container's resolv.conf; `servers` are those asked for by name."""
        forwarder = helper.SLIRP_DNS if self.means == "slirp4netns" else None
        return resolv.for_container(shares_host=self.means == "host", servers=servers, forwarder=forwarder)


@attrs.frozen(slots=True)
class Attachment:
    """A container's network while it lives: its IPv4 address and gateway (None for none of its own), name servers.

    `host` is the address by which the container reaches this host (`host-gateway`).
    """

    address: str | None
    gateway: str | None
    dns: tuple[str, ...]
    note: str | None
    means: Means
    host: str | None
    _release: Callable[[], None] = attrs.field(repr=False, alias="release")

    def close(self) -> None:
        """Give back what the attachment holds; the container has ended or is about to. Never raises."""
        self._release()


def choose(mode: Mode, *, state_dir: Path, job: Job) -> Plan:
    """How a container gets the network `mode`, the bridge being made ready if that is how.

    As root a bridge; otherwise, or where this kernel or confinement has none, slirp4netns or pasta; where those cannot
    run either the host's network, which the plan's note explains. `state_dir` is one directory for all containers of
    this user on this host. Raises nothing but `Cancelled`.
    """
    if mode != "private":
        return Plan(mode, mode)
    job.checkpoint()
    reasons = []
    if _owns_network():
        try:
            bridge.ensure(state_dir, job)
        except (OSError, errors.Unavailable) as error:
            reasons.append(f"no bridge: {error.strerror if isinstance(error, OSError) else error.message}")
        else:
            return Plan("private", "bridge")
    name, reason, fix = helper.choose()
    if name == helper.SLIRP4NETNS:
        return Plan("private", "slirp4netns")
    if name == helper.PASTA:
        return Plan("private", "pasta")
    reasons.append(reason)
    return Plan("host", "host", f"using the host's network: {'; '.join(reasons)}. {fix}")


def attach(
    mode: Mode, pid: int, *, container_id: str, state_dir: Path, job: Job, plan: Plan | None = None
) -> Attachment:
    """Connect the network namespace of process `pid`; `plan` is what `choose` said for the same mode.

    Without a plan one is made; `Unavailable` is raised when it says that the container should have shared the host's
    network, since it is too late then. A namespace with mode `none` has only its loopback, which its first process
    switches on itself (`netlink.loopback_up`).
    """
    chosen = plan or choose(mode, state_dir=state_dir, job=job)
    if chosen.means != "bridge":
        job.checkpoint()
    if chosen.means == "none":
        return Attachment(None, None, (), None, "none", None, _nothing)
    if chosen.means == "host":
        if mode == "private" and plan is None:
            raise errors.Unavailable(f"cannot attach process {pid} to a network: {chosen.note}")
        return Attachment(None, None, chosen.resolver().servers, chosen.note, "host", "127.0.0.1", _nothing)
    if chosen.means == "bridge":
        return _attach_bridge(chosen, pid, container_id, state_dir, job)
    return _attach_helper(chosen, pid, state_dir, job)


def _attach_bridge(plan: Plan, pid: int, container_id: str, state_dir: Path, job: Job) -> Attachment:
    ledger = Ledger(state_dir)
    try:
        ours, address = _connect(ledger, pid, container_id, state_dir, job)
    except errors.Unavailable:
        # Somebody may have taken the bridge away meanwhile.
        ours, address = _connect(ledger, pid, container_id, state_dir, job)

    def release() -> None:
        # The links vanish with the namespace; removing them here would cost more than everything else.
        _release(ledger, address, pid)

    gateway, resolver = str(ours.gateway), plan.resolver()
    return Attachment(str(address), gateway, resolver.servers, resolver.note, "bridge", gateway, release)


def _connect(
    ledger: Ledger, pid: int, container_id: str, state_dir: Path, job: Job
) -> tuple[links.Bridge, IPv4Address]:
    ours = bridge.ensure(state_dir, job)
    with ledger.locked():
        address = ledger.lease(ours.subnet, container_id, pid)
    try:
        job.checkpoint()
        with netlink.Channel() as channel:
            links.connect(channel, ours, pid, address)
    except BaseException:
        _release(ledger, address, pid)
        raise
    return ours, address


def _release(ledger: Ledger, address: IPv4Address, pid: int) -> None:
    with contextlib.suppress(OSError, errors.OrlopError):
        ledger.release(address, pid)


def _attach_helper(plan: Plan, pid: int, state_dir: Path, job: Job) -> Attachment:
    try:
        alive = _start_helper(plan.means, pid, state_dir, job, sandbox=True)
    except errors.Unavailable:
        if plan.means != helper.SLIRP4NETNS:
            raise
        alive = _start_helper(plan.means, pid, state_dir, job, sandbox=False)
    closed = threading.Lock()

    def release() -> None:
        if closed.acquire(blocking=False):
            os.close(alive)
            helper.end(_pid_file(state_dir, pid))

    resolver = plan.resolver()
    with netlink.Channel() as channel:
        host = links.own_address(channel)
    slirp = plan.means == helper.SLIRP4NETNS
    address, gateway = (helper.SLIRP_ADDRESS, helper.SLIRP_GATEWAY) if slirp else (host, None)
    return Attachment(address, gateway, resolver.servers, resolver.note, plan.means, host, release)


def _start_helper(name: str, pid: int, state_dir: Path, job: Job, *, sandbox: bool) -> int:
    """Start the helper and wait until the network is there; returns the descriptor that keeps it running."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = os.memfd_create("network-helper", os.MFD_CLOEXEC)
    try:
        pid_file = _pid_file(state_dir, pid)
        child, ready, alive = helper.start(name, pid, pid_file=pid_file, log_fd=log, sandbox=sandbox)
        # Its end is nobody's business, but a child that nobody waits for stays a zombie.
        threading.Thread(target=_reap, args=(child,), name=f"reap-{name}", daemon=True).start()
        deadline = time.monotonic() + helper.READY_SECONDS
        try:
            while not helper.is_ready(ready, 0.05, last=time.monotonic() > deadline):
                job.checkpoint()
        except BaseException:
            os.close(alive)
            raise
        finally:
            os.close(ready)
    except OSError as error:
        said = os.pread(log, 4096, 0).decode(errors="replace").strip()
        raise errors.Unavailable(
            f"cannot start {name} for a container: {error.strerror or error}",
            hint="Use the host's network for this container.",
            detail=said or None,
        ) from error
    finally:
        os.close(log)
    return alive


def _pid_file(state_dir: Path, pid: int) -> str:
    return str(state_dir / f"pasta-{pid}.pid")


def _reap(child: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _nothing() -> None:
    """Release nothing."""


def _owns_network() -> bool:
    """Whether this process may make links: CAP_NET_ADMIN, in the user namespace that owns its network namespace."""
    if not capabilities.held()[0] >> capabilities.NET_ADMIN & 1:
        return False
    with open("/proc/thread-self/ns/net", "rb") as netns, open("/proc/thread-self/ns/user", "rb") as own:
        try:
            owner = fcntl.ioctl(netns, _NS_GET_USERNS)
        except OSError:  # EPERM: it belongs to a namespace outside of ours
            return False
        try:
            return os.path.sameopenfile(owner, own.fileno())
        finally:
            os.close(owner)
