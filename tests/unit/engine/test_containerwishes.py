"""Restart policies, health checks and limits as people write them."""

from __future__ import annotations

import re

import pytest

from orlop.core import errors
from orlop.core.imageconfig import Healthcheck
from orlop.engine import healthwishes, limits, wishes
from orlop.engine.creation import RunOptions
from orlop.engine.limits import LimitWishes
from orlop.runtime.spec import Health, Limits, Restart

SECOND = 1_000_000_000
IMAGE = Healthcheck(("CMD-SHELL", "curl x"), interval=3 * SECOND, retries=7)


def test_restart_policies() -> None:
    assert wishes.restart("") == wishes.restart("no") == wishes.restart("no:0") == Restart("no", 0)
    assert wishes.restart("always") == Restart("always")
    assert wishes.restart("unless-stopped") == Restart("unless-stopped")
    assert wishes.restart("on-failure") == wishes.restart("on-failure:") == Restart("on-failure", 0)
    assert wishes.restart("on-failure:4") == Restart("on-failure", 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":3", "no policy provided before colon"),
        ("on-failure:x", "must be an integer"),
        ("on-failure:-1", "cannot be negative"),
        ("always:2", "can only be used with 'on-failure'"),
        ("sometimes", "unknown policy 'sometimes'"),
    ],
)
def test_what_is_no_policy(text: str, said: str) -> None:
    with pytest.raises(errors.Invalid, match=said):
        wishes.restart(text)


def _check(image: Healthcheck | None, **asked: object) -> Healthcheck | None:
    return healthwishes.check(image, RunOptions(image="x", **asked))  # type: ignore[arg-type]


def test_flags_change_the_check_of_the_image() -> None:
    assert _check(IMAGE) is IMAGE
    assert _check(None) is None
    own = _check(IMAGE, health_cmd="true", health_timeout="1m30s", health_interval="0s")
    assert own == Healthcheck(("CMD-SHELL", "true"), interval=3 * SECOND, timeout=90 * SECOND, retries=7)
    assert _check(IMAGE, no_healthcheck=True) == Healthcheck(("NONE",))
    for bad in (
        {"no_healthcheck": True, "health_cmd": "x"}, {"health_interval": "5"}, {"health_timeout": "1us"},
        {"health_retries": -1}, {"health_interval": "-3s"},
    ):  # fmt: skip
        with pytest.raises(errors.Invalid):
            _check(IMAGE, **bad)


def test_a_check_becomes_a_program_with_the_usual_times() -> None:
    usual = healthwishes.health(Healthcheck(("CMD", "a", "b")), None)
    assert usual == Health(args=("a", "b"), interval=30, timeout=30, start_period=0, start_interval=5, retries=3)
    shelled = healthwishes.health(IMAGE, ("/bin/bash", "-xc"))
    assert shelled == Health(args=("/bin/bash", "-xc", "curl x"), interval=3, retries=7)
    for nothing in (None, Healthcheck(("NONE",)), Healthcheck(()), Healthcheck(("CMD",))):
        assert healthwishes.health(nothing, None) is None


def test_limits_are_changed_one_by_one_and_taken_away_by_zero() -> None:
    first = limits.wished(LimitWishes(memory="64m", memory_swap="128m", cpus=1.5, cpuset_cpus="0-2,4"))
    assert first == Limits(memory=64 << 20, memory_swap=128 << 20, cpus=1.5, cpuset_cpus="0-2,4")
    assert limits.wished(LimitWishes(pids_limit=9, cpu_shares=2, memory_swap="-1"), first) == Limits(
        64 << 20, 9, 1.5, memory_swap=-1, cpu_shares=2, cpuset_cpus="0-2,4"
    )
    assert limits.wished(LimitWishes(memory="0", memory_swap="0", cpus=0, cpuset_cpus=""), first) == Limits()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (LimitWishes(memory="1m"), "least is 6m"),
        (LimitWishes(memory="256m"), "smaller than the memory-swap limit"),
        (LimitWishes(memory_swap="32m"), "larger than the memory limit"),
        (LimitWishes(memory_reservation="65m"), "memory reservation limit"),
        (LimitWishes(memory="0"), "always set the memory limit"),
        (LimitWishes(cpuset_cpus="a"), "--cpuset-cpus"),
        (LimitWishes(cpus=-1), "--cpus"),
        (LimitWishes(cpu_shares=-1), "--cpu-shares"),
    ],
)
def test_limits_that_make_no_sense(asked: LimitWishes, said: str) -> None:
    with pytest.raises(errors.Invalid, match=re.escape(said)):
        limits.wished(asked, Limits(memory=64 << 20, memory_swap=128 << 20))
