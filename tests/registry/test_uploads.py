"""Blobs arrive whole whatever registry and line do; `test_push_rootless` runs all once more unprivileged."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from orlop.core import errors
from orlop.core.job import CancelToken, Job, TransferProgress
from registry.lab import LARGE, MIB, Lab
from registry.pushlab import Fault, Proxy, Seen

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None or shutil.which("skopeo") is None,
    reason="docker-registry and skopeo are not installed (Debian has packages of these names)",
)


def test_a_registry_that_wants_lengths_gets_them(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.proxy.rule = lambda seen: Fault(411) if "transfer-encoding" in seen.headers else None
    lab.push(path)
    assert "PATCH" not in "".join(line for line in lab.proxy.told() if " 202" in line and "PATCH" in line)
    lab.check(path, image, tmp_path)
    assert not list((lab.shop.root / "store" / "ingest").iterdir())


def test_a_proxy_that_takes_only_little_at_once_gets_pieces(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)

    def rule(seen: Seen) -> Fault | None:
        length = int(seen.headers.get("content-length", 0))
        return Fault(413) if length > 5 * MIB or "transfer-encoding" in seen.headers else None

    lab.proxy.rule = rule
    lab.push(path)
    pieces = [one for one in lab.proxy.seen if one.method == "PATCH" and one.status == 202]
    ranges = [tuple(map(int, one.headers["content-range"].split("-"))) for one in pieces]
    assert len(pieces) > 3
    assert all(one.size <= 5 * MIB for one in pieces)
    assert [first for first, _ in ranges[1:]] == [last + 1 for _, last in ranges[:-1]]
    lab.check(path, image, tmp_path)


def test_pieces_are_no_smaller_than_the_registry_wants(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)
    lab.proxy.rule = lambda seen: (
        Fault(413) if (seen.method == "PUT" and seen.size + int(seen.headers.get("content-length", 0)) > MIB)
        or "transfer-encoding" in seen.headers else None
    )  # fmt: skip

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "POST":
            headers["OCI-Chunk-Min-Length"] = str(18 * MIB)

    lab.proxy.change = change
    lab.push(path)
    sizes = [one.size for one in lab.proxy.seen if one.method == "PATCH" and one.status == 202]
    assert sizes[0] == 18 * MIB
    lab.check(path, image, tmp_path)


def test_a_piece_that_was_cut_off_is_sent_in_a_new_session(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)
    cut: list[str] = []

    def rule(seen: Seen) -> Fault | None:
        length = int(seen.headers.get("content-length", 0))
        if "transfer-encoding" in seen.headers or length > 6 * MIB:
            return Fault(413)
        if seen.method == "PATCH" and not cut and not seen.headers["content-range"].startswith("0-"):
            cut.append(seen.path)
            return Fault(0, after=MIB, forward=True)
        return None

    lab.proxy.rule = rule
    lab.push(path)
    assert cut
    lab.check(path, image, tmp_path)


def test_a_registry_that_lost_bytes_without_a_word_is_noticed(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path, LARGE)
    lied: list[str] = []
    lab.proxy.rule = lambda seen: (
        Fault(413)
        if "transfer-encoding" in seen.headers or int(seen.headers.get("content-length", 0)) > 6 * MIB
        else None
    )

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "PATCH" and len(lied) == 1:
            headers["Range"] = f"0-{30 * MIB}"
        if seen.method == "PATCH" and seen.status == 202:
            lied.append(seen.path)

    lab.proxy.change = change
    lab.push(path)
    # It is asked what it has, rather than believed.
    assert any("/blobs/uploads/" in line for line in lab.proxy.told("GET"))
    lab.check(path, image, tmp_path)


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_stream_that_breaks_is_sent_anew(lab: Lab, path: str, tmp_path: Path, after: int) -> None:
    image = lab.image(path)
    broken: list[str] = []

    def rule(seen: Seen) -> Fault | None:
        if seen.method == "PATCH" and not broken:
            broken.append(seen.path)
            return Fault(0, after=after, forward=True)
        return None

    lab.proxy.rule = rule
    lab.push(path)
    assert broken
    assert any("trying again" in note for note in lab.notes())
    lab.check(path, image, tmp_path)


def test_an_answer_that_got_lost_is_asked_for(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lost: list[str] = []

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "PUT" and "/blobs/" in seen.path and seen.size == 0 and not lost:
            lost.append(seen.path)
            seen.status = 502

    lab.proxy.change = change
    lab.push(path)
    assert lost
    # It was there: nothing is sent twice.
    assert len(lab.proxy.told("PATCH")) == 1
    lab.check(path, image, tmp_path)


def test_a_busy_registry_is_given_time(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    refused: list[int] = []

    def rule(seen: Seen) -> Fault | None:
        if seen.method in ("PATCH", "PUT") and len(refused) < 3:
            refused.append([503, 429, 500][len(refused)])
            return Fault(refused[-1], headers={"Retry-After": "0"})
        return None

    lab.proxy.rule = rule
    lab.push(path)
    assert refused == [503, 429, 500]
    lab.check(path, image, tmp_path)


def test_a_registry_that_never_recovers_is_given_up(lab: Lab, path: str) -> None:
    lab.image(path)
    lab.fresh(attempts=3)
    lab.proxy.rule = lambda seen: Fault(503) if seen.method == "PATCH" else None
    with pytest.raises(errors.RegistryError, match="is failing"):
        lab.push(path)
    assert len(lab.proxy.told("PATCH")) == 3
    assert not any("/manifests/" in line for line in lab.proxy.told("PUT"))


def test_a_token_that_ends_in_mid_upload_is_renewed(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    lab.proxy.tokens = True
    lab.login("joe")
    ended: list[str] = []

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if seen.method == "POST" and len(ended) < 2:
            ended.append(seen.path)
            lab.proxy.valid.clear()

    lab.proxy.change = change
    lab.push(path)
    assert ended
    refused = [one for one in lab.proxy.seen if one.status == 401 and one.method in ("PATCH", "PUT")]
    assert refused
    assert any("pull%2Cpush" in one or "pull,push" in one for one in lab.proxy.fetched)
    lab.proxy.tokens = False
    lab.check(path, image, tmp_path)


def test_cancelling_leaves_nothing_there(lab: Lab, path: str) -> None:
    lab.image(path, LARGE)
    token = CancelToken()
    begun = threading.Event()

    def rule(seen: Seen) -> Fault | None:
        if seen.method == "PATCH":
            begun.set()
        return None

    lab.proxy.rule = rule

    def hear(event: Any) -> None:
        if isinstance(event, TransferProgress) and event.done > 8 * MIB:
            token.cancel()

    with pytest.raises(errors.Cancelled):
        lab.push(path, job=Job(hear, token))
    assert begun.is_set()
    assert any("/blobs/uploads/" in line for line in lab.proxy.told("DELETE"))
    assert not any("/manifests/" in line for line in lab.proxy.told("PUT"))
    assert lab.images.find(str(lab.name(path))).repo_digests == ()


def test_a_location_is_used_as_it_is_given(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)
    elsewhere = Proxy(lab.proxy.backend)
    try:
        lab.proxy.tokens = True
        lab.login("joe")

        def change(seen: Seen, headers: dict[str, str]) -> None:
            if seen.method == "POST":
                # To another host, as some registries do for the bytes.
                where = headers["Location"].partition("/v2/")[2]
                headers["Location"] = f"http://{elsewhere.host}/v2/{where}"

        lab.proxy.change = change
        lab.push(path)
        sent = [one for one in elsewhere.seen if one.method in ("PATCH", "PUT")]
        assert sent
        assert all("authorization" not in one.headers for one in sent)
        assert all("_state=" in one.path for one in sent)
    finally:
        elsewhere.close()
    lab.proxy.tokens = False
    lab.check(path, image, tmp_path)


def test_a_relative_location_is_understood(lab: Lab, path: str, tmp_path: Path) -> None:
    image = lab.image(path)

    def change(seen: Seen, headers: dict[str, str]) -> None:
        if "Location" in headers:
            headers["Location"] = "/v2/" + headers["Location"].partition("/v2/")[2]

    lab.proxy.change = change
    lab.push(path)
    lab.check(path, image, tmp_path)
