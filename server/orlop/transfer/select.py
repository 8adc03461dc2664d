"""Picks the image for a platform out of an index."""

from __future__ import annotations

from collections.abc import Iterator

from orlop.core import errors, mediatype, platform
from orlop.core.content import Reader
from orlop.core.descriptor import Descriptor, Index, Manifest
from orlop.core.job import Job
from orlop.core.platform import Platform

_DEPTH = 4


def select(source: Reader, index: Index, wanted: Platform, job: Job) -> tuple[Descriptor, Manifest]:
    """The best fitting image of an index, nested indexes included; raises `NotFound` naming what there is.

    Attestations are never picked (they say they are for unknown/unknown). An entry that names no platform is picked
    only if it is the only image.
    """
    entries = list(_images(source, index, job, _DEPTH))
    named = [(entry, entry.platform) for entry in entries if entry.platform is not None]
    position = platform.choose(wanted, (offered for _, offered in named))
    if position is not None:
        chosen = named[position][0]
    elif len(entries) == 1 and not named:
        chosen = entries[0]
    else:
        raise _nothing_fits(wanted, sorted({str(offered) for _, offered in named}))
    document = source.document(chosen)
    if not isinstance(document, Manifest):
        raise errors.Invalid(f"index says that {chosen.digest} is an image, but it is an index")
    return chosen, document


def _images(source: Reader, index: Index, job: Job, depth: int) -> Iterator[Descriptor]:
    if depth == 0:
        raise errors.Invalid(f"image index is nested more than {_DEPTH} deep")
    for entry in index.manifests:
        job.checkpoint()
        if mediatype.is_index(entry.media_type):
            document = source.document(entry)
            if isinstance(document, Index):
                yield from _images(source, document, job, depth - 1)
        elif mediatype.is_manifest(entry.media_type) and not _is_attestation(entry):
            yield entry


def _is_attestation(entry: Descriptor) -> bool:
    return entry.is_attestation or (entry.platform is not None and entry.platform.os == "unknown")


def _nothing_fits(wanted: Platform, offered: list[str]) -> errors.NotFound:
    if not offered:
        return errors.NotFound(f"cannot pick an image for {wanted}: the index has none")
    return errors.NotFound(
        f"cannot pick an image for {wanted}: the index has none", hint=f"Choose one of {', '.join(offered)}."
    )
