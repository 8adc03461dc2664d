"""Transactions, migration and errors of the database."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from orlop.core import errors
from orlop.store.database import Database
from orlop.store.schema import STEPS


def _open(path: Path, steps: tuple[str, ...] = STEPS) -> Database:
    return Database(path / "db", path / "lock", steps)


def _setting(database: Database, name: str) -> int | None:
    with database.read() as connection:
        row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def _set(database: Database, name: str, value: int) -> None:
    with database.write() as connection:
        connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    database = _open(tmp_path)
    with pytest.raises(ZeroDivisionError), database.write() as connection:  # noqa: PT012 - the block is the test
        connection.execute("INSERT INTO settings VALUES ('a', 1)")
        _ = 1 // 0
    assert _setting(database, "a") is None
    _set(database, "a", 2)
    assert _setting(database, "a") == 2
    database.close()


def test_a_reader_sees_one_state_while_another_connection_writes(tmp_path: Path) -> None:
    database, other = _open(tmp_path), _open(tmp_path)
    _set(database, "a", 1)
    with database.read() as connection:
        query = "SELECT value FROM settings WHERE name = 'a'"
        before = connection.execute(query).fetchone()
        _set(other, "a", 2)
        assert before == connection.execute(query).fetchone()
    assert _setting(database, "a") == 2
    database.close()
    other.close()


def test_migration_keeps_the_rows_and_happens_once(tmp_path: Path) -> None:
    old = _open(tmp_path)
    _set(old, "a", 7)
    old.close()
    steps = (*STEPS, "CREATE TABLE extra (x INTEGER); INSERT INTO extra SELECT value FROM settings")
    for _ in range(2):
        new = _open(tmp_path, steps)
        with new.read() as connection:
            assert connection.execute("SELECT x FROM extra").fetchall() == [(7,)]
        new.close()


def test_a_failing_migration_leaves_the_old_version(tmp_path: Path) -> None:
    _open(tmp_path).close()
    with pytest.raises(errors.OrlopError):
        _open(tmp_path, (*STEPS, "CREATE TABLE extra (x INTEGER); SELECT nonsense"))
    database = _open(tmp_path)
    with database.read() as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchall() == []
    database.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    _open(tmp_path, (*STEPS, "CREATE TABLE extra (x INTEGER)")).close()
    with pytest.raises(errors.Unavailable) as caught:
        _open(tmp_path)
    assert "Update Orlop" in (caught.value.hint or "")


def test_many_openers_at_once_make_one_database(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            database = _open(tmp_path)
            for round_ in range(20):
                _set(database, f"{number}-{round_}", round_)
            database.close()
        except BaseException as error:  # noqa: BLE001 - shown by the assert
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    database = _open(tmp_path)
    with database.read() as connection:
        assert connection.execute("SELECT count(*) FROM settings").fetchone()[0] == 160
    assert database.check() == ()
    database.close()


@pytest.mark.parametrize("damage", ["garbage", "middle"])
def test_a_damaged_file_is_told_as_corrupt_with_a_hint(tmp_path: Path, damage: str) -> None:
    database = _open(tmp_path)
    for number in range(2000):
        _set(database, f"some-long-name-{number}", number)
    database.close()
    data = bytearray((tmp_path / "db").read_bytes())
    if damage == "garbage":
        data[:] = b"no database at all " * 1000
    else:
        data[4096:] = b"\xff" * (len(data) - 4096)
    (tmp_path / "db").write_bytes(data)
    with pytest.raises(errors.Corrupt) as caught:
        _setting(_open(tmp_path), "a")
    assert caught.value.hint


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    database = _open(tmp_path)
    database.close()
    with pytest.raises(errors.Conflict):
        _setting(database, "a")
