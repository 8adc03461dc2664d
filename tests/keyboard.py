"""A person at a terminal: types into a program that runs on a real pty, and waits for what it prints."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time

from harness import Terminal


class Keyboard:
    """One `orlop` command on a pty of its own; everything it printed is in `seen`."""

    def __init__(self, terminal: Terminal, *words: str) -> None:
        self.seen = ""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            argv = [*terminal._prefix(), *terminal.words(*words)]
            os.execvpe(argv[0], argv, terminal._env(None))

    def sleep(self, asleep: bool) -> None:
        """Stop the program where it is, or let it go on."""
        os.kill(self._pid, signal.SIGSTOP if asleep else signal.SIGCONT)

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        os.write(self._master, line.encode() + b"\n")

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Wait until what was printed since the last call matches."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} did not appear in:\n{self.seen}"
            assert self._read(), f"ended before {pattern!r} appeared:\n{self.seen}"
        self.seen = self.seen[found.end() :]
        return found

    def end(self, seconds: float = 60) -> int:
        """Wait for its end; the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.seen}"
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self._master], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)
