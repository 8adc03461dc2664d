"""JSON without the json package gives what the json package gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.runtime.linux import leanjson

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_any_value_goes_round_and_is_read_by_json(value: object) -> None:
    assert leanjson.loads(leanjson.dumps(value)) == value
    assert json.loads(leanjson.dumps(value)) == value
    assert (
        leanjson.loads(
            json.dumps(value, indent=1, ensure_ascii=False)
            .encode("utf-8", "surrogatepass")
            .decode("utf-8", "surrogatepass")
        )
        == value
    )


@given(st.text(max_size=30))
def test_what_json_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            leanjson.loads(text)
    else:
        if text.strip() != "NaN" and "NaN" not in text:
            assert leanjson.loads(text) == expected


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        leanjson.dumps({"a": {1}})
