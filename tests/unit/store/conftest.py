"""A store in a temporary directory, and a way to put small real images into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import imageconfig, reference
from orlop.core.descriptor import Descriptor, Manifest
from orlop.core.imageconfig import History, ImageConfig, RunConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.store.images import Image
from orlop.store.layers import Layer
from orlop.store.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    opened = Store(root)
    yield opened
    opened.close()


@pytest.fixture
def job() -> Job:
    return Job()


@attrs.frozen
class Maker:
    """Makes layers of one file and images of such layers."""

    store: Store

    def layer(self, content: str, *, sealed: bool = True) -> Layer:
        """A layer whose diff ID is the digest of `content`; the known one if it is there."""
        diff_id = digests.of_bytes(content.encode())
        known = self.store.layers.by_diff_id(diff_id) if sealed else None
        if known is not None:
            return known
        with self.store.layers.new() as pending:
            (pending.diff / "file").write_text(content)
            if not sealed:
                return pending.commit(size=len(content))
            return pending.commit(size=len(content), diff_id=diff_id, tar_size=10240)

    def documents(self, *contents: str, created: str | None = None, label: str = "") -> tuple[Manifest, bytes]:
        """The manifest and the configuration of an image of such layers."""
        diff_ids = tuple(digests.of_bytes(content.encode()) for content in contents)
        raw = imageconfig.encode(
            ImageConfig(
                Platform("linux", "amd64"),
                config=RunConfig(labels={"label": label}),
                diff_ids=diff_ids,
                history=tuple(History(created_by=content) for content in contents),
                created=created,
            )
        )
        manifest = descriptors.make_manifest(
            Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw)),
            tuple(Descriptor(MediaType.OCI_LAYER, diff_id, 10240) for diff_id in diff_ids),
        )
        return manifest, raw

    def image(self, *contents: str, name: str | None = None, created: str | None = None, label: str = "") -> Image:
        """An image of such layers, in the store."""
        layers = tuple(self.layer(content).id for content in contents)
        manifest, raw = self.documents(*contents, created=created, label=label)
        names = (reference.parse(name).or_latest(),) if name else ()
        return self.store.images.add(manifest, raw, layers, references=names)


@pytest.fixture
def make(store: Store) -> Maker:
    return Maker(store)


@pytest.fixture
def maker() -> Callable[[Store], Maker]:
    return Maker
