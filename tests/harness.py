"""An `orlop` that tests type at, as the account they run as or as another one."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class Terminal:
    """Types `orlop` commands as one account upon one store."""

    def __init__(self, root: Path, account: str | None, server: Path) -> None:
        self.root = root
        self.account = account
        self.server = server

    def start(self, *words: str, env: Mapping[str, str] | None = None, **options: object) -> subprocess.Popen[bytes]:
        """Start a command and leave it running."""
        return subprocess.Popen([*self._prefix(), *self.words(*words)], env=self._env(env), **options)  # type: ignore[call-overload,no-any-return]

    def __call__(
        self, *words: str, code: int = 0, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a command to its end, check its exit code, and return all that it printed."""
        done = subprocess.run(
            [*self._prefix(), *self.words(*words)], input=stdin, capture_output=True, env=self._env(env), timeout=250,
            stdin=None if stdin is not None else subprocess.DEVNULL,
        )  # fmt: skip
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert code == done.returncode, f"orlop {' '.join(words)} ended with {done.returncode}:\n{text}"
        assert "Traceback" not in text
        return text

    def words(self, *words: str) -> list[str]:
        """The argument vector of a command."""
        return [sys.executable, "-m", "orlop", *words]

    def _prefix(self) -> list[str]:
        return (
            ["setpriv", f"--reuid={self.account}", f"--regid={self.account}", "--init-groups"] if self.account else []
        )

    def _env(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        home = pwd.getpwnam(self.account).pw_dir if self.account else str(Path.home())
        return {
            "PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "ORLOP_ROOT": str(self.root),
            "PYTHONPATH": str(self.server), **(extra or {}),
        }  # fmt: skip
