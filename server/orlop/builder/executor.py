"""Carries out a plan: takes what is cached, runs the rest, one thread for each stage that is really needed.

A stage is needed when the target is built from it, or when a step that must run copies from it. All needed stages
start at once; a stage waits only where it uses another's result. The first failure stops the others, and everything
half-made is gone before it is reported.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

import attrs

from orlop.builder import cachekey, events, provenance, steplock
from orlop.builder.cachekey import Keys
from orlop.builder.operations import ContextOrigin, CopyOp, ImageOrigin, StageOrigin, Step
from orlop.builder.plan import ImageBase, Plan, ScratchBase, StageBase, StagePlan
from orlop.builder.results import Result, Results
from orlop.builder.sealing import Seal, Sealer
from orlop.core import errors
from orlop.core.job import CancelToken, Job
from orlop.core.reference import Reference
from orlop.store.layers import Layer
from orlop.store.store import Store

Chain = tuple[Layer, ...]


class Performer(Protocol):
    """Does what a step asks for."""

    def __call__(self, step: Step, base: Chain, source: Chain, job: Job) -> tuple[Layer, bool]:
        """The layer that `step` makes on `base`, copying from `source` if it copies from another state.

        And whether the layer may serve again. Raises `BuildFailed`; nothing is left when it raises anything.
        """


@attrs.frozen(slots=True)
class Executed:
    """The final stage: the layers of its base image, the results of its steps, lowest first; how much was cached."""

    base: Chain
    made: tuple[Result, ...]
    cached: int
    total: int


@attrs.frozen(slots=True)
class _Ended:
    """A stage's own results, all its layers, and the state it ends in."""

    results: tuple[Result, ...]
    layers: Chain
    state: str


class Executor:
    """Runs one plan once; `contents` are the content digests of what steps take from the context, by step id."""

    def __init__(
        self,
        plan: Plan,
        keys: Keys,
        contents: Mapping[int, str],
        images: Mapping[Reference, Chain],
        results: Results,
        store: Store,
        perform: Performer,
        seal: Seal,
        now: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._contents = contents
        self._images = images
        self._results = results
        self._store = store
        self._perform = perform
        self._seal = seal
        self._now = now
        self._stages: dict[int, Future[_Ended]] = {}
        self._cached = 0
        self._count = threading.Lock()
        self._final = {stage.index for stage in plan.chain(plan.target)}

    def run(self, job: Job) -> Executed:
        """Everything the target needs; raises the first failure, or `Cancelled`."""
        token = CancelToken()
        inner = Job(job.tell, token)
        release = job.token.on_cancel(token.cancel)
        try:
            needed = self._needed()
            self._tell_skipped(needed, job)
            return self._run_stages(needed, inner)
        except errors.Cancelled:
            job.checkpoint()
            raise
        finally:
            release()

    def _run_stages(self, needed: list[int], job: Job) -> Executed:
        self._stages = {index: Future() for index in needed}
        sealer = Sealer(self._seal, job)
        stages = [self._plan.stages[index] for index in needed]
        threads = [
            threading.Thread(target=self._stage_thread, args=(stage, sealer, job), name=f"stage-{stage.index}")
            for stage in stages[:-1]
        ]
        for thread in threads:
            thread.start()
        self._stage_thread(stages[-1], sealer, job)
        for thread in threads:
            thread.join()
        sealer.finish()
        self._raise_first_failure()
        chain = self._plan.chain(self._plan.target)
        results = [result for stage in chain for result in self._stages[stage.index].result().results]
        layers = self._stages[self._plan.target].result().layers
        return Executed(
            base=layers[: len(layers) - len(results)],
            made=tuple(attrs.evolve(result, layer=sealer.sealed(result.layer)) for result in results),
            cached=self._cached,
            total=sum(len(stage.steps) for stage in self._plan.stages.values()),
        )

    def _needed(self) -> list[int]:
        """The stages to go through; the target last, since this very thread takes it."""
        found: set[int] = set()
        waiting = [self._plan.target]
        while waiting:
            index = waiting.pop()
            if index in found:
                continue
            found.add(index)
            stage = self._plan.stages[index]
            if isinstance(stage.base, StageBase):
                waiting.append(stage.base.index)
            for step in stage.steps:
                other = step.source_stage
                if other is not None and self._results.find(self._keys.steps[step.id]) is None:
                    waiting.append(other)
        found.discard(self._plan.target)
        return [*sorted(found), self._plan.target]

    def _tell_skipped(self, needed: list[int], job: Job) -> None:
        for index, stage in self._plan.stages.items():
            if index not in needed:
                for step in stage.steps:
                    self._tell_cached(step, job)

    def _stage_thread(self, stage: StagePlan, sealer: Sealer | None, job: Job) -> None:
        future = self._stages[stage.index]
        try:
            future.set_result(self._stage(stage, sealer, job))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, raised again by `run`
            future.set_exception(error)
            job.token.cancel()

    def _stage(self, stage: StagePlan, sealer: Sealer | None, job: Job) -> _Ended:
        if isinstance(stage.base, ImageBase):
            job.tell(events.StepStarted(stage.base.step.id, self._now()))
            job.tell(events.StepDone(stage.base.step.id, 0.0))
        layers: Chain = ()
        state = self._keys.starts[stage.index]
        match stage.base:
            case StageBase(index=index):
                below = self._ended(index, job)
                layers, state = below.layers, below.state
            case ImageBase(reference=name):
                layers = self._images[name]
            case ScratchBase():
                pass
        results: list[Result] = []
        for step in stage.steps:
            job.checkpoint()
            result = self._step(step, state, layers, job)
            results.append(result)
            layers, state = (*layers, result.layer), result.state
            if sealer is not None and stage.index in self._final:
                sealer.add(result.layer)
        return _Ended(tuple(results), layers, state)

    def _step(self, step: Step, state: str, base: Chain, job: Job) -> Result:
        key = cachekey.of_step(state, step.operation, self._source_key(step))
        result = self._results.find(key)
        if result is not None:
            self._tell_cached(step, job)
            return result
        with self._lock(key, job):
            # Somebody else may have finished the same step while we waited for the lock.
            result = self._results.find(key, again=True)
            source = () if result is not None else self._source(step, job)
            second = None if result is not None else self._second_key(step, state, source)
            if result is None and second is not None:
                result = self._results.find(second)
                if result is not None:
                    self._results.keep(key, result, step.created_by)
            if result is not None:
                self._tell_cached(step, job)
                return result
            return self._run_step(step, key, second, base, source, job)

    def _lock(self, key: str, job: Job) -> contextlib.AbstractContextManager[None]:
        """Without a cache nobody wants the result of another."""
        if self._results.no_cache:
            return contextlib.nullcontext()
        return steplock.held(self._store.root / "locks", key, job)

    def _run_step(self, step: Step, key: str, second: str | None, base: Chain, source: Chain, job: Job) -> Result:
        clock = time.monotonic()
        job.tell(events.StepStarted(step.id, self._now()))
        try:
            layer, reusable = self._perform(step, base, source, job)
        except errors.Cancelled:
            raise
        except errors.OrlopError as error:
            error.location = error.location or step.location
            job.tell(events.StepFailed(step.id, error.message, error.location))
            raise
        result = Result(layer, self._now(), key)
        if reusable:
            for name in filter(None, (key, second)):
                self._results.keep(name, result, step.created_by)
        job.tell(events.StepDone(step.id, time.monotonic() - clock))
        return result

    def _ended(self, index: int, job: Job) -> _Ended:
        """A stage's end; waits for it. Goes through it here and now if nobody expected that it would be needed."""
        with self._count:
            future = self._stages.get(index)
            unexpected = future is None
            if future is None:
                future = self._stages[index] = Future()
        if unexpected:
            self._stage_thread(self._plan.stages[index], None, job)
        return future.result()

    def _source_key(self, step: Step) -> str:
        """What stands in a step's key for the files it copies."""
        if not isinstance(step.operation, CopyOp):
            return ""
        match step.operation.origin:
            case ContextOrigin():
                return self._contents[step.id]
            case ImageOrigin(reference=name):
                return self._keys.images[name]
            case StageOrigin(index=other):
                running = self._stages.get(other)
                return running.result().state if running else self._keys.end(self._plan.stages[other])

    def _source(self, step: Step, job: Job) -> Chain:
        """The layers of the state that a step copies from."""
        other = step.source_stage
        if other is not None:
            return self._ended(other, job).layers
        if isinstance(step.operation, CopyOp) and isinstance(step.operation.origin, ImageOrigin):
            return self._images[step.operation.origin.reference]
        return ()

    def _second_key(self, step: Step, state: str, source: Chain) -> str | None:
        if not isinstance(step.operation, CopyOp) or not source:
            return None
        trees = [(layer.id, self._store.layers.path(layer.id)) for layer in source]
        deciding = provenance.deciding(trees, step.operation.sources)
        return None if deciding is None else cachekey.of_copy_by_layers(state, step.operation, deciding)

    def _tell_cached(self, step: Step, job: Job) -> None:
        with self._count:
            self._cached += 1
        job.tell(events.StepCached(step.id))

    def _raise_first_failure(self) -> None:
        failures = [error for future in self._stages.values() if (error := future.exception()) is not None]
        real = [error for error in failures if not isinstance(error, errors.Cancelled)]
        for error in (*real, *failures):
            raise error
