"""The image for a platform is picked out of an index; attestations never are."""

from __future__ import annotations

import pytest

from orlop.core import errors, platform
from orlop.core.job import Job
from orlop.core.platform import Platform
from orlop.transfer.select import select

_ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}
_UNKNOWN = Platform("unknown", "unknown")


def _pick(source, descriptor, wanted: str):
    return select(source, source.document(descriptor), platform.parse(wanted), Job())


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v6"),
        ("linux/386", None),
        ("windows/amd64", None),
        ("linux/arm/v5", None),
    ],
)
def test_the_best_fitting_platform_is_picked(source, make, wanted: str, expected: str | None) -> None:
    offered = ["linux/arm/v6", "linux/amd64", "linux/arm64"]
    entries = {text: make.image(text.encode(), platform=platform.parse(text)) for text in offered}
    index = make.index(*entries.values(), make.image(b"a", platform=_UNKNOWN, annotations=_ATTESTATION))
    if expected is None:
        with pytest.raises(errors.NotFound) as caught:
            _pick(source, index, wanted)
        assert caught.value.hint == "Choose one of linux/amd64, linux/arm/v6, linux/arm64."
    else:
        chosen, manifest = _pick(source, index, wanted)
        assert chosen == entries[expected]
        assert manifest == source.documents[chosen.digest]


def test_nested_indexes_are_looked_through(source, make) -> None:
    inner = make.image(b"x")
    index = make.index(make.index(make.image(b"y", platform=Platform("linux", "s390x"))), make.index(inner))
    assert _pick(source, index, "linux/amd64")[0] == inner


def test_endless_nesting_is_refused(source, make) -> None:
    descriptor = make.image(b"x")
    for _ in range(6):
        descriptor = make.index(descriptor)
    with pytest.raises(errors.Invalid):
        _pick(source, descriptor, "linux/amd64")


def test_the_only_image_is_picked_when_it_names_no_platform(source, make) -> None:
    image = make.image(b"x", platform=None)
    index = make.index(image, make.image(b"a", platform=None, annotations=_ATTESTATION))
    assert _pick(source, index, "linux/amd64")[0] == image


def test_an_index_of_attestations_alone_has_no_image(source, make) -> None:
    index = make.index(make.image(b"a", platform=_UNKNOWN))
    with pytest.raises(errors.NotFound) as caught:
        _pick(source, index, "linux/amd64")
    assert "the index has none" in caught.value.message


def test_entries_that_are_no_images_are_passed_over(source, make) -> None:
    image = make.image(b"x")
    index = make.index(make.blob(b"{}", "application/vnd.something+json"), image)
    assert _pick(source, index, "linux/amd64")[0] == image
