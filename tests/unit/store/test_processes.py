"""Several processes use one store at once and are killed at any moment; the store stays whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orlop.core.job import Job
from orlop.store.store import Store

_HAMMER = Path(__file__).with_name("hammer.py")
_PROCESSES = 3
_KILLS = 36


def _start(root: Path, seed: int, seconds: float, output: Path) -> subprocess.Popen[bytes]:
    with output.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, str(_HAMMER), str(root), str(seed), str(seconds)], stdout=out, stderr=subprocess.PIPE
        )


def _check(root: Path, output: Path) -> None:
    """The store verifies, has every image that was told as committed, works, and can be emptied."""
    store = Store(root)
    job = Job()
    assert store.verify(job) == ()
    told = [line.split() for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert told
    for name, identity in told:
        image = store.images.find(name)
        assert (str(image.id), image.missing) == (identity, ())
    store.collect(job, grace=0, all_unused=True, cache=True)
    store.settle(job)
    assert store.images.list() == ()
    for folder in (store.layout.layers, store.layout.ingest, store.layout.trash):
        assert os.listdir(folder) == []
    assert list(store.blobs.all()) == []
    store.close()


def test_processes_that_work_at_once_do_not_disturb_each_other(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "told"
    hammers = [_start(root, seed, 3, output) for seed in range(_PROCESSES)]
    for hammer in hammers:
        _, errors = hammer.communicate(timeout=60)
        assert (hammer.returncode, errors.decode()) == (0, "")
    _check(root, output)


@pytest.mark.timeout(240)
def test_kills_at_any_moment_leave_a_whole_store(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "told"
    chance = random.Random(7)
    Store(root).close()
    seed = 100
    hammers = [_start(root, seed + number, 600, output) for number in range(_PROCESSES)]
    try:
        for _ in range(_KILLS):
            time.sleep(0.2 + chance.random() * 0.5)
            seed += 10
            victim = chance.randrange(_PROCESSES)
            assert _kill(hammers[victim]) == ""
            hammers[victim] = _start(root, seed, 600, output)
    finally:
        said = [_kill(hammer) for hammer in hammers]
    assert "".join(said) == ""
    _check(root, output)


def _kill(hammer: subprocess.Popen[bytes]) -> str:
    """What it had complained of."""
    hammer.kill()
    return hammer.communicate()[1].decode()
