"""First lines of every lean process: become root of the user namespace if asked, then call the entry."""

from __future__ import annotations

import os
import sys

from orlop.core import errors
from orlop.runtime.linux import idmap, leanjson, syscalls

# What a process that could not even start its work ends with; its standard error then holds one JSON line.
FAILED = 125


def main() -> None:
    """Read argv as `userns.spawn` wrote it and run the entry; never returns."""
    document = leanjson.loads(sys.argv[-2])
    params = leanjson.loads(sys.argv[-1])
    count = document["fds"]
    syscalls.close_from(3 + count)
    for fd in range(3, 3 + count):
        os.set_inheritable(fd, False)
    module, _, function = document["entry"].partition(":")
    syscalls.set_process_name(f"orlop-{module.rpartition('.')[2]}")
    try:
        if document["mapping"] is not None:
            idmap.enter(document["mapping"])
        __import__(module)
        run = getattr(sys.modules[module], function)
    except errors.OrlopError as error:
        fail(error)
    code = run(params, list(range(3, 3 + count)))
    os._exit(code or 0)


def fail(error: errors.OrlopError) -> None:
    """End the process, leaving the error as one JSON line on standard error."""
    line = leanjson.dumps({"kind": error.kind, "message": error.message, "hint": error.hint})
    os.write(2, line.encode() + b"\n")
    os._exit(FAILED)
