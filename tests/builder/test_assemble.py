from __future__ import annotations

import pytest
from planning import IMAGES, plan

from orlop.builder import assemble
from orlop.core.digest import of_bytes
from orlop.core.imageconfig import ImageConfig

BASE = IMAGES["docker.io/library/base:latest"]


def configuration(text: str, created: list[float], **options: object) -> ImageConfig:
    made = plan(text, **options)  # type: ignore[arg-type]
    return assemble.configuration(made, tuple(of_bytes(str(time).encode()) for time in created), created)


def told(config: ImageConfig) -> list[tuple[str | None, str, bool]]:
    return [(item.created, item.created_by, item.empty_layer) for item in config.history]


def test_history_goes_on_where_the_base_ends() -> None:
    config = configuration("FROM base\nENV a=1\nRUN x\nCMD y", [86400.5])
    assert told(config) == [
        ("2020-01-01T00:00:00Z", "base", False),
        ("2020-01-01T00:00:00Z", "cmd", True),
        ("1970-01-02T00:00:00.5Z", "ENV a=1", True),
        ("1970-01-02T00:00:00.5Z", "RUN /bin/sh -c x # buildkit", False),
        ("1970-01-02T00:00:00.5Z", 'CMD ["/bin/sh" "-c" "y"]', True),
    ]
    assert [item.comment for item in config.history[2:]] == ["buildkit.dockerfile.v0"] * 3
    assert config.created == "1970-01-02T00:00:00.5Z"
    assert config.author == "them"


def test_entries_before_the_first_new_layer_take_its_time() -> None:
    config = configuration("FROM scratch\nENV a=1\nRUN x\nRUN y", [10.0, 20.0])
    assert [item.created for item in config.history] == [
        "1970-01-01T00:00:10Z",
        "1970-01-01T00:00:10Z",
        "1970-01-01T00:00:20Z",
    ]


def test_metadata_alone_keeps_the_time_of_the_base() -> None:
    assert configuration("FROM base\nLABEL a=b", []).created == "2020-01-01T00:00:00Z"


def test_an_image_of_nothing_has_no_time_yet() -> None:
    assert configuration("FROM scratch\nLABEL a=b", []).created is None


def test_history_runs_through_all_stages_of_the_chain() -> None:
    text = "FROM scratch AS a\nRUN 1\nFROM a AS b\nLABEL x=y\nFROM b\nRUN 2"
    assert [item.created_by for item in configuration(text, [1.0, 2.0]).history] == [
        "RUN /bin/sh -c 1 # buildkit",
        "LABEL x=y",
        "RUN /bin/sh -c 2 # buildkit",
    ]


def test_labels_of_the_request_win() -> None:
    config = configuration("FROM base\nLABEL a=1 b=2", [], labels={"a": "9", "c": "3"})
    assert config.config.labels == {"a": "9", "b": "2", "c": "3"}


def test_source_date_epoch_dates_what_is_new_and_only_that() -> None:
    config = configuration("FROM base\nENV a=1\nRUN x", [86400.0], args={"SOURCE_DATE_EPOCH": "5"})
    assert [item.created for item in config.history] == [
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00Z",
        "1970-01-01T00:00:05Z",
        "1970-01-01T00:00:05Z",
    ]
    assert config.created == "1970-01-01T00:00:05Z"


def test_a_base_that_tells_too_little_history_gets_an_entry_for_each_layer() -> None:
    made = plan("FROM bare\nRUN x")
    config = assemble.configuration(made, (of_bytes(b"bare"), of_bytes(b"x")), [1.0])
    assert [item.empty_layer for item in config.history] == [False, False]
    assert config.history[0].comment == "imported from image"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1.25, "1970-01-01T00:00:01.25Z"),
        (1700000000.123456, "2023-11-14T22:13:20.123456Z"),
        (1.9999999, "1970-01-01T00:00:02Z"),
    ],
)
def test_times_are_written_as_rfc_3339(seconds: float, expected: str) -> None:
    assert assemble.timestamp(seconds) == expected
