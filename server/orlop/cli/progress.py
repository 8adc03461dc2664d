"""Shows a build while it runs: one growing log (`plain`), or a picture redrawn in place (`tty`)."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections import deque
from typing import Any, Protocol, TextIO

import attrs

from orlop.builder import events
from orlop.cli import harmless
from orlop.core.job import Note

_CYAN, _BLUE, _RED, _DIM, _RESET = "\033[36m", "\033[34m", "\033[31m", "\033[2m", "\033[0m"
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_REDRAW_SECONDS = 0.1
_LOG_LINES = 6


class Display(Protocol):
    """Takes the events of a build and ends."""

    def __call__(self, event: Any, /) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal as a person expects it."""


def make(kind: str, out: TextIO) -> Display:
    """`plain`, `tty`, `quiet`, or `auto`, which is `tty` on a terminal."""
    if kind == "quiet":
        return Quiet()
    if kind == "tty" or (kind == "auto" and out.isatty()):
        return Picture(out)
    return Log(out)


class Quiet:
    """Shows nothing."""

    def __call__(self, event: Any, /) -> None:
        """Swallow it."""

    def close(self) -> None:
        """Nothing to leave."""


class Log:
    """Every step's lines under its number, as they come."""

    def __init__(self, out: TextIO) -> None:
        self._out = harmless.Stream(harmless.raw(out))
        self._raw = harmless.raw(out)  # what the programs of the steps write stays as it is
        self._lock = threading.Lock()
        self._names: dict[int, str] = {}
        self._started: dict[int, float] = {}
        self._tails: dict[int, str] = {}

    def __call__(self, event: Any, /) -> None:
        """Print what the event adds."""
        with self._lock:
            self._show(event)
            self._out.flush()

    def close(self) -> None:
        """Nothing to leave."""

    def _show(self, event: Any) -> None:
        match event:
            case events.BuildStarted():
                self._names = {step.id: step.name for step in event.steps}
            case events.ContextRead():
                self._out.write(f"[context] {event.files} files, {event.bytes} bytes\n")
            case events.StepStarted():
                self._started[event.id] = time.monotonic()
                self._out.write(f"\n#{event.id} {self._names.get(event.id, '')}\n")
            case events.StepCached():
                self._out.write(f"\n#{event.id} {self._names.get(event.id, '')}\n#{event.id} CACHED\n")
            case events.StepLog():
                self._log(event.id, event.data)
            case events.StepDone():
                self._end(event.id, f"DONE {event.seconds:.1f}s")
            case events.StepFailed():
                self._end(event.id, f"ERROR: {event.message}")
            case events.BuildWarning():
                self._out.write(f"\nWARNING: {event.message}{_where(event.location)}\n")
            case Note():
                self._out.write(f"{event.level}: {event.message}\n")

    def _log(self, step: int, data: str) -> None:
        lines = (self._tails.pop(step, "") + data).split("\n")
        self._tails[step] = lines.pop()
        seconds = time.monotonic() - self._started.get(step, time.monotonic())
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2]
            self._raw.write(f"#{step} {seconds:.3f} {shown}\n")

    def _end(self, step: int, text: str) -> None:
        if self._tails.get(step):
            self._log(step, "\n")
        self._out.write(f"#{step} {text}\n")


@attrs.define
class _Step:
    name: str
    state: str = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    log: deque[str] = attrs.field(factory=lambda: deque(maxlen=_LOG_LINES))
    tail: str = ""


class Picture:
    """All steps with their times; the running ones with their last lines; redrawn ten times a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = harmless.raw(out)
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        self._notes: list[str] = []
        self._drawn = 0
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="progress", daemon=True)
        self._thread.start()

    def __call__(self, event: Any, /) -> None:
        """Remember it for the next drawing."""
        with self._lock:
            self._take(event)

    def close(self) -> None:
        """Draw the last state and stop."""
        self._stop.set()
        self._thread.join(timeout=1)
        with self._lock:
            self._draw(final=True)

    def _take(self, event: Any) -> None:
        match event:
            case events.BuildStarted():
                self._steps = {step.id: _Step(harmless.cell(step.name)) for step in event.steps}
            case events.StepStarted():
                self._set(event.id, "running")
            case events.StepCached():
                self._set(event.id, "cached")
            case events.StepDone():
                self._set(event.id, "done", event.seconds)
            case events.StepFailed():
                self._set(event.id, "failed")
            case events.StepLog():
                step = self._steps.setdefault(event.id, _Step(""))
                lines = (step.tail + event.data).split("\n")
                step.tail = lines.pop()
                step.log.extend(harmless.cell(_plain(line)) for line in lines)
            case events.BuildWarning():
                self._notes.append(harmless.cell(f"WARNING: {event.message}{_where(event.location)}"))
            case Note():
                self._notes.append(harmless.cell(event.message))

    def _set(self, step_id: int, state: str, seconds: float | None = None) -> None:
        step = self._steps.setdefault(step_id, _Step(""))
        now = time.monotonic()
        if state == "running":
            step.started = now
        step.seconds = seconds if seconds is not None else (now - step.started if step.started else 0.0)
        step.state = state

    def _redraw(self) -> None:
        while not self._stop.wait(_REDRAW_SECONDS):
            with self._lock:
                self._draw(final=False)

    def _draw(self, *, final: bool) -> None:
        columns, rows = shutil.get_terminal_size()
        lines = self._lines(columns - 1)
        if not final and len(lines) > rows - 1:
            lines = lines[:1] + lines[len(lines) - rows + 2 :]
        up = f"\033[{self._drawn}A" if self._drawn else ""
        self._out.write(up + "".join(f"\r\033[2K{line}\n" for line in lines) + "\033[J")
        self._out.flush()
        self._drawn = len(lines)

    def _lines(self, width: int) -> list[str]:
        now = time.monotonic()
        done = sum(step.state in ("done", "cached") for step in self._steps.values())
        lines = [f"{_BLUE}[+]{_RESET} Building {now - self._begin:.1f}s ({done}/{len(self._steps)})"]
        for step in self._steps.values():
            if step.state == "waiting":
                continue
            seconds = now - step.started if step.state == "running" else step.seconds
            prefix = "CACHED " if step.state == "cached" else "ERROR " if step.state == "failed" else ""
            text = f" => {prefix}{step.name}"
            time_text = f" {seconds:.1f}s"
            text = text[: width - len(time_text)].ljust(width - len(time_text))
            color = {"failed": _RED, "running": "", "cached": _CYAN, "done": _CYAN}[step.state]
            lines.append(f"{color}{text}{time_text}{_RESET if color else ''}")
            if step.state == "running":
                lines += [f"{_DIM} => => {line[: width - 8]}{_RESET}" for line in step.log]
        return lines + [note[:width] for note in self._notes]


def _plain(line: str) -> str:
    """What a terminal would show of a line in the end, without colors."""
    return _COLOR.sub("", line.rstrip("\r").rpartition("\r")[2]).expandtabs()


def _where(location: Any) -> str:
    return f" ({location})" if location else ""
