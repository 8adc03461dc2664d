"""Which shell a running container has: looked up among its files, for asking it would already need one."""

from __future__ import annotations

from orlop.core import errors
from orlop.core.job import Job
from orlop.engine.files import Files

_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/ash", "/busybox/sh")


def choose(files: Files, name: str, job: Job) -> str:
    """The path of the best one; raises `NotFound` when there is none."""
    for path in _SHELLS:
        try:
            entry = files.status(name, path, job)
        except errors.ContainerNotFound:
            raise
        except errors.NotFound:
            continue
        if entry.kind == "file" and entry.mode & 0o111:
            return path
    raise errors.NotFound(
        f"the container {name} has no shell in it", hint="Its files can be opened all the same, under Files."
    )
