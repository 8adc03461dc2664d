"""Shows a pull or a push: a line for each layer, redrawn in place on a terminal, one for each step of it elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TextIO

import attrs

from orlop.cli import harmless, output
from orlop.core.job import Job, Note, TransferProgress

PULL_WORDS = {
    "waiting": "Pulling fs layer", "copying": "Downloading", "retrying": "Retrying", "verifying": "Verifying Checksum",
    "Extracting": "Extracting", "unpacking": "Extracting", "exists": "Already exists", "done": "Pull complete",
}  # fmt: skip
PUSH_WORDS = {
    "waiting": "Preparing", "copying": "Pushing", "retrying": "Retrying", "verifying": "Preparing",
    "exists": "Layer already exists", "done": "Pushed",
}  # fmt: skip
_MOVING = frozenset({"copying", "Extracting", "unpacking"})
_LAST = frozenset({"exists", "done"})
_REDRAW_SECONDS = 0.1
_BAR = 50


class Display(Protocol):
    """Takes what a transfer tells."""

    def __call__(self, event: Any, /) -> None:
        """Show one event."""

    def close(self, *, failed: bool) -> None:
        """Leave the terminal as a person expects it."""


def make(out: TextIO, words: Mapping[str, str], heading: str, *, quiet: bool = False) -> Display:
    """A display of one transfer on `out`; `heading` comes before the first layer."""
    if quiet:
        return Notes()
    return Picture(out, words, heading) if out.isatty() else Lines(out, words, heading)


@contextlib.contextmanager
def job_of(display: Display) -> Iterator[Job]:
    """A job that shows itself, and that Ctrl+C cancels."""
    job = Job(display)
    previous = signal.signal(signal.SIGINT, lambda *_: job.token.cancel())
    failed = True
    try:
        yield job
        failed = False
    finally:
        signal.signal(signal.SIGINT, previous)
        display.close(failed=failed)


class Notes:
    """Shows warnings alone."""

    def __call__(self, event: Any, /) -> None:
        """A warning goes to standard error."""
        if isinstance(event, Note) and event.level != "info":
            sys.stderr.write(f"{event.level}: {event.message}\n")

    def close(self, *, failed: bool) -> None:
        """Nothing to leave."""


class Lines:
    """A line whenever a layer begins or ends, for logs and pipes."""

    def __init__(self, out: TextIO, words: Mapping[str, str], heading: str) -> None:
        self._out = out
        self._words = words
        self._heading = heading
        self._lock = threading.Lock()
        self._shown: dict[str, str] = {}

    def __call__(self, event: Any, /) -> None:
        """Print what is new."""
        with self._lock:
            if isinstance(event, Note):
                sys.stderr.write(f"{event.level}: {event.message}\n")
            elif isinstance(event, TransferProgress):
                self._head()
                word = self._words.get(event.phase, event.phase)
                if event.phase not in _MOVING and self._shown.get(event.digest) != word:
                    self._shown[event.digest] = word
                    self._out.write(f"{_short(event.digest)}: {word}\n")
            self._out.flush()

    def close(self, *, failed: bool) -> None:
        """Print the heading, if no layer was there to come after it; a failure needs none."""
        with self._lock:
            if not failed:
                self._head()

    def _head(self) -> None:
        self._out.write(self._heading)
        self._heading = ""


@attrs.define
class _Layer:
    phase: str
    done: int
    total: int


class Picture:
    """All layers with bars, redrawn ten times a second; those that do not fit the screen wait for the end."""

    def __init__(self, out: TextIO, words: Mapping[str, str], heading: str) -> None:
        self._out = harmless.raw(out)
        self._words = words
        self._heading = harmless.text(heading)
        self._lock = threading.Lock()
        self._layers: dict[str, _Layer] = {}
        self._drawn = 0
        self._dirty = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="progress", daemon=True)
        self._thread.start()

    def __call__(self, event: Any, /) -> None:
        """Remember it for the next drawing; a note is printed above the layers."""
        with self._lock:
            if isinstance(event, Note):
                self._draw([f"{event.level}: {harmless.text(event.message)}\n"], final=False)
            elif isinstance(event, TransferProgress):
                self._layers[event.digest] = _Layer(event.phase, event.done, event.total)
                self._dirty = True

    def close(self, *, failed: bool) -> None:
        """Draw the last state and stop."""
        self._stop.set()
        self._thread.join(timeout=1)
        with self._lock:
            if failed and not self._layers:
                self._heading = ""
            self._draw([], final=True)

    def _redraw(self) -> None:
        while not self._stop.wait(_REDRAW_SECONDS):
            with self._lock:
                if self._dirty:
                    self._draw([], final=False)

    def _draw(self, above: list[str], *, final: bool) -> None:
        columns, rows = _size(self._out)
        lines = [self._line(digest, layer, columns - 1) for digest, layer in self._layers.items()]
        if not final and len(lines) > rows - 2:
            busy = [
                self._line(digest, layer, columns - 1)
                for digest, layer in self._layers.items() if layer.phase not in _LAST
            ]  # fmt: skip
            lines = (busy or lines)[: max(1, rows - 2)]
        up = f"\033[{self._drawn}A" if self._drawn else ""
        heading, self._heading = self._heading, ""
        text = "".join(f"\r\033[2K{line}\n" for line in lines)
        self._out.write(f"{up}\r\033[J{heading}{''.join(above)}{text}")
        self._out.flush()
        self._drawn = len(lines)
        self._dirty = False

    def _line(self, digest: str, layer: _Layer, width: int) -> str:
        text = f"{_short(digest)}: {self._words.get(layer.phase, layer.phase)}"
        if layer.phase in _MOVING and layer.total > 0:
            numbers = f"  {output.size(layer.done)}/{output.size(layer.total)}"
            bar = min(_BAR, width - len(text) - len(numbers) - 4)
            if bar >= 8:
                filled = min(bar, layer.done * bar // layer.total)
                shown = "=" * bar if filled == bar else ("=" * filled + ">").ljust(bar)
                text += f" [{shown}]"
            text += numbers
        return harmless.cell(text)[:width]


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12] or digest


def _size(out: TextIO) -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return 80, 24
    return columns or 80, rows or 24
