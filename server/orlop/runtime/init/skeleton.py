"""A directory of empty mount points, used as the lowest layer of every container.

Mounting over a path needs something there. Making it in the container would leave it in the upper directory, hence in
the layer of a RUN step; from down here it is seen only where the image has nothing of that name.
"""

from __future__ import annotations

import os

DIRECTORIES = ("dev", "etc", "proc", "sys")
FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


def make(path: str) -> str:
    """Make the skeleton at `path` unless it is there, atomically, and return `path`; raises `OSError`.

    Whoever calls is root of the namespace in which it will be used.
    """
    if os.path.isdir(path):
        return path
    draft = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    os.mkdir(draft, 0o755)
    for name in DIRECTORIES:
        os.mkdir(f"{draft}/{name}", 0o755)
    for name in FILES:
        os.close(os.open(f"{draft}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    try:
        os.rename(draft, path)
    except OSError:
        remove(draft)
        if not os.path.isdir(path):
            raise
    return path


def remove(path: str) -> None:
    """Remove a skeleton."""
    for name in FILES:
        os.unlink(f"{path}/{name}")
    for name in reversed(DIRECTORIES):
        os.rmdir(f"{path}/{name}")
    os.rmdir(path)
