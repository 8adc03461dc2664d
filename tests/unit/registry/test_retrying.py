from __future__ import annotations

import email.utils

import pytest

from orlop.registry.retrying import Policy, human, retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("0", 1.0), ("985µs", 1.0), ("-3", 1.0), ("soon", 1.0), ("", None), ("99999999999999", 999999999.0)],
)
def test_retry_after_is_at_least_a_second(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.formatdate(1000040, usegmt=True)
    assert retry_after({"Retry-After": date}, now=lambda: 1000000.0) == 40.0
    assert retry_after({"Retry-After": date}, now=lambda: 2000000.0) == 1.0


def test_waits_double_and_end_with_the_attempts() -> None:
    policy = Policy(attempts=4, backoff=1.0, chance=lambda: 0.0)
    assert [policy.wait(attempt) for attempt in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, None]


def test_chance_spreads_clients_but_never_shortens_what_was_asked() -> None:
    policy = Policy(attempts=4, backoff=1.0, chance=lambda: 1.0)
    assert policy.wait(1) == 1.5
    assert (policy.wait(1, {"Retry-After": "5"}) or 0) >= 5.0


def test_nobody_waits_for_hours() -> None:
    assert Policy(longest=60).wait(1, {"Retry-After": "3600"}) is None


def test_times_are_readable() -> None:
    assert [human(5), human(300), human(7200)] == ["5 s", "5 min", "2.0 h"]
