"""Handlers of `image/*` but the build."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from orlop.core import errors, reference
from orlop.engine import imagefilters
from orlop.engine.engine import Engine
from orlop.protocol import images
from orlop.protocol.common import Empty
from orlop.rpc import convert
from orlop.rpc.dispatch import Call
from orlop.rpc.transfers import TransferTeller


class ImageHandlers:
    """Answers about images."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, params: images.ImageListParams, _: Call) -> images.ImageListResult:
        """All images, newest first, `limit` at a time."""
        revision = self._engine.store.journal.revision()
        every = self._engine.images.list(params.filter)
        start = int(params.cursor) if params.cursor and params.cursor.isdigit() else 0
        users = Counter(self._engine.containers.images_in_use())
        page = every[start : start + max(1, params.limit)]
        following = start + len(page)
        return images.ImageListResult(
            images=[convert.image_summary(image, users[str(image.id)]) for image in page],
            cursor=str(following) if following < len(every) else None,
            revision=revision,
        )

    def inspect(self, params: images.ImageNameParams, _: Call) -> images.ImageInspectResult:
        """Docker's document; as text, since arbitrary JSON must not mix with the protocol's."""
        document = self._engine.images.inspect(params.image)
        return images.ImageInspectResult(id=document["Id"], json=json.dumps(document, indent=4, ensure_ascii=False))

    def history(self, params: images.ImageNameParams, _: Call) -> images.ImageHistoryResult:
        """The steps of an image."""
        image = self._engine.images.find(params.image)
        rows = self._engine.images.history(params.image)
        return images.ImageHistoryResult(id=str(image.id), rows=[convert.history_row(row) for row in rows])

    def tag(self, params: images.ImageTagParams, _: Call) -> images.ImageTagResult:
        """Another name."""
        name = self._engine.images.tag(params.image, params.target)
        return images.ImageTagResult(reference=str(name), id=str(self._engine.images.find(str(name)).id))

    def remove(self, params: images.ImageRemoveParams, call: Call) -> images.ImageRemoveResult:
        """Untag or delete, or say what that would do."""
        removed = self._engine.images.remove(
            tuple(params.images), force=params.force, dry_run=params.dry_run, job=call.job()
        )
        return images.ImageRemoveResult(
            untagged=list(removed.untagged), deleted=list(removed.deleted), reclaimed=removed.reclaimed
        )

    def prune(self, params: images.ImagePruneParams, call: Call) -> images.ImageRemoveResult:
        """Remove images that nothing uses, or say which those are."""
        gone = self._engine.images.prune(
            all_unused=params.all,
            filters=imagefilters.parse(params.filters, imagefilters.PRUNING),
            dry_run=params.dry_run,
            job=call.job(),
        )
        return images.ImageRemoveResult(
            untagged=list(gone.untagged), deleted=list(gone.deleted), reclaimed=gone.reclaimed
        )

    def save(self, params: images.ImageSaveParams, call: Call) -> Empty:
        """Write an archive."""
        self._engine.images.save_file(tuple(params.images), Path(params.path), params.format, call.job())
        return Empty()

    def load(self, params: images.ImageLoadParams, call: Call) -> images.ImageLoadResult:
        """Read an archive."""
        loaded = self._engine.images.load(Path(params.path), call.job(TransferTeller(call)))
        return images.ImageLoadResult(
            loaded=[item.reference.familiar if item.reference else str(item.id) for item in loaded]
        )

    def validate_reference(self, params: images.ValidateReferenceParams, _: Call) -> images.ValidateReferenceResult:
        """Whether a text is a good name, and what is wrong if not."""
        try:
            name = reference.parse(params.text.strip()).or_latest()
        except errors.InvalidReference as error:
            return images.ValidateReferenceResult(problem=error.message, hint=error.hint, canonical=None)
        return images.ValidateReferenceResult(problem=None, hint=None, canonical=str(name))
