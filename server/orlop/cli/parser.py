"""How words become options: as argparse reads them, with Docker's `--flag=false` and its way of refusing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse with Docker's way of refusing: the complaint, then where help is, exit code 125 for run, else 1."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        sys.stderr.write(f"{self.prog}: {message}\nSee '{self.prog} --help'.\n")
        sys.exit(125 if self.prog.endswith((" run", " exec")) else 1)

    def switch(self, *names: str, default: bool, help: str) -> None:  # noqa: A002 - as argparse has it
        """A flag that is on unless `=false` follows it, and `default` when it is not there."""
        self.add_argument(*names, action="store_true", default=default, help=help)
        dest = names[-1].removeprefix("--")
        self.add_argument(f"--no-{dest}", action="store_false", dest=dest.replace("-", "_"), help=argparse.SUPPRESS)

    def plain(self, words: Sequence[str]) -> list[str]:
        """The words with `--flag=true` and `--flag=false` in the form that argparse knows; a command is left alone."""
        actions = self._option_string_actions
        ends = any(action.nargs == argparse.REMAINDER for action in self._actions)
        found: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            action = actions.get(name)
            if word == "--" or (ends and not word.startswith("-")):
                return [*found, word, *rest]
            if action is None or action.nargs != 0 or not equals:
                found.append(word)
                if action is not None and action.nargs != 0 and not equals and rest:
                    found.append(rest.pop(0))
            elif value.lower() in ("true", "t", "1"):
                found.append(name)
            elif value.lower() not in ("false", "f", "0"):
                self.error(f"invalid argument {value!r} for {name}: it is neither true nor false")
            elif (off := f"--no-{action.dest.replace('_', '-')}") in actions:
                found.append(off)
        return found
