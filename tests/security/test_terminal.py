"""What images, containers and registries call themselves does not steer the terminal that Orlop shows it on."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal
from orlop.builder import events
from orlop.cli import harmless, output, progress
from orlop.core.job import Note

# Sets the title, clears the screen, goes up a line; once in eight bits; turns the direction of text; a second line.
HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b1A\u202e\x7f\rb\nfake"
SPELLED = r"a\x1b]0;title\x07\x1b[2J\u009b1A\u202e\u007f\x0db"
STEERING = [*map(chr, (*range(9), *range(11, 32), *range(127, 160))), "\u202e"]


def is_harmless(text: str) -> bool:
    return not any(each in text for each in STEERING)


def test_every_control_character_is_spelled_out_and_other_text_is_left() -> None:
    assert harmless.text(HOSTILE) == SPELLED + "\nfake"
    assert harmless.cell("a\tb\n" + HOSTILE) == r"a\tb\n" + SPELLED + r"\nfake"
    everything = "".join(map(chr, range(0x2100)))
    assert is_harmless(harmless.text(everything))
    kept = "Grüße, 你好, עברית, 🐋\tand\nlines\u200d"
    assert harmless.text(kept) == kept
    document = {"label": HOSTILE}
    assert json.loads(harmless.text(json.dumps(document, ensure_ascii=False))) == document
    assert output.table(["NAME"], [[HOSTILE]]).count("\n") == 2


@pytest.mark.parametrize("kind", ["plain", "tty"])
def test_a_build_shows_names_and_messages_harmless(kind: str) -> None:
    out = io.StringIO()
    display = progress.make(kind, out)
    display(events.BuildStarted(steps=(events.StepInfo(1, None, 1, 1, HOSTILE, 1),)))
    display(events.StepStarted(1, 0.0))
    display(events.StepLog(1, "stdout", "\x1b[31mred\x1b[0m\x1b[2J\n"))
    display(events.BuildWarning("x", HOSTILE))
    display(Note(HOSTILE, "warning"))
    display(events.StepFailed(1, HOSTILE, None))
    display.close()
    text = out.getvalue()
    assert SPELLED in text
    assert "]0;title\x07" not in text
    assert "\x9b" not in text
    # A program's own output is its own affair in the growing log, and would break the picture.
    assert ("\x1b[31mred\x1b[0m\x1b[2J" in text) == (kind == "plain")


@pytest.fixture
def terminal(able: None, busybox_tar: Path, readable_server: Path, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "store", None, readable_server)
    made("import", "-m", HOSTILE, "-", "busybox:latest", stdin=busybox_tar.read_bytes())
    yield made
    made("rm", "-f", "hostile")
    made("rmi", "-f", "busybox")
    made("system", "prune", "-af")
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


def test_every_command_shows_hostile_texts_harmless(terminal: Terminal) -> None:
    script = "printf '\\033[31mred\\n'; : >\"$1\"; sleep 333; :"
    terminal("run", "-d", "--name", "hostile", "--label", f"l={HOSTILE}", "busybox", "sh", "-c", script, "sh", HOSTILE)
    for words in (
        ("ps", "--no-trunc"), ("ps", "--no-trunc", "--format", "json"), ("diff", "hostile"),
        ("inspect", "hostile"), ("inspect", "-f", "{{.Config.Labels.l}}", "hostile"), ("history", "--no-trunc", "busybox"),
        ("top", "hostile"),
    ):  # fmt: skip
        said = terminal(*words)
        assert is_harmless(said), words
        assert "title" in said, words
    assert json.loads(terminal("inspect", "hostile"))[0]["Config"]["Labels"]["l"] == HOSTILE
    for words, code in ((("exec", "hostile", HOSTILE), 127), (("inspect", HOSTILE), 1), ((HOSTILE,), 1)):
        said = terminal(*words, code=code)
        assert is_harmless(said), words
        assert "title" in said, words
    assert terminal("logs", "hostile") == "\x1b[31mred\n"
