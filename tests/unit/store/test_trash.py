"""The trash deletes whatever a user's own trees may hold."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orlop.core.job import Job
from orlop.store.store import Store

_AS_USER = """
import os, sys
from pathlib import Path
from orlop.store.trash import remove_plainly
root = Path(sys.argv[1])
os.makedirs(root / "a" / "b" / "c")
(root / "a" / "b" / "file").write_text("x")
os.symlink("/etc", root / "a" / "link")
for folder in ("a/b/c", "a/b", "a"):
    os.chmod(root / folder, 0o000 if folder != "a" else 0o500)
remove_plainly(root)
print(root.exists())
"""


def test_taking_what_is_not_there_says_so(store: Store) -> None:
    assert not store.trash.take(store.root / "nothing")
    assert store.trash.is_empty()


def test_files_folders_and_links_are_deleted_and_links_not_followed(store: Store, job: Job) -> None:
    outside = store.root / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    (store.root / "file").write_text("x")
    os.symlink(outside, store.root / "link")
    (store.root / "folder").mkdir()
    os.symlink(outside, store.root / "folder" / "link")
    for name in ("file", "link", "folder"):
        assert store.trash.take(store.root / name)
    store.trash.empty(job)
    assert store.trash.is_empty()
    assert (outside / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="runs a command as another user, which only root may")
def test_an_ordinary_user_deletes_own_folders_without_permissions() -> None:
    path = f"/tmp/orlop-trash-{os.getpid()}"
    result = subprocess.run(
        [sys.executable, "-c", _AS_USER, path], user=65534, group=65534, extra_groups=[], cwd="/",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("False\n", "")
