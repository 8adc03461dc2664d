"""From a fresh child to the user's program: namespaces, file system, identity, confinement, execve.

It talks to its launcher over a channel: says "namespaces" once its network namespace exists, sends the terminal's
master, waits for "go", and sends "failed" with text and code when the program cannot start. The end of the channel
without that means the program runs.
"""

from __future__ import annotations

import fcntl
import os
import stat
from _socket import AF_INET, SOCK_DGRAM
from _socket import socket as Socket  # noqa: N812 - the class under the `socket` module, whose imports are slow
from struct import pack

from orlop.core import errors
from orlop.runtime.init import confine, console, identity, program, reaper
from orlop.runtime.init.filesystem import Filesystem
from orlop.runtime.init.freeze import freeze_imports
from orlop.runtime.init.sources import DEVICES, Sources
from orlop.runtime.linux import capabilities, cgroups, mounts, namespaces, paths, signals, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from orlop.runtime.linux.channel import Channel
    from orlop.runtime.spec import SpecJson

CANNOT_START = 125
_SIGKILL = 9
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x1 | 0x40


def run(spec: SpecJson, stdio: tuple[int, int, int] | None, channel: Channel, *, die_with: int | None) -> NoReturn:
    """Be the first process of a container; `stdio` None means a terminal. `die_with` is the parent to die with."""
    tell_failures(channel, lambda: _run(spec, stdio, channel, die_with))


def tell_failures(channel: Channel, work: Callable[[], None]) -> NoReturn:
    """Do `work`, which should end in the user's program; if it does not, say why and end the process."""
    code = CANNOT_START
    try:
        work()
    except program.CannotExecute as error:
        code = error.code
        _tell(channel, {"failed": error.message, "code": code, "kind": "invalid", "hint": None})
    except errors.OrlopError as error:
        _tell(channel, {"failed": error.message, "code": code, "kind": error.kind, "hint": error.hint})
    except OSError as error:
        path = f" ({error.filename})" if error.filename else ""
        text = f"cannot start the container: {(error.strerror or str(error)).lower()}{path}"
        _tell(channel, {"failed": text, "code": code, "kind": "error", "hint": None})
    except BaseException as error:  # noqa: BLE001 - nothing above this could report it
        text = f"cannot start the container: {type(error).__name__}: {error}"
        _tell(channel, {"failed": text, "code": code, "kind": "error", "hint": None})
    finally:
        os._exit(code)


def _run(spec: SpecJson, stdio: tuple[int, int, int] | None, channel: Channel, die_with: int | None) -> None:
    freeze_imports()
    syscalls.forget_arguments("orlop-init")
    if die_with is not None:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() not in (0, die_with):  # 0: the parent is in an outer pid namespace, as it should be
            os._exit(CANNOT_START)
    os.setsid()
    if stdio is not None:
        take_streams(stdio)
    syscalls.close_on_exec_from(3)
    limited = namespaces.in_user_namespace() or cgroups.devices_limited()
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWCGROUP
    if spec["network"] != "host":
        flags |= syscalls.CLONE_NEWNET
    syscalls.unshare(flags)
    channel.send({"namespaces": True})
    mounts.make_private()
    tree = Filesystem(spec, Sources(spec), nodes=limited)
    tree.assemble()
    stubs = tree.stubs.record()
    if stubs:
        channel.send({"stubs": stubs})
    tree.enter()
    # The rest looks at what the image says, whose links may lead to /proc/self/fd: nothing of the host is open there.
    syscalls.close_from(3, (channel.fileno(), *tree.held()))
    own_null()
    if spec["hostname"]:
        syscalls.sethostname(spec["hostname"])
    if spec["domainname"]:
        syscalls.setdomainname(spec["domainname"])
    _write_score(spec)
    if spec["network"] != "host":
        _loopback_up()
    slave = _terminal(channel, spec.get("size")) if stdio is None else None
    os.umask(0o022)
    _keyring()
    answer = _wait_for_go(channel)
    tree.rewrite(answer.get("files") or {})
    confine.set_limits(spec["rlimits"])
    who = identity.resolve(spec["user"], spec["groups"])
    enter_directory(spec["cwd"], make=True)
    if slave is not None:
        console.take(slave)
    become_program(spec, who, tty=slave is not None, dying=die_with is not None, nodes=limited)


def become_program(spec: SpecJson, who: identity.Identity, *, tty: bool, dying: bool, nodes: bool) -> None:
    """Confine this process and execute the program; shared with processes that join a running container.

    `dying` ends the program with its parent, `nodes` lets it keep CAP_MKNOD. Raises `program.CannotExecute` or an
    error of the confinement.
    """
    _own_streams(who.uid)
    env = program.environment(spec["env"], who.home)
    hidden = not namespaces.in_user_namespace() and bool(capabilities.held()[0] >> capabilities.SYS_PTRACE & 1)
    confine.confine(spec, who, nodes=nodes)
    if dying:  # once more: the kernel forgets it when the user changes
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _SIGKILL)
    file = program.find(spec["args"][0] if spec["args"] else "", env.get("PATH", program.DEFAULT_PATH))
    if spec["init"]:
        reaper.stay_as_reaper(tty=tty, hidden=hidden)
    signals.restore_defaults()
    program.execute(file, spec["args"], env)


def take_streams(stdio: tuple[int, int, int]) -> None:
    """Put the three streams at 0, 1 and 2, wherever they are now."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in stdio]
    for number, fd in enumerate(high):
        os.dup2(fd, number)
        os.close(fd)


def own_null() -> None:
    """Put the container's null device in the place of the host's, whose mode and owner root inside could change."""
    null = os.makedev(*DEVICES["null"])
    streams = [number for number in range(3) if _device(number) == null]
    if not streams:
        return
    try:
        found = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        own = os.open(f"/proc/self/fd/{found}", os.O_RDWR | os.O_CLOEXEC) if _device(found) == null else found
    except OSError:
        return  # a mount lies over /dev, and whoever wanted it so has given what is in it
    if own != found:
        for number in streams:
            os.dup2(own, number)
        os.close(own)
    os.close(found)


def _device(fd: int) -> int:
    status = os.fstat(fd)
    return status.st_rdev if stat.S_ISCHR(status.st_mode) else 0


def _own_streams(uid: int) -> None:
    """Let the user open /dev/stdout again, which checks the owner of the pipe or terminal."""
    if uid == 0:
        return
    null = os.stat("/dev/null").st_rdev
    for number in range(3):
        try:
            if os.fstat(number).st_rdev != null:
                os.fchown(number, uid, -1)
        except OSError:
            continue  # not ours to give away; it stays usable through the descriptor


def _terminal(channel: Channel, size: tuple[int, int] | None) -> int:
    master, slave = console.open_pair(size)

    def bind(source: int, target: str) -> None:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.attach(syscalls.open_tree(f"/proc/self/fd/{source}", recursive=False), root, target)
        os.close(root)

    console.bind_console(slave, bind)
    channel.send({"terminal": True}, [master])
    os.close(master)
    return slave


def _wait_for_go(channel: Channel) -> dict[str, Any]:
    received = channel.receive()
    if received is None or not received[0].get("go"):
        os._exit(CANNOT_START)
    return received[0]


def _loopback_up() -> None:
    socket = Socket(AF_INET, SOCK_DGRAM | os.O_CLOEXEC, 0)
    fcntl.ioctl(socket.fileno(), _SIOCSIFFLAGS, pack("16sh14x", b"lo", _IFF_UP_RUNNING))
    socket.close()


def _write_score(spec: SpecJson) -> None:
    """The score for the out-of-memory killer; a mount may lie over /proc by now (CVE-2025-52881)."""
    if spec["oom_score_adj"] is None:
        return
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        if syscalls.filesystem_magic(fd) != syscalls.PROC_SUPER_MAGIC:
            raise errors.Unavailable("cannot set oom_score_adj: /proc is not the kernel's")
        os.write(fd, str(spec["oom_score_adj"]).encode())
    finally:
        os.close(fd)


def _keyring() -> None:
    try:
        syscalls.join_session_keyring("container")
    except OSError:
        return  # a kernel without keys, or an outer filter that forbids them: then there are none to leak


def enter_directory(path: str, *, make: bool) -> None:
    """Go to the working directory, made first if asked; it must be inside the root (CVE-2024-21626)."""
    if not path.startswith("/"):
        path = f"/{path}"
    try:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = paths.make_directories(root, path) if make else paths.open_inside(root, path, os.O_PATH | os.O_DIRECTORY)
        os.close(root)
        os.fchdir(fd)
        os.close(fd)
        inside = os.getcwd().startswith("/")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.Invalid(f"cannot enter the working directory {path}: {reason}") from None
    if not inside:
        raise errors.Invalid(f"cannot enter the working directory {path}: it is outside of the container")


def _tell(channel: Channel, message: dict[str, Any]) -> None:
    try:
        channel.send(message)
    except OSError:
        return
