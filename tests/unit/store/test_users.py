"""Bundles say what their containers use."""

from __future__ import annotations

from orlop.core import digest as digests
from orlop.store import users
from orlop.store.store import Store
from orlop.store.users import ContainerUse


def test_what_is_written_is_read(store: Store) -> None:
    image = digests.of_bytes(b"x")
    for name, of in (("b", image), ("a", None)):
        (store.layout.containers / name).mkdir()
        users.write(store.layout.containers / name, ["l1", "l2"], of)
    layers = frozenset({"l1", "l2"})
    assert users.read_all(store.layout) == (
        ContainerUse("a", layers, frozenset()),
        ContainerUse("b", layers, frozenset({str(image)})),
    )


def test_a_bundle_without_the_file_uses_nothing_and_other_files_are_no_bundles(store: Store) -> None:
    (store.layout.containers / "a").mkdir()
    (store.layout.containers / ".new").mkdir()
    (store.layout.containers / "file").write_text("x")
    assert users.read_all(store.layout) == (ContainerUse("a", frozenset(), frozenset()),)


def test_no_containers_directory_is_no_container(store: Store) -> None:
    store.layout.containers.rmdir()
    assert users.read_all(store.layout) == ()
