"""A first process that collects orphans and passes signals on, for programs that do not expect to be pid 1."""

from __future__ import annotations

import _signal  # `signal` would load the enumerations
import os

from orlop.runtime.linux import syscalls

_SIGCHLD, _SIGTTOU, _SIGTTIN = _signal.SIGCHLD, _signal.SIGTTOU, _signal.SIGTTIN


def stay_as_reaper(*, tty: bool, hidden: bool) -> bool:
    """Fork: the child returns True and goes on to become the program; the parent stays and ends with its code.

    Called after all power is given up, so pid 1 has no more of it than the program. It never executes anything, so it
    lets go of what it holds by itself: programs may open whatever is in /proc/1/fd. `hidden` keeps its memory from
    them too, which takes real root to look into the process from outside.
    """
    everything = _signal.valid_signals()
    _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        if tty:
            _signal.signal(_SIGTTOU, _signal.SIG_IGN)
            _foreground()
        return True
    syscalls.close_from(3)
    syscalls.set_process_name("orlop-init")
    # Said both ways: becoming another user has reset it.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0 if hidden else 1)
    while True:
        signal = int(_signal.sigwait(everything))
        if signal != _SIGCHLD:
            if signal not in (_SIGTTOU, _SIGTTIN):
                _kill(child, signal)
            continue
        _collect(child)


def _foreground() -> None:
    try:
        os.tcsetpgrp(0, os.getpid())
    except OSError:
        return


def _kill(pid: int, signal: int) -> None:
    try:
        os.kill(-pid, signal)
    except OSError:
        try:
            os.kill(pid, signal)
        except OSError:
            return


def _collect(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(0)
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
