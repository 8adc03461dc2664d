"""A process that adds, names, removes and collects as fast as it can, until it is killed or its time is over.

Usage: hammer.py ROOT SEED SECONDS. Prints a line after every image that is committed under a name of its own.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from orlop.core import descriptor as descriptors
from orlop.core import digest as digests
from orlop.core import errors, imageconfig, reference
from orlop.core.descriptor import Descriptor
from orlop.core.imageconfig import ImageConfig
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.core.platform import Platform
from orlop.store.cache import CacheRecord
from orlop.store.store import Store


def main() -> None:
    """Hammer."""
    root, seed, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    chance = random.Random(seed)
    store = Store(root)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        count += 1
        action = chance.choices((add, tag, remove, cache, loose, collect, look), (6, 2, 2, 3, 3, 2, 2))[0]
        action(store, chance, f"{seed}-{count}")
    store.close()


def add(store: Store, chance: random.Random, name: str) -> None:
    """Add an image of a few layers that other processes make too; half of them get a name of their own for good."""
    with store.leases.hold("hammer") as lease:
        layers = []
        for _ in range(chance.randrange(4)):
            content = str(chance.randrange(12))
            diff_id = digests.of_bytes(content.encode())
            lease.add(diff_id)
            known = store.layers.by_diff_id(diff_id)
            layers.append(known or make(store, chance, content, diff_id))
        raw = imageconfig.encode(
            ImageConfig(Platform("linux", "amd64"), diff_ids=tuple(layer.diff_id for layer in layers), author=name)
        )
        manifest = descriptors.make_manifest(
            Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw)),
            tuple(Descriptor(MediaType.OCI_LAYER, layer.diff_id, 1024) for layer in layers),
        )
        mine = chance.random() < 0.5
        kept = reference.parse(f"kept/{name}:1" if mine else f"shared:{chance.randrange(8)}")
        store.images.add(manifest, raw, tuple(layer.id for layer in layers), references=(kept,))
        if mine:
            # One write, so that the line is whole or missing.
            os.write(1, f"{kept.familiar} {digests.of_bytes(raw)}\n".encode())


def make(store, chance, content, diff_id):
    """A layer of one file, slowly enough to be killed in the middle."""
    with store.layers.new() as pending:
        for number in range(chance.randrange(1, 20)):
            (pending.diff / f"file{number}").write_text(content * 100)
        return pending.commit(size=len(content), diff_id=diff_id, tar_size=1024)


def tag(store: Store, chance: random.Random, name: str) -> None:
    """Move a shared name, or take it away."""
    images = store.images.list()
    if images and chance.random() < 0.7:
        try:
            store.images.tag(reference.parse(f"shared:{chance.randrange(8)}"), chance.choice(images).id)
        except errors.ImageNotFound:
            return
    else:
        store.images.untag(reference.parse(f"shared:{chance.randrange(8)}"))


def remove(store: Store, chance: random.Random, name: str) -> None:
    """Remove an image that has no name of its own."""
    images = [
        image for image in store.images.list() if not any(item.path.startswith("kept/") for item in image.references)
    ]
    if images:
        try:
            store.images.remove(chance.choice(images).id)
        except errors.ImageNotFound:
            return


def cache(store: Store, chance: random.Random, name: str) -> None:
    """Remember a step, and ask for another."""
    content = f"cache-{chance.randrange(6)}"
    with store.leases.hold("hammer"):
        layer = make(store, chance, content, digests.of_bytes(content.encode()))
        store.cache.put(CacheRecord(content, layer.id, "RUN", time.time(), time.time(), 1, {}))
        store.layers.get(layer.id)
        record = store.cache.get(f"cache-{chance.randrange(6)}")
        if record is not None and not store.layers.path(record.layer_id or "").is_dir():
            raise AssertionError(f"the layer of {record} went away under a lease")


def loose(store: Store, chance: random.Random, name: str) -> None:
    """Write a blob that no image has."""
    with store.leases.hold("hammer"):
        data = name.encode() * chance.randrange(1, 10_000)
        if store.blobs.read(store.blobs.put_bytes(data)) != data:
            raise AssertionError("a blob changed")


def collect(store: Store, chance: random.Random, name: str) -> None:
    """Collect without any grace."""
    store.collect(Job(), grace=0, dangling=chance.random() < 0.5, cache=chance.random() < 0.3)
    if chance.random() < 0.3:
        store.settle(Job())


def look(store: Store, chance: random.Random, name: str) -> None:
    """Every listed image that is still there must have all its parts."""
    for image in store.images.list():
        try:
            with store.leases.hold("hammer", [image.id]):
                found = store.images.get(image.id)
                if found.missing:
                    raise AssertionError(f"{image.id} lost {found.missing}")
                store.blobs.read(found.manifest.digest)
        except errors.ImageNotFound:
            continue
        return


if __name__ == "__main__":
    main()
