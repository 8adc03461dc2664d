"""The container's terminal, opened from its own devpts, never the user's."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# asm-generic/ioctls.h
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_PTMX = (5, 2)


def open_pair(size: tuple[int, int] | None) -> tuple[int, int]:
    """Master and slave of a new terminal of this mount namespace's /dev/pts; both close-on-exec.

    `size` is in columns and rows: set here, before there is a program that could ask.

    Raises `OSError` (ENXIO) when the container has put something else in its place.
    """
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if os.fstat(master).st_rdev != os.makedev(*_PTMX):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), "/dev/pts/ptmx")
    os.set_blocking(master, True)
    fcntl.ioctl(master, _TIOCSPTLCK, b"\0\0\0\0")
    if size is not None:
        set_size(master, *size)
    return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def set_size(terminal: int, columns: int, rows: int) -> None:
    """Tell the terminal its size; programs in the foreground get SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, pack("HHHH", rows, columns, 0, 0))


def bind_console(slave: int, mount: Any) -> None:
    """Show the terminal as /dev/console; `mount(source_fd, target_path)` makes the bind.

    The file is ours, in our tmpfs: made here, exclusively.
    """
    os.close(os.open("/dev/console", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o620))
    mount(slave, "/dev/console")


def take(slave: int) -> None:
    """Make the terminal the controlling one of this session and its standard streams."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)
