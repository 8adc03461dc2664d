"""Any sequence of adding, tagging, untagging, removing and collecting agrees with a dictionary of names."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import imageconfig, reference
from orlop.core.descriptor import Descriptor
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.store.store import Store

_NAMES = [f"{path}:{tag}" for path in ("a", "b/c", "host.io/d") for tag in ("1", "2")]
_AUTHORS = ["", "x", "y", "z"]


class References(RuleBasedStateMachine):
    """Two openings of one store, used in turn, beside the model."""

    @initialize()
    def open(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="orlop-refs-"))
        self.stores = [Store(self.root), Store(self.root)]
        self.turn = 0
        self.names: dict[str, str] = {}
        self.images: set[str] = set()

    def teardown(self) -> None:
        for store in getattr(self, "stores", ()):
            store.close()
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    @property
    def store(self) -> Store:
        self.turn += 1
        return self.stores[self.turn % 2]

    @rule(author=st.sampled_from(_AUTHORS), names=st.sets(st.sampled_from(_NAMES), max_size=3))
    def add(self, author: str, names: set[str]) -> None:
        raw = imageconfig.encode(ImageConfig(Platform("linux", "amd64"), author=author))
        config = Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw))
        image = self.store.images.add(
            descriptors.make_manifest(config, ()), raw, (), references=tuple(map(reference.parse, sorted(names)))
        )
        self.images.add(str(image.id))
        self.names.update(dict.fromkeys(names, str(image.id)))

    @rule(name=st.sampled_from(_NAMES), place=st.integers(0, 5))
    def tag(self, name: str, place: int) -> None:
        if self.images:
            image = sorted(self.images)[place % len(self.images)]
            self.store.images.tag(reference.parse(name), digests.parse(image))
            self.names[name] = image

    @rule(name=st.sampled_from(_NAMES))
    def untag(self, name: str) -> None:
        had = self.store.images.untag(reference.parse(name))
        assert (None if had is None else str(had)) == self.names.pop(name, None)

    @rule(place=st.integers(0, 5))
    def remove(self, place: int) -> None:
        if self.images:
            image = sorted(self.images)[place % len(self.images)]
            removal = self.store.images.remove(digests.parse(image))
            names = {name for name, of in self.names.items() if of == image}
            assert {item.familiar for item in removal.untagged} == names
            self.images.discard(image)
            self.names = {name: of for name, of in self.names.items() if of != image}

    @rule(dangling=st.booleans())
    def collect(self, dangling: bool) -> None:
        self.store.collect(Job(), grace=0, dangling=dangling)
        if dangling:
            self.images &= set(self.names.values())

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "stores"):
            return
        store = self.store
        listed = store.images.list()
        assert {str(image.id) for image in listed} == self.images
        assert {item.familiar: str(image.id) for image in listed for item in image.references} == self.names
        for name in _NAMES[:2]:
            if name in self.names:
                assert str(store.images.find(name).id) == self.names[name]


References.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None, database=None)
test_references_agree_with_a_dictionary = References.TestCase
