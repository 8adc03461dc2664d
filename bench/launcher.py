"""Runs a command from a process that is small itself, since a child's peak memory begins with that of its parent.

Prints one line of JSON at the end: exit code, wall and CPU seconds, peak bytes, and what the command wrote.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Run it."""
    start = time.perf_counter()
    with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        said = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - start
    facts = {
        "code": process.returncode, "wall": took, "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024, "said": said.decode(errors="replace"),
    }  # fmt: skip
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    main()
