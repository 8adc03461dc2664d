"""A machine of the benchmark's own: everything that it starts ends with it, however it ends.

As root its processes, mounts and links are in namespaces of their own, so that no daemon, container, packet rule or
file of it outlives it or meets those of this host.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_INSIDE = "ORLOP_BENCH_INSIDE"
_MAKE = 'mount -t tmpfs -o mode=0755,size=12G run /run && ip link set lo up && exec "$@"'
_PR_SET_PDEATHSIG = 1


def enter() -> None:
    """Go on in such a machine if this process is root; a process of the host stays and waits.

    That one ends, and the machine with it, as soon as whoever started it is gone.
    """
    if os.geteuid() != 0 or os.environ.get(_INSIDE):
        return
    watched = [os.pidfd_open(pid) for pid in _starters()]
    words = [
        "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", _MAKE, "sh",
        sys.executable, *sys.argv,
    ]  # fmt: skip
    inner = subprocess.Popen(words, env={**os.environ, _INSIDE: "1"}, preexec_fn=_die_with_parent)  # noqa: PLW1509
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: inner.kill())
    threading.Thread(target=_watch, args=(watched, inner), daemon=True).start()
    raise SystemExit(inner.wait())


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder in memory; a file system that has seen many files come and go makes every tool slower."""
    if os.environ.get(_INSIDE):
        path = Path("/run/bench")
        path.mkdir(exist_ok=True)
        yield path
    else:
        path = Path(tempfile.mkdtemp(prefix="orlop-bench-", dir="/dev/shm"))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _starters() -> list[int]:
    """The parent, which is a script, and make if that started it."""
    parent = os.getppid()
    above = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
    known = above > 1 and Path(f"/proc/{above}/comm").read_text().strip() in ("make", "gmake")
    return [parent, *([above] if known else [])]


def _watch(pidfds: list[int], inner: subprocess.Popen[bytes]) -> None:
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    poll.poll()
    inner.kill()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
