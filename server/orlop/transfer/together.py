"""Runs parts of one operation at once; the first that fails stops the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from orlop.core import errors
from orlop.core.job import CancelToken, Job

_Result = TypeVar("_Result")


def together(acts: Sequence[Callable[[Job], _Result]], job: Job, parallel: int) -> list[_Result]:
    """The results, in the order of `acts`; each gets a job that ends when this one does or when one of them fails.

    Raises the failure that stopped the others, after all have ended.
    """
    if not acts:
        return []
    token = CancelToken()
    release = job.token.on_cancel(token.cancel)
    inner = Job(job.tell, token)
    try:
        with ThreadPoolExecutor(min(parallel, len(acts)), thread_name_prefix="transfer") as pool:
            futures = [pool.submit(_stopping, act, inner) for act in acts]
    finally:
        release()
    job.checkpoint()
    failures = [failure for failure in map(_failure, futures) if failure is not None]
    # Those that were stopped because of another say no more than that.
    for failure in sorted(failures, key=lambda item: isinstance(item, errors.Cancelled)):
        raise failure
    return [future.result() for future in futures]


def _stopping(act: Callable[[Job], _Result], job: Job) -> _Result:
    try:
        return act(job)
    except BaseException:
        job.token.cancel()
        raise


def _failure(future: Future[_Result]) -> BaseException | None:
    return future.exception()
