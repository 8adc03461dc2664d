"""What containers use: each bundle has a file `layers` that names its layers and its image, one a line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import attrs

from orlop.core.digest import Digest
from orlop.store import durable
from orlop.store.layout import Layout

_FILE = "layers"


@attrs.frozen
class ContainerUse:
    """One container: the layer ids it is mounted from, and the IDs of its images as text."""

    container: str
    layers: frozenset[str]
    images: frozenset[str]


def write(bundle: Path, layers: Iterable[str], image: Digest | None) -> None:
    """Note what a container uses; written before its first start, gone with its bundle."""
    lines = [*([] if image is None else [str(image)]), *layers]
    durable.write_file(bundle / _FILE, "".join(f"{line}\n" for line in lines).encode())


def read_all(layout: Layout) -> tuple[ContainerUse, ...]:
    """The uses of all bundles; a bundle without the file uses nothing yet."""
    try:
        names = sorted(os.listdir(layout.containers))
    except FileNotFoundError:
        return ()
    return tuple(use for name in names if (use := _read(layout.containers / name)) is not None)


def _read(bundle: Path) -> ContainerUse | None:
    try:
        words = (bundle / _FILE).read_text().split()
    except (FileNotFoundError, NotADirectoryError):
        return None if not bundle.is_dir() or bundle.name.startswith(".") else ContainerUse(
            bundle.name, frozenset(), frozenset()
        )  # fmt: skip
    images = frozenset(word for word in words if ":" in word)
    return ContainerUse(bundle.name, frozenset(words) - images, images)
