"""Transfers look right in logs, on small screens and when they fail."""

from __future__ import annotations

import io
import os

import pytest

from orlop.cli import transfers
from orlop.core.job import Note, TransferProgress

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def told(phase: str, done: int = 0, total: int = 100, digest: str = A) -> TransferProgress:
    return TransferProgress(digest, phase, done, total)


def test_a_log_has_a_line_for_each_step_and_none_for_bytes() -> None:
    out = io.StringIO()
    display = transfers.make(out, transfers.PULL_WORDS, "1: Pulling from x\n")
    steps = ("waiting", "copying", "retrying", "copying", "copying", "Extracting", "done")
    for step, phase in enumerate(steps):
        display(told(phase, step))
    display(told("exists", digest=B))
    display.close(failed=False)
    assert out.getvalue().splitlines() == [
        "1: Pulling from x", "aaaaaaaaaaaa: Pulling fs layer", "aaaaaaaaaaaa: Retrying", "aaaaaaaaaaaa: Pull complete",
        "bbbbbbbbbbbb: Already exists",
    ]  # fmt: skip


@pytest.mark.parametrize(("failed", "shown"), [(False, "heading\n"), (True, "")])
def test_without_layers_the_heading_stands_only_for_success(failed: bool, shown: str) -> None:
    out = io.StringIO()
    transfers.make(out, transfers.PULL_WORDS, "heading\n").close(failed=failed)
    assert out.getvalue() == shown


def test_quiet_shows_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    display = transfers.make(out, transfers.PULL_WORDS, "heading\n", quiet=True)
    for event in (told("waiting"), Note("info", "fine"), Note("warning", "mind this")):
        display(event)
    display.close(failed=False)
    assert out.getvalue() == ""
    assert capsys.readouterr().err == "warning: mind this\n"


def test_a_screen_shows_bars_and_at_the_end_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_size", lambda _: os.terminal_size((80, 6)))
    out = io.StringIO()
    display = transfers.Picture(out, transfers.PULL_WORDS, "heading\n")
    digests = [f"sha256:{number:064x}" for number in range(1, 256, 25)]
    for digest in digests:
        display(told("copying", 50_000_000, 100_000_000, digest))
    display(Note("warning", "slow"))
    drawn = out.getvalue()
    assert "heading\nwarning: slow\n" in drawn
    assert drawn.count("Downloading [") == 4
    assert "  50MB/100MB" in drawn
    assert all(len(line) < 90 for line in drawn.splitlines())
    for digest in digests:
        display(told("done", 1, 1, digest))
    display.close(failed=False)
    assert out.getvalue().count("Pull complete") >= len(digests)
