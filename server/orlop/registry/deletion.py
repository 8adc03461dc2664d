"""Deletion of tags and manifests at a registry, aware of all the tags that go with a manifest."""

from __future__ import annotations

import attrs

from orlop.core import errors
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.reference import Reference
from orlop.registry import listing, manifests
from orlop.registry.manifests import Place
from orlop.registry.transport import Transport


@attrs.frozen
class Deleted:
    """What went, or would go: these tags, and the manifest itself unless other tags keep it."""

    tags: tuple[str, ...]
    digest: Digest
    manifest: bool


def tags_of(transport: Transport, place: Place, digest: Digest, job: Job) -> tuple[str, ...]:
    """The tags of a repository that name a manifest; asks for each tag of the repository."""
    found = []
    for tag in listing.all_tags(transport, place, job):
        job.checkpoint()
        try:
            descriptor, _ = manifests.resolve(transport, place, tag, job)
        except (errors.ManifestUnknown, errors.Invalid):
            # Gone meanwhile, or nothing that we read: then it is another one.
            continue
        if descriptor.digest == digest:
            found.append(tag)
    return tuple(found)


def delete(
    transport: Transport, place: Place, reference: Reference, job: Job, *, force: bool = False, dry_run: bool = False
) -> Deleted:
    """Delete a tag, or by digest a manifest with all its tags.

    Registries that cannot delete a tag alone delete its manifest, which takes every other tag of it along: that is
    refused with `Conflict`, naming them, unless forced. Raises registry errors; `dry_run` changes nothing.
    """
    tag = None if reference.digest is not None else reference.or_latest().tag
    name = str(reference.digest) if tag is None else tag
    digest = manifests.resolve(transport, place, name, job)[0].digest
    others = tuple(one for one in tags_of(transport, place, digest, job) if one != tag)
    if tag is None:
        if not dry_run:
            _delete(transport, place, str(digest), job)
        return Deleted(others, digest, manifest=True)
    if dry_run:
        return Deleted((tag,), digest, manifest=not others)
    if _deletes_tag(transport, place, tag, job):
        return Deleted((tag,), digest, manifest=False)
    if others and not force:
        raise errors.Conflict(
            f"cannot delete only tag {tag}: {place.asked.domain} would delete {', '.join(others)} with it",
            hint="Force it to delete all of them, or move the tag to another image.",
        )
    _delete(transport, place, str(digest), job)
    return Deleted((tag, *others), digest, manifest=True)


def _deletes_tag(transport: Transport, place: Place, tag: str, job: Job) -> bool:
    """Whether the registry could delete the tag alone, and did."""
    with transport.request(
        "DELETE", place.endpoint, f"/v2/{place.path}/manifests/{tag}", asked=place.asked, job=job,
        scopes=_scopes(place), good=(202, 200, 204, 400, 404, 405, 415, 501),
    ) as answer:  # fmt: skip
        return answer.status < 300


def _delete(transport: Transport, place: Place, name: str, job: Job) -> None:
    with transport.request(
        "DELETE", place.endpoint, f"/v2/{place.path}/manifests/{name}", asked=place.asked, job=job,
        scopes=_scopes(place), good=(202, 200, 204),
    ):  # fmt: skip
        pass


def _scopes(place: Place) -> tuple[str, ...]:
    # Hub and the Docker registry know `delete`, others want all actions.
    return (f"repository:{place.path}:pull,push,delete",)
