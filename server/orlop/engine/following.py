"""Following a container's log through all its runs: it ends when the container is removed, not with its program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from orlop.core.job import Job
from orlop.runtime import container
from orlop.runtime.container import Container
from orlop.runtime.logs import LogLine
from orlop.runtime.manager import Manager
from orlop.runtime.shim import state


@attrs.frozen
class Turn:
    """A run began (`exit_code` is None) or ended."""

    exit_code: int | None


def follow(
    manager: Manager, name: str, job: Job, *, tail: int | None, told: Callable[[Turn], None]
) -> Iterator[LogLine]:
    """Lines as they are written; `told` hears of an end once all that was written before it has been given out."""
    found = manager.inspect(name)
    turns = _Turns(found, told)
    return manager.logs(found.id, job, tail=tail, follow=turns)


class _Turns:
    """Asked before each look at the log whether it goes on."""

    def __init__(self, found: Container, told: Callable[[Turn], None]) -> None:
        self._bundle = found.bundle
        self._told = told
        self._started = found.started
        self._finished: float | None = None
        self._pending: Turn | None = None

    def __call__(self) -> bool:
        # What was pending ended before the last look, which has therefore seen all of it.
        pending, self._pending = self._pending, None
        if pending is not None:
            self._told(pending)
        current = container.read(self._bundle)
        if current is None:
            return self._went_with_its_end()
        # By their times, for a whole run may pass between two looks.
        if current.started != self._started:
            self._started = current.started
            self._told(Turn(None))
        if current.exit is not None and current.finished != self._finished:
            self._finished = current.finished
            self._pending = Turn(current.exit.code)
        return True

    def _went_with_its_end(self) -> bool:
        """Whether an end is still to be told of a container that nobody had a look at in between."""
        last = container.read(Path(state.gone(str(self._bundle))))
        if last is None or last.exit is None or last.finished == self._finished:
            return False
        self._finished = last.finished
        self._pending = Turn(last.exit.code)
        return True
