"""States of a file system: layers under a new one that is being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orlop.rootfs import merged
from orlop.runtime.spec import Rootfs
from orlop.store.layers import Layer, PendingLayer
from orlop.store.store import Store


def lowers(store: Store, layers: Sequence[Layer]) -> list[str]:
    """The directories of layers (given lowest first) as overlayfs wants them, topmost first."""
    return merged.visible([str(store.layers.path(layer.id)) for layer in reversed(layers)])


def target(store: Store, base: Sequence[Layer], pending: PendingLayer) -> dict[str, Any]:
    """The parameters of a worker's task that writes `pending` upon `base`."""
    return {"lowers": lowers(store, base), "upper": str(pending.diff), "work": str(pending.work)}


def rootfs(store: Store, base: Sequence[Layer], pending: PendingLayer, *, volatile: bool = True) -> Rootfs:
    """A container's root file system that writes `pending` upon `base`; `volatile` when a crash may lose it."""
    return Rootfs(
        lowers=tuple(lowers(store, base)),
        upper=str(pending.diff),
        work=str(pending.work),
        volatile=volatile,
        skeleton=str(store.root / "skeleton"),
    )
