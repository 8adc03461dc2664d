"""Image names in every spelling people use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.core import errors, reference

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"),
        ("library/x", "docker.io/library/x", "x"),
        ("mobydock/app", "docker.io/mobydock/app", "mobydock/app"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
        ("foo:5000", "docker.io/library/foo:5000", "foo:5000"),
        ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"),
        ("ghcr.io/a/b/c@sha256:" + HEX, "ghcr.io/a/b/c@sha256:" + HEX, "ghcr.io/a/b/c@sha256:" + HEX),
        ("a/b__c.d-e---f", "docker.io/a/b__c.d-e---f", "a/b__c.d-e---f"),
    ],
)
def test_a_name_has_one_canonical_and_one_familiar_spelling(text: str, canonical: str, familiar: str) -> None:
    parsed = reference.parse(text)
    assert (canonical, familiar) == (str(parsed), parsed.familiar)


@pytest.mark.parametrize(
    "text",
    ["", "A", "a//b", "a/", "/a", "a:", "a:b:c", "a b", "-a", "a__-b", HEX, "a@sha256:12", "a:.x", "x" * 256],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidReference):
        reference.parse(text)


def test_an_upper_case_name_is_refused_with_its_lower_case_form() -> None:
    with pytest.raises(errors.InvalidReference) as caught:
        reference.parse("docker.io/MyApp:Tag")
    assert "docker.io/myapp:Tag" in (caught.value.hint or "")


@given(st.text())
def test_any_text_parses_or_is_refused_and_a_parsed_name_parses_again(text: str) -> None:
    try:
        parsed = reference.parse(text)
    except errors.InvalidReference:
        return
    assert parsed == reference.parse(str(parsed)) == reference.parse(parsed.familiar)
