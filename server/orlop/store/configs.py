"""Parsed image configurations, kept in memory by digest: a digest never changes its meaning."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime

import attrs

from orlop.core import errors, imageconfig
from orlop.core.digest import Digest
from orlop.core.imageconfig import ImageConfig
from orlop.store.blobs import Blobs

_LIMIT = 1024


@attrs.frozen(slots=True)
class _Entry:
    config: ImageConfig
    created: float


class Configs:
    """The newest 1024 configurations that were asked for. Thread-safe."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._guard = threading.Lock()
        self._entries: OrderedDict[Digest, _Entry] = OrderedDict()

    def get(self, digest: Digest) -> ImageConfig:
        """The configuration; raises `NotFound`, `Corrupt` or `Invalid`."""
        return self._entry(digest).config

    def created(self, digest: Digest) -> float:
        """Unix time of its `created`, 0 when it has none."""
        return self._entry(digest).created

    def chains(self, digest: Digest) -> tuple[Digest, ...]:
        """The chain IDs of its layers, lowest first; none when the configuration is lost."""
        try:
            return imageconfig.chain_ids(self._entry(digest).config.diff_ids)
        except errors.OrlopError:
            return ()

    def _entry(self, digest: Digest) -> _Entry:
        with self._guard:
            entry = self._entries.get(digest)
            if entry is not None:
                self._entries.move_to_end(digest)
                return entry
        config = imageconfig.parse(self._blobs.read(digest))
        entry = _Entry(config, _seconds(config.created))
        with self._guard:
            self._entries[digest] = entry
            if len(self._entries) > _LIMIT:
                self._entries.popitem(last=False)
        return entry


def _seconds(created: str | None) -> float:
    try:
        time = datetime.fromisoformat(created or "")
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
