"""The table of methods: strict on the way in, whole on the way out, and the editor's copy is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from orlop.protocol import builds, methods, typescript, wire

GENERATED = Path(__file__).parents[2] / "extension" / "src" / "protocol.gen.ts"


def test_the_generated_file_is_current() -> None:
    assert typescript.render() == GENERATED.read_text(encoding="utf-8"), "run `make protocol`"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "required field missing: context @ $.context"),
        ({"context": 5}, "expected str, got int @ $.context"),
        ({"context": "x", "tags": "a"}, "expected a list, got str @ $.tags"),
        ({"context": "x", "noCache": 1}, "expected bool, got int @ $.noCache"),
        ({"context": "x", "contxt": ""}, "unknown field: contxt @ $"),
        ({"context": "x", "network": "bridge"}, "expected one of 'default', 'none', 'host', got 'bridge' @ $.network"),
        ([], "expected an object, got a list @ $"),
        (None, "expected an object, got null @ $"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(data: object, complaint: str) -> None:
    with pytest.raises(wire.BadParams) as caught:
        wire.structure(data, builds.BuildParams)
    assert complaint == str(caught.value)


def test_defaults_and_tags_are_written_out() -> None:
    written = wire.unstructure(builds.StepLog(id=1, stream="stdout", text="x"))
    assert {"kind": "step-log", "id": 1, "stream": "stdout", "text": "x"} == written


def test_a_union_is_read_by_its_kind() -> None:
    assert builds.StepDone(id=1, seconds=2.0) == wire.structure(
        {"kind": "step-done", "id": 1, "seconds": 2}, builds.BuildEvent
    )


def test_names_are_noun_and_verb_and_stand_once() -> None:
    names = [row.name for row in (*methods.REQUESTS, *methods.NOTIFICATIONS)]
    assert sorted(set(names)) == sorted(names)
    assert all(name.count("/") == 1 for name in names)
