"""The json-file log: lines, split characters, rotation; and reading it back."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime import logs
from orlop.runtime.shim.log import JsonLog


def records(path: Path) -> list[tuple[str, str]]:
    return [(each["stream"], each["log"]) for each in map(json.loads, path.read_text().splitlines())]


def test_lines_are_records_and_an_unfinished_one_waits(tmp_path: Path) -> None:
    log = JsonLog(str(tmp_path / "log"))
    log.write("stdout", b"one\ntw")
    log.write("stderr", b"err\n")
    log.write("stdout", b"o\nrest")
    assert records(tmp_path / "log") == [("stdout", "one\n"), ("stderr", "err\n"), ("stdout", "two\n")]
    log.close()
    assert records(tmp_path / "log")[-1] == ("stdout", "rest")


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=400), st.integers(1, 7))
def test_text_comes_back_whole_however_it_was_cut(text: str, step: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "log"
        log = JsonLog(str(path))
        data = text.encode("utf-8", "replace")
        for start in range(0, len(data), step):
            log.write("stdout", data[start : start + step])
        log.close()
        assert "".join(line for _, line in records(path)) == data.decode()


def test_bytes_that_are_no_text_are_replaced_not_lost(tmp_path: Path) -> None:
    log = JsonLog(str(tmp_path / "log"))
    log.write("stdout", b"a\xff\xc3\n")
    log.close()
    assert records(tmp_path / "log") == [("stdout", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\n")]


def test_a_line_without_end_is_written_in_pieces_instead_of_kept_in_memory(tmp_path: Path) -> None:
    log = JsonLog(str(tmp_path / "log"))
    log.write("stdout", b"x" * 40000)
    assert [len(line) for _, line in records(tmp_path / "log")] == [16384, 16384]
    log.write("stdout", b"y\n")
    log.close()
    assert "".join(line for _, line in records(tmp_path / "log")) == "x" * 40000 + "y\n"


def test_it_rotates_by_size_and_keeps_some_parts(tmp_path: Path) -> None:
    log = JsonLog(str(tmp_path / "container.log"), max_size=1000, max_files=3)
    for number in range(100):
        log.write("stdout", f"{number:04d}\n".encode())
    log.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["container.log", "container.log.1", "container.log.2"]
    assert all(each.stat().st_size <= 1000 for each in tmp_path.iterdir())
    read = [int(line.text) for line in logs.read(tmp_path, Job())]
    assert read == list(range(read[0], 100))
    assert len(read) > 20
    assert [line.text for line in logs.read(tmp_path, Job(), tail=15)] == [
        f"{number:04d}\n" for number in range(85, 100)
    ]


def test_following_goes_on_over_a_rotation_without_losing_a_line(tmp_path: Path) -> None:
    log = JsonLog(str(tmp_path / "container.log"), max_size=2000, max_files=5)
    log.write("stdout", b"0\n")
    going = threading.Event()

    def write() -> None:
        for number in range(1, 60):
            log.write("stdout", f"{number}\n".encode())
            time.sleep(0.01)
        log.close()
        going.set()

    thread = threading.Thread(target=write)
    reader = logs.read(tmp_path, Job(), follow=lambda: not going.is_set())
    seen = [int(next(reader).text)]
    thread.start()
    seen += [int(line.text) for line in reader]
    thread.join()
    assert seen == list(range(60))


def test_a_broken_log_is_said_to_be_broken(tmp_path: Path) -> None:
    (tmp_path / "container.log").write_text('{"log": "x"}\n')
    with pytest.raises(errors.Corrupt):
        list(logs.read(tmp_path, Job()))
