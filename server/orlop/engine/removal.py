"""Taking images away: by name or ID, and all that nothing uses; what goes is said in Docker's order and words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

import attrs

from orlop.core import errors, imageconfig
from orlop.core import reference as references
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.engine import imagefilters
from orlop.engine.imagefilters import Filters
from orlop.store.gc import Collected
from orlop.store.images import Image
from orlop.store.store import Store


@attrs.frozen
class Removed:
    """What went (or would go), in order: `("untagged", familiar name)` or `("deleted", digest)`; bytes given back.

    A deleted digest is that of an image, or the chain ID of a layer that no image has any more.
    """

    records: tuple[tuple[str, str], ...]
    reclaimed: int

    @property
    def untagged(self) -> tuple[str, ...]:
        """The names."""
        return tuple(name for kind, name in self.records if kind == "untagged")

    @property
    def deleted(self) -> tuple[str, ...]:
        """The digests."""
        return tuple(name for kind, name in self.records if kind == "deleted")


@attrs.frozen
class _Step:
    """What one name on the command line means: names that go, and whether the image goes with them."""

    image: Image
    names: tuple[Reference, ...]
    deletes: bool


class Removal:
    """The use-cases; `in_use` and `running` give the names of an image's containers, all of them and those that run."""

    def __init__(
        self,
        store: Store,
        find: Callable[[str], Image],
        in_use: Callable[[Digest], tuple[str, ...]],
        running: Callable[[Digest], tuple[str, ...]],
    ) -> None:
        self._store = store
        self._find = find
        self._in_use = in_use
        self._running = running

    def remove(self, names: tuple[str, ...], *, force: bool, dry_run: bool, job: Job) -> Removed:
        """Untag by name, delete by ID or with the last name; nothing is done when one of them is refused.

        Raises `Conflict` for an image that containers use: a stopped one lets go when it is forced, a running one lets
        only the names go, and for an ID whose image has names in several repositories, unless it is forced.
        """
        steps: list[_Step] = []
        gone: set[tuple[Digest, Reference]] = set()
        for name in names:
            job.checkpoint()
            step = self._step(self._find(name), name, gone, force=force)
            gone.update((step.image.id, reference) for reference in step.names)
            steps.append(step)
        return self._perform(steps, dry_run=dry_run, job=job)

    def prune(self, *, all_unused: bool, filters: Filters, dry_run: bool, now: datetime, job: Job) -> Removed:
        """Remove nameless images, or with `all_unused` every image without a container, that the filters keep."""
        for name, value in filters:
            if name == "dangling":
                all_unused = not imagefilters.boolean(value)
        every = self._store.images.list()
        chosen = imagefilters.select(
            tuple(image for image in every if all_unused or not image.references),
            tuple(item for item in filters if item[0] != "dangling"), self._find, now,
        )  # fmt: skip
        unused = [image for image in chosen if not self._in_use(image.id)]
        collected = self._store.collect(job, dry_run=dry_run, images=frozenset(str(image.id) for image in unused))
        return Removed(told(unused, collected), collected.reclaimed)

    def _step(self, image: Image, name: str, gone: set[tuple[Digest, Reference]], *, force: bool) -> _Step:
        left = [reference for reference in _all_names(image) if (image.id, reference) not in gone]
        named = as_reference(image, name)
        if named is None:
            self._check_id(image, force=force)
            return _Step(image, tuple(left), deletes=True)
        going = [named]
        if not any(other.tag and other != named and other.repository == named.repository for other in left):
            # The last tag of a repository takes the digests along by which the image is known there.
            going += [other for other in left if other.repository == named.repository and other != named]
        if any(reference not in going for reference in left):
            return _Step(image, tuple(going), deletes=False)
        if not force:
            self._check_unused(image)
        return _Step(image, tuple(going), deletes=not self._running(image.id))

    def _check_id(self, image: Image, *, force: bool) -> None:
        running = self._running(image.id)
        if running:
            raise errors.Conflict(
                f"cannot remove image {image.id.short}: container {running[0]} runs from it",
                hint=f"Remove the container first: orlop rm -f {running[0]}.",
            )
        if force:
            return
        self._check_unused(image)
        if len({reference.repository for reference in image.references}) > 1:
            names = ", ".join(reference.familiar for reference in image.references)
            raise errors.Conflict(
                f"cannot remove image {image.id.short}: it has names in several repositories ({names})",
                hint="Remove it by name, or force it.",
            )

    def _check_unused(self, image: Image) -> None:
        users = self._in_use(image.id)
        if users:
            raise errors.Conflict(
                f"cannot remove image {image.id.short}: container {users[0]} uses it",
                hint=f"Remove the container first (orlop rm {users[0]}), or force it.",
            )

    def _perform(self, steps: list[_Step], *, dry_run: bool, job: Job) -> Removed:
        doomed = frozenset(str(step.image.id) for step in steps if step.deletes)
        if not dry_run:
            for step in steps:
                for reference in step.names if not step.deletes else ():
                    self._store.images.untag(reference)
                if step.deletes:
                    self._store.images.remove(step.image.id)
        if not doomed:
            return Removed(_records(steps, frozenset()), 0)
        collected = self._store.collect(job, dry_run=dry_run, images=doomed)
        return Removed(_records(steps, collected.layers), collected.reclaimed)


def told(images: Iterable[Image], collected: Collected) -> tuple[tuple[str, str], ...]:
    """The lines about those of `images` that a collection took."""
    gone = {item.name for item in collected.items if item.kind == "image"}
    steps = [_Step(image, _all_names(image), deletes=True) for image in images if str(image.id) in gone]
    return _records(steps, collected.layers)


def as_reference(image: Image, name: str) -> Reference | None:
    """The name of the image that a text spells; None when it is an ID."""
    try:
        reference = references.parse(name).or_latest()
    except errors.InvalidReference:
        return None
    spelled = reference.with_digest(reference.digest) if reference.digest else reference
    return spelled if spelled in _all_names(image) else None


def _all_names(image: Image) -> tuple[Reference, ...]:
    return (*image.references, *image.repo_digests)


def _records(steps: Iterable[_Step], gone: Collection[str]) -> tuple[tuple[str, str], ...]:
    """A line each; a layer is told once, by its chain ID, as Docker tells it."""
    records: list[tuple[str, str]] = []
    seen: set[str] = set()
    for step in steps:
        records += [("untagged", reference.familiar) for reference in step.names]
        if not step.deletes:
            continue
        records.append(("deleted", str(step.image.id)))
        chains = imageconfig.chain_ids(step.image.config.diff_ids)
        for chain, layer in reversed(tuple(zip(chains, step.image.layers, strict=False))):
            if layer.id in gone and layer.id not in seen:
                seen.add(layer.id)
                records.append(("deleted", str(chain)))
    return tuple(records)
