"""Computes the diff IDs of an image's layers on threads of their own while the next steps run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from orlop.core import errors
from orlop.core.job import Job
from orlop.store.layers import Layer

Seal = Callable[[Layer, Job], Layer]

# Each keeps one core busy with hashing.
_AT_ONCE = 2


class Sealer:
    """Takes layers from one or more threads, and gives them back sealed at the end."""

    def __init__(self, seal: Seal, job: Job) -> None:
        self._seal = seal
        self._job = job
        self._waiting: deque[Layer] = deque()
        self._sealed: dict[str, Layer] = {}
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []

    def add(self, layer: Layer) -> None:
        """Seal this layer, soon; one that has its diff ID needs nothing."""
        if layer.diff_id is not None:
            return
        with self._changed:
            self._waiting.append(layer)
            if len(self._threads) < _AT_ONCE:
                self._threads.append(threading.Thread(target=self._work, name="seal"))
                self._threads[-1].start()
            self._changed.notify()

    def finish(self) -> None:
        """Wait for the rest; raises what sealing raised, unless that was `Cancelled`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self._failure is not None and not isinstance(self._failure, errors.Cancelled):
            raise self._failure

    def sealed(self, layer: Layer) -> Layer:
        """The layer with its diff ID, after `finish`."""
        return self._sealed.get(layer.id, layer)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                layer = self._waiting.popleft()
            try:
                self._sealed[layer.id] = self._seal(layer, self._job)
            except BaseException as error:  # noqa: BLE001 - raised again by `finish`
                self._failure = error
                self._job.token.cancel()
                return
