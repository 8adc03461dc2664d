"""Manifests and configurations: what is not understood survives, what lies is refused."""

from __future__ import annotations

import json

import pytest

from orlop.core import descriptor, digest, errors, imageconfig, platform
from orlop.core.descriptor import Descriptor
from orlop.core.mediatype import MediaType

LAYER = Descriptor(MediaType.OCI_LAYER, digest.of_bytes(b"layer"), 5)
CONFIG = Descriptor(MediaType.OCI_CONFIG, digest.of_bytes(b"config"), 6)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    made = descriptor.make_manifest(CONFIG, (LAYER,))
    assert made == descriptor.parse_document(made.raw, MediaType.OCI_MANIFEST)


@pytest.mark.parametrize(
    ("document", "served_as"),
    [
        ({"schemaVersion": 2, "manifests": [], "layers": [], "mediaType": MediaType.OCI_INDEX}, None),
        ({"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": []}, MediaType.OCI_MANIFEST),
        ({"schemaVersion": 1, "fsLayers": []}, None),
        (
            {"schemaVersion": 2, "config": {"size": -1, "digest": str(LAYER.digest), "mediaType": "x"}, "layers": []},
            None,
        ),
        ([], None),
    ],
)
def test_a_document_that_says_two_things_is_refused(document: object, served_as: str | None) -> None:
    with pytest.raises(errors.Invalid):
        descriptor.parse_document(json.dumps(document).encode(), served_as)


def test_unknown_keys_of_a_configuration_survive() -> None:
    data = {
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "x-mine": {"a": 1},
        "config": {"Env": ["A=b"], "OpenStdin": False, "Healthcheck": {"Test": ["NONE"]}},
    }  # fmt: skip
    written = json.loads(imageconfig.encode(imageconfig.parse(json.dumps(data).encode())))
    assert (data["x-mine"], data["config"]) == (written["x-mine"], written["config"])


def test_an_unset_command_is_not_an_empty_one() -> None:
    assert imageconfig.read_run_config({"Cmd": None}).command is None
    assert imageconfig.read_run_config({"Cmd": []}).command == ()


def test_chain_ids_are_those_of_the_specification() -> None:
    first, second = digest.of_bytes(b"1"), digest.of_bytes(b"2")
    assert (first, digest.of_bytes(f"{first} {second}".encode())) == imageconfig.chain_ids((first, second))


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v5"], 0),
        ("linux/amd64", ["linux/386"], 0),
        ("linux/amd64", ["linux/arm64", "windows/amd64"], None),
    ],
)
def test_the_platform_that_fits_best_is_chosen(wanted: str, offered: list[str], chosen: int | None) -> None:
    assert chosen == platform.choose(platform.parse(wanted), map(platform.parse, offered))


def test_streamed_bytes_are_checked_against_their_digest() -> None:
    import io

    data = b"x" * 10
    assert data == b"".join(digest.verified(io.BytesIO(data), digest.of_bytes(data), 10, "blob"))
    with pytest.raises(errors.Corrupt):
        list(digest.verified(io.BytesIO(b"y" * 10), digest.of_bytes(data), 10, "blob"))
    with pytest.raises(errors.Corrupt):
        list(digest.verified(io.BytesIO(data + b"x"), digest.of_bytes(data), 10, "blob"))
