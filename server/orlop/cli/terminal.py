"""This terminal while a container's program has it: raw keys, sizes, signals, and everything as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from orlop.core.job import Job
from orlop.runtime.sessions import Session

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def size() -> tuple[int, int]:
    """(columns, rows) of the terminal on standard output or input; 80 by 24 without one."""
    for fd in (1, 0, 2):
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(fd)
            if columns and rows:
                return columns, rows
    return 80, 24


@contextlib.contextmanager
def raw(*, enabled: bool) -> Iterator[None]:
    """Hand every key to the program; the terminal is as before afterwards, whatever happens."""
    if not enabled or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def following_size(resize: Callable[[int, int], None], *, enabled: bool) -> Iterator[None]:
    """Tell the program whenever this terminal changes its size, and once at the start."""
    if not enabled:
        yield
        return
    previous = signal.signal(signal.SIGWINCH, lambda *_: resize(*size()))
    resize(*size())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, previous)


@contextlib.contextmanager
def forwarding(send: Callable[[int], None], *, interrupt: bool) -> Iterator[None]:
    """Hand the signals this process gets to the program, Ctrl+C too where no terminal turns it into a key."""

    def forward(number: int, _: FrameType | None) -> None:
        send(number)

    wanted = (*_FORWARDED, signal.SIGINT) if interrupt else _FORWARDED
    previous = {number: signal.signal(number, forward) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def pump(session: Session, *, tty: bool, interactive: bool, job: Job) -> int | None:
    """Be the program's terminal until it ends; its exit code, None when its shim went away."""
    sys.stdout.flush()
    sys.stderr.flush()
    with (
        raw(enabled=tty and interactive),
        following_size(session.resize, enabled=tty),
        forwarding(session.signal, interrupt=not (tty and interactive)),
    ):
        return session.pump(0 if interactive else None, 1, 2, job)
