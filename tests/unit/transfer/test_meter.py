"""A metered stream gives the bytes of its source and closes it."""

from __future__ import annotations

import io

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core.descriptor import Descriptor
from orlop.core.job import Job
from orlop.transfer.meter import Meter

DATA = bytes(range(256)) * 100
DESCRIPTOR = Descriptor("x", digests.of_bytes(DATA), len(DATA))


@pytest.mark.parametrize("size", [1000, len(DATA), len(DATA) * 2])
def test_reading_gives_every_byte(size: int) -> None:
    meter = Meter(io.BytesIO(DATA), DESCRIPTOR, Job())
    assert b"".join(iter(lambda: meter.read(size), b"")) == DATA


def test_it_can_be_buffered() -> None:
    assert io.BufferedReader(Meter(io.BytesIO(DATA), DESCRIPTOR, Job())).read() == DATA


def test_closing_closes_the_source_once() -> None:
    source = io.BytesIO(DATA)
    with Meter(source, DESCRIPTOR, Job()):
        pass
    assert source.closed


def test_a_cancelled_job_ends_the_reading() -> None:
    job = Job()
    meter = Meter(io.BytesIO(DATA), DESCRIPTOR, job)
    meter.read(10)
    job.token.cancel()
    with pytest.raises(errors.Cancelled):
        meter.read(10)
