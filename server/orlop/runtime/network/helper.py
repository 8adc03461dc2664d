"""User-mode network stacks for containers of ordinary users: slirp4netns, or pasta where that is missing.

A helper is started by whoever lives as long as the container (the shim, or a build), says on one descriptor when the
network is ready, and ends when the other end of a second one closes. Only the standard library: the shim uses this.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SLIRP4NETNS, PASTA = "slirp4netns", "pasta"
TUN = "/dev/net/tun"
# What slirp4netns gives the container (its manual page): the host is reached by its own outer addresses only.
SLIRP_ADDRESS, SLIRP_GATEWAY, SLIRP_DNS = "10.0.2.100", "10.0.2.2", "10.0.2.3"
READY_SECONDS = 10.0
# Python ignores it, and pasta refuses to start where it is ignored already.
_SIGPIPE = 13
_SIGTERM = 15

# pasta goes to the background once it is ready, and does not end with the namespace: a shell looks after it.
_PASTA_SCRIPT = """
pid_file=$1 ready=$2 exit=$3; shift 3
"$@" && read -r pid <"$pid_file" || exit 1
echo 1 >"/proc/self/fd/$ready"
read -r _ <"/proc/self/fd/$exit"
read -r name <"/proc/$pid/comm" && case $name in pasta*|passt*) kill "$pid" ;; esac
"""


class HelperFailed(OSError):
    """The helper ended or fell silent before the network was ready; the text is what it complained about."""


def choose(directories: Sequence[str] | None = None, tun: str = TUN) -> tuple[str | None, str, str]:
    """(the helper to use, why there is none, what to do about it); the last two are empty when there is one.

    It must be installed, and this user must be able to open the TUN device.
    """
    # As real root, pasta becomes nobody and then cannot enter root's namespaces.
    names = (SLIRP4NETNS,) if _is_real_root() else (SLIRP4NETNS, PASTA)
    found = next((name for name in names if find(name, directories)), None)
    if found is None:
        return None, "slirp4netns is not installed", "Install it: `sudo apt-get install slirp4netns`."
    try:
        os.close(os.open(tun, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return None, f"{tun} does not exist", "Load the kernel's driver: `sudo modprobe tun`."
    except PermissionError:
        return None, f"{tun} may not be opened", f"Open it to users: `sudo chmod 666 {tun}`."
    except OSError as error:
        return None, f"{tun} cannot be opened ({error.strerror})", "Load the kernel's driver: `sudo modprobe tun`."
    return found, "", ""


def find(name: str, directories: Sequence[str] | None = None) -> str | None:
    """Where a program is, on PATH or in the usual places."""
    usual = [*os.get_exec_path(), "/usr/bin", "/usr/local/bin", "/usr/sbin"]
    for directory in usual if directories is None else directories:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def helper_argv(
    name: str,
    pid: int,
    *,
    ready_fd: int,
    exit_fd: int,
    pid_file: str,
    sandbox: bool = True,
    directories: Sequence[str] | None = None,
) -> list[str]:
    """The command line of a helper for the network namespace of process `pid`; the first word is its full path.

    Both descriptors must be inherited by the new process: it writes `1` to `ready_fd` and ends when the last writer of
    the pipe behind `exit_fd` is gone. `pid_file` is a path that nothing else uses, for `end`. `sandbox` shuts
    slirp4netns into a mount namespace of its own, which does not work everywhere. Raises `FileNotFoundError`.
    """
    program = find(name, directories)
    if program is None:
        raise FileNotFoundError(2, "No such file or directory", name)
    if name == SLIRP4NETNS:
        options = ["--configure", "--mtu=65520", "--disable-host-loopback", *(["--enable-sandbox"] if sandbox else [])]
        return [program, *options, "-r", str(ready_fd), "-e", str(exit_fd), str(pid), "tap0"]
    pasta = [program, "--config-net", "-q", "-t", "none", "-u", "none", "-T", "none", "-U", "none"]
    pasta += ["--no-map-gw", "-P", pid_file, str(pid)]
    return ["/bin/sh", "-c", _PASTA_SCRIPT, "orlop-pasta", pid_file, str(ready_fd), str(exit_fd), *pasta]


def start(
    name: str, pid: int, *, pid_file: str, log_fd: int, sandbox: bool = True, directories: Sequence[str] | None = None
) -> tuple[int, int, int]:
    """Start a helper: (its pid, descriptor to wait for readiness on, descriptor to close for its end).

    What it says goes to `log_fd`. It is a child of this process, to be waited for. Raises `OSError`.
    """
    ready, ready_end = os.pipe2(os.O_CLOEXEC)
    exit_end, alive = os.pipe2(os.O_CLOEXEC)
    try:
        # As 3 and 4 in the new process; parked high first, so that neither overwrites the other on its way.
        argv = helper_argv(
            name, pid, ready_fd=3, exit_fd=4, pid_file=pid_file, sandbox=sandbox, directories=directories
        )
        parked = [_dup_high(fd) for fd in (ready_end, exit_end, log_fd)]
        try:
            child = os.posix_spawn(
                argv[0],
                argv,
                dict(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, parked[2], 1),
                    (os.POSIX_SPAWN_DUP2, parked[2], 2),
                    (os.POSIX_SPAWN_DUP2, parked[0], 3),
                    (os.POSIX_SPAWN_DUP2, parked[1], 4),
                ],
                setsid=True,
                setsigdef=(_SIGPIPE,),
            )
        finally:
            for fd in parked:
                os.close(fd)
    except BaseException:
        os.close(ready)
        os.close(alive)
        raise
    finally:
        os.close(ready_end)
        os.close(exit_end)
    return child, ready, alive


def is_ready(ready_fd: int, seconds: float, *, last: bool = False) -> bool:
    """Wait a while for the network: True when it is there, False for not yet.

    Raises `HelperFailed` when the helper has ended, or is still not ready although this was the `last` time to ask.
    """
    watcher = select.poll()
    watcher.register(ready_fd, select.POLLIN)
    if not watcher.poll(seconds * 1000):
        if last:
            raise HelperFailed(110, f"it was not ready within {READY_SECONDS:.0f} s")
        return False
    if os.read(ready_fd, 1) != b"1":
        raise HelperFailed(32, "it ended before the network was ready")
    return True


def end(pid_file: str) -> None:
    """See to it that pasta ends, though the shell that looks after it was killed, and forget its pid file."""
    try:
        with open(pid_file, "rb") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        # By its own pid file, since the pid may be another process' by now.
        if os.fsencode(pid_file) in words:
            os.kill(pid, _SIGTERM)
    except (OSError, ValueError):
        pass
    try:
        os.unlink(pid_file)
    except OSError:
        return  # slirp4netns has none


def _is_real_root() -> bool:
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as file:
        return file.read().split() == ["0", "0", "4294967295"]


def _dup_high(fd: int) -> int:
    import fcntl  # noqa: PLC0415 - only here

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
