"""The tests with real builds once more as an ordinary account: root is not better than others."""

from __future__ import annotations

from pathlib import Path

from ordinary import run_once_more

WHAT = (
    "copied_files or chown or stages_keeps or workdir or deletions or cached_build or unreadable or heredocs "
    "or environment or users_are or groups or standard_input or sandbox or networks or cancel or failing_process "
    "or killed_build or archives_are or capabilities"
)


def test_an_ordinary_account_builds_as_root_does() -> None:
    run_once_more(Path(__file__).parent, choose=WHAT)
