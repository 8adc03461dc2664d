from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orlop.registry.challenge import choose, parse


def test_a_bearer_challenge_gives_realm_service_and_scopes() -> None:
    (one,) = parse(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:a/b:pull,push repository:c:pull",error="insufficient_scope"'
    )
    assert (one.scheme, one.realm, one.service) == ("bearer", "https://auth.docker.io/token", "registry.docker.io")
    assert one.scopes == ("repository:a/b:pull,push", "repository:c:pull")
    assert one.error == "insufficient_scope"


def test_several_challenges_in_one_header_are_told_apart() -> None:
    found = parse('Negotiate, NTLM TlRMTVNTUAAB==, Basic realm="a, b", Bearer realm=https://x/t')
    assert [one.scheme for one in found] == ["negotiate", "ntlm", "basic", "bearer"]
    assert found[2].realm == "a, b"
    assert found[3].realm == "https://x/t"


def test_quotes_and_blanks_are_understood() -> None:
    (one,) = parse('bearer  Realm = "https://h/a\\"b" , SERVICE=x')
    assert one.realm == 'https://h/a"b'
    assert one.service == "x"


def test_bearer_is_chosen_before_basic_and_what_we_cannot_do_is_passed_over() -> None:
    assert choose(parse('Basic realm="x", Bearer realm="https://h/t"')).scheme == "bearer"  # type: ignore[union-attr]
    assert choose(parse('Bearer error="x", Basic realm="x"')).scheme == "basic"  # type: ignore[union-attr]
    assert choose(parse("Negotiate")) is None
    assert choose(()) is None


@given(st.text(max_size=80))
def test_any_header_is_read_without_failing(text: str) -> None:
    for one in parse(text):
        assert one.scheme == one.scheme.lower()
        assert one.scheme


@given(st.dictionaries(st.sampled_from(["realm", "service", "scope", "error"]), st.text(max_size=20)))
def test_what_is_quoted_comes_back(parameters: dict[str, str]) -> None:
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
    header = "Bearer " + ",".join(f'{name}="{value}"' for name, value in escaped.items())
    (one,) = parse(header)
    assert dict(one.parameters) == parameters
