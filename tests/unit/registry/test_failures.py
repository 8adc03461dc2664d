from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.core import errors
from orlop.registry import failures
from orlop.registry.broken import Broken
from orlop.registry.failures import Asked


def _asked(action: str = "pull", domain: str = "docker.io", repository: str = "joe/x", account: str = "") -> Asked:
    return Asked(action=action, subject=f"{repository}:1", domain=domain, repository=repository, account=account)


def _body(code: str, message: str = "the registry's words") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, _body("UNAUTHORIZED"), errors.Unauthorized),
        (403, _body("DENIED"), errors.Denied),
        (404, _body("MANIFEST_UNKNOWN"), errors.ManifestUnknown),
        (404, _body("NAME_UNKNOWN"), errors.ManifestUnknown),
        (404, _body("BLOB_UNKNOWN"), errors.RegistryError),
        (429, b"Too Many Requests (HAP429)", errors.RateLimited),
        (400, _body("TOOMANYREQUESTS"), errors.RateLimited),
        (405, _body("UNSUPPORTED"), errors.RegistryError),
        (413, b"<html>413</html>", errors.RegistryError),
        (503, b"", errors.RegistryError),
        (418, b"{}", errors.RegistryError),
    ],
)
def test_every_status_has_its_error_with_a_remedy(status: int, body: bytes, kind: type[errors.OrlopError]) -> None:
    error = failures.from_answer(status, {}, body, _asked())
    assert type(error) is kind
    assert error.message.startswith("cannot pull joe/x:1: ")
    assert error.hint
    assert error.hint.endswith(".")


def test_the_registrys_own_words_are_kept() -> None:
    assert failures.from_answer(403, {}, _body("DENIED"), _asked()).detail == "the registry's words"
    assert failures.read(b'{"details":"incorrect"}').text == "incorrect"
    assert failures.read(b'{"message":"m"}').text == "m"
    assert failures.read(b"plain\nrest").text == "plain"
    assert failures.read(b"<html><h1>502</h1></html>").text == ""


def test_a_denied_push_names_the_account_and_the_remedy() -> None:
    foreign = failures.from_answer(403, {}, _body("DENIED"), _asked("push", repository="jane/x", account="joe"))
    assert "account joe" in foreign.message
    assert "joe/x" in (foreign.hint or "")
    library = failures.from_answer(403, {}, _body("DENIED"), _asked("push", repository="library/x", account="joe"))
    assert "joe/x" in (library.hint or "")
    anonymous = failures.from_answer(403, {}, _body("DENIED"), _asked("push"))
    assert "orlop login`" in (anonymous.hint or "")


def test_an_unknown_pull_from_hub_may_be_private() -> None:
    error = failures.from_answer(401, {}, _body("UNAUTHORIZED"), _asked())
    assert "does not exist, or it is private" in error.message


def test_a_rate_limit_says_how_long_and_how_to_get_more() -> None:
    error = failures.from_answer(429, {"Retry-After": "600"}, b"", _asked())
    assert error.retryable
    assert "10 min" in (error.hint or "")
    assert "orlop login" in (error.hint or "")
    spent = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}
    assert "Wait, 6.0 h at most, or log in" in (failures.from_answer(429, spent, b"", _asked()).hint or "")
    named = failures.from_answer(429, {}, b"", _asked(account="joe"))
    assert "joe" in (named.hint or "")


@pytest.mark.parametrize("kind", ["name", "connect", "proxy", "tls", "plain", "timeout", "dropped"])
def test_every_broken_connection_has_cause_and_remedy(kind: str) -> None:
    error = failures.from_broken(Broken(kind, "why"), "r.example", _asked())
    assert "r.example" in error.message
    assert error.hint
    assert error.retryable


def test_an_expired_certificate_sends_to_the_clock() -> None:
    error = failures.from_broken(Broken("tls", "certificate has expired"), "r.example", _asked())
    assert "clock" in (error.hint or "")


@given(st.binary(max_size=200))
def test_any_body_is_read_as_one_printable_line(body: bytes) -> None:
    text = failures.read(body).text
    assert text.isprintable()
    assert len(text) <= 300


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["errors", "code", "message", "details"]), inner)
        ),
    )
)
def test_any_json_is_read_without_failing(data: object) -> None:
    failures.read(json.dumps(data).encode())
