"""Hashes of files are remembered by every number of their stat."""

from __future__ import annotations

import itertools

import pytest

from orlop.store.filehashes import forget_old
from orlop.store.store import Store

KEY = (1, 2, 3, 4, 5)
HASH = "ab" * 32


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 25_000])
def test_what_was_put_is_got(store: Store, root, count: int, reopened: bool) -> None:
    hashes = {(7, number, 1, 2, 3): f"{number:064x}" for number in range(count)}
    store.files.put_many(hashes)
    files = Store(root).files if reopened else store.files
    assert files.get_many(iter(hashes)) == hashes


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("reopened", [False, True])
def test_a_stat_that_differs_anywhere_is_unknown(store: Store, root, position: int, reopened: bool) -> None:
    store.files.put_many({KEY: HASH})
    other = tuple(value + (place == position) for place, value in enumerate(KEY))
    files = Store(root).files if reopened else store.files
    assert files.get_many([other]) == {}
    assert files.get_many([other, KEY]) == {KEY: HASH}


def test_numbers_of_64_bits_are_kept(store: Store, root) -> None:
    keys = list(itertools.product([0, (1 << 64) - 1], [1 << 63, (1 << 64) - 2], [1 << 40], [1 << 62], [-1]))
    store.files.put_many({key: f"{place:064x}" for place, key in enumerate(keys)})
    assert Store(root).files.get_many(keys) == {key: f"{place:064x}" for place, key in enumerate(keys)}


def test_a_new_stat_of_an_inode_replaces_the_old(store: Store, root) -> None:
    changed = (1, 2, 3, 40, 50)
    store.files.put_many({KEY: HASH})
    store.files.put_many({changed: "cd" * 32})
    assert Store(root).files.get_many([KEY, changed]) == {changed: "cd" * 32}


def test_what_nobody_asked_for_in_a_month_is_forgotten(store: Store, root) -> None:
    used, unused = (1, 1, 1, 1, 1), (1, 2, 1, 1, 1)
    store.files.put_many({used: HASH, unused: HASH})
    with store._database.write() as connection:
        connection.execute("UPDATE files SET day = day - 40")
    assert Store(root).files.get_many([used]) == {used: HASH}
    with store._database.write() as connection:
        forget_old(connection)
    assert Store(root).files.get_many([used, unused]) == {used: HASH}
