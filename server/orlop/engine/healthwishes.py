"""How a container's health is checked: what the image says, as a person changed it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from orlop.core import errors
from orlop.core.imageconfig import Healthcheck
from orlop.engine import wishes
from orlop.runtime.spec import Health

if TYPE_CHECKING:
    from orlop.engine.creation import RunOptions

_SECOND = 1_000_000_000
_SHELL = ("/bin/sh", "-c")


def check(image: Healthcheck | None, options: RunOptions) -> Healthcheck | None:
    """The check of a container; what is not asked for is the image's. Raises `Invalid` (docker/cli, container/opts.go).

    `--no-healthcheck` leaves a test `NONE`, so that an image that is committed of the container has none either.
    """
    times = {
        name: wishes.duration(text, f"--health-{name.replace('_', '-')}")
        for name, text in (
            ("interval", options.health_interval), ("timeout", options.health_timeout),
            ("start_period", options.health_start_period), ("start_interval", options.health_start_interval),
        )
        if text is not None
    }  # fmt: skip
    if options.health_retries is not None and options.health_retries < 0:
        raise errors.Invalid("--health-retries cannot be negative")
    if options.no_healthcheck:
        if times or options.health_cmd or options.health_retries:
            raise errors.Invalid("--no-healthcheck conflicts with --health-* options", hint="Leave one of them out.")
        return Healthcheck(("NONE",))
    test = ("CMD-SHELL", options.health_cmd) if options.health_cmd else image.test if image is not None else ()
    if options.health_cmd is None and not times and options.health_retries is None:
        return image
    merged = attrs.evolve(image or Healthcheck(()), test=test, **{name: time for name, time in times.items() if time})
    return attrs.evolve(merged, retries=options.health_retries or merged.retries)


def health(found: Healthcheck | None, shell: tuple[str, ...] | None) -> Health | None:
    """How to carry it out, None when there is nothing to; `shell` is the image's. Zero means Docker's default."""
    match found.test if found is not None else ():
        case ("CMD", *args) if args:
            program = tuple(args)
        case ("CMD-SHELL", text):
            program = (*(shell or _SHELL), text)
        case _:
            return None
    assert found is not None
    usual = Health(args=program)
    return Health(
        args=program,
        interval=found.interval / _SECOND or usual.interval,
        timeout=found.timeout / _SECOND or usual.timeout,
        start_period=found.start_period / _SECOND,
        start_interval=found.start_interval / _SECOND or usual.start_interval,
        retries=found.retries if found.retries > 0 else usual.retries,
    )
