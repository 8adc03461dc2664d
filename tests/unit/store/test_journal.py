"""The revision moves with every change, for every process."""

from __future__ import annotations

import os

from orlop.core import reference
from orlop.core.job import Job
from orlop.store.journal import Changes
from orlop.store.store import Store


def test_every_change_of_images_moves_the_revision(store: Store, make, root) -> None:
    other = Store(root)
    seen = [store.journal.revision()]
    image = make.image("a")
    seen.append(other.journal.revision())
    store.images.tag(reference.parse("app"), image.id)
    seen.append(other.journal.revision())
    store.images.untag(reference.parse("app"))
    seen.append(other.journal.revision())
    store.collect(Job(), dangling=True)
    seen.append(other.journal.revision())
    assert seen == sorted(set(seen))
    other.close()


def test_what_changes_nothing_does_not_move_it(store: Store, make) -> None:
    make.image("a", name="app")
    before = store.journal.revision()
    store.images.untag(reference.parse("other"))
    store.collect(Job(), dangling=True)
    store.images.list()
    assert store.journal.revision() == before


def test_since_names_the_kinds_that_changed(store: Store, make) -> None:
    start = store.journal.revision()
    assert store.journal.since(start) == Changes(start, frozenset())
    make.image("a")
    middle = store.journal.revision()
    end = store.journal.bump(["containers"])
    assert store.journal.since(middle) == Changes(end, frozenset({"containers"}))
    assert store.journal.since(start) == Changes(end, frozenset({"images", "containers"}))


def test_since_a_revision_long_ago_is_everything(store: Store) -> None:
    for _ in range(1200):
        store.journal.bump(["containers"])
    changes = store.journal.since(1)
    assert "images" in changes.kinds


def test_the_watched_file_is_written_after_a_change(store: Store, make) -> None:
    (watched,) = store.journal.watched()
    before = watched.read_bytes()
    make.image("a")
    assert int(watched.read_bytes()) == store.journal.revision()
    assert watched.read_bytes() != before


def test_a_lost_watched_file_comes_back(store: Store) -> None:
    (watched,) = store.journal.watched()
    os.unlink(watched)
    assert int(watched.read_bytes() if store.journal.bump(["images"]) else b"0") == store.journal.revision()
