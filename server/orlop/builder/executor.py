"""Carries out a plan: finds what is cached, runs the rest, one thread for each stage that is really needed.

A stage is needed when the target is built from it, or when a step that must run copies from it. All needed stages
start at once; a stage waits only where it uses another's result. The first failure stops the others, and everything
half-made is gone before it is reported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

import attrs

from orlop.builder import events, steplock
from orlop.builder.cachekey import Keys
from orlop.builder.operations import CopyOp, ImageOrigin, StageOrigin, Step
from orlop.builder.plan import ImageBase, Plan, ScratchBase, StageBase, StagePlan
from orlop.core import errors
from orlop.core.job import CancelToken, Job
from orlop.core.reference import Reference
from orlop.store.cache import CacheRecord
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
class MadeLayer:
    """A layer of the final image that a step made, and when (seconds since the epoch)."""

    layer: Layer
    created: float


@attrs.frozen(slots=True)
class Executed:
    """The final stage: layers of its base image, then those of the steps, lowest first; and how much was cached."""

    base: Chain
    made: tuple[MadeLayer, ...]
    cached: int
    total: int


class Executor:
    """Runs one plan once."""

    def __init__(
        self,
        plan: Plan,
        keys: Keys,
        images: Mapping[Reference, Chain],
        store: Store,
        perform: Performer,
        seal: Callable[[Layer, Job], Layer],
        now: Callable[[], float],
        *,
        no_cache: bool,
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._images = images
        self._store = store
        self._perform = perform
        self._seal = seal
        self._now = now
        self._no_cache = no_cache
        self._stages: dict[int, Future[tuple[MadeLayer, ...]]] = {}
        self._cached = 0
        self._count = threading.Lock()
        self._final = {stage.index for stage in plan.chain(plan.target)}

    def run(self, job: Job) -> Executed:
        """Everything the target needs; raises the first failure, or `Cancelled`."""
        token = CancelToken()
        inner = Job(job.tell, token)
        release = job.token.on_cancel(token.cancel)
        try:
            records = {} if self._no_cache else self._lookup()
            needed = self._needed(records)
            self._tell_skipped(needed, job)
            return self._run_stages(needed, records, inner)
        except errors.Cancelled:
            job.checkpoint()
            raise
        finally:
            release()

    def _run_stages(self, needed: list[int], records: dict[int, CacheRecord], job: Job) -> Executed:
        self._stages = {index: Future() for index in needed}
        sealer = _Sealer(self._seal, job)
        threads = [
            threading.Thread(
                target=self._stage_thread, args=(self._plan.stages[index], records, sealer, job), name=f"stage-{index}"
            )
            for index in needed[:-1]
        ]
        for thread in threads:
            thread.start()
        self._stage_thread(self._plan.stages[needed[-1]], records, sealer, job)
        for thread in threads:
            thread.join()
        sealed = sealer.finish()
        self._raise_first_failure()
        base, made = self._chain(self._plan.target)
        final = tuple(attrs.evolve(item, layer=sealed.get(item.layer.id, item.layer)) for item in made)
        return Executed(base, final, self._cached, sum(len(stage.steps) for stage in self._plan.stages.values()))

    def _lookup(self) -> dict[int, CacheRecord]:
        found = ((step, self._store.cache.get(key)) for step, key in self._keys.steps.items())
        return {step: record for step, record in found if record is not None and record.layer_id is not None}

    def _needed(self, records: Mapping[int, CacheRecord]) -> list[int]:
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
            waiting += [origin.index for step in stage.steps if step.id not in records and (origin := _origin(step))]
        found.discard(self._plan.target)
        return [*sorted(found), self._plan.target]

    def _tell_skipped(self, needed: list[int], job: Job) -> None:
        for index, stage in self._plan.stages.items():
            if index not in needed:
                for step in stage.steps:
                    self._tell_cached(step, job)

    def _stage_thread(
        self, stage: StagePlan, records: Mapping[int, CacheRecord], sealer: _Sealer, job: Job
    ) -> None:
        future = self._stages[stage.index]
        try:
            future.set_result(self._stage(stage, records, sealer, job))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, raised again by `run`
            future.set_exception(error)
            job.token.cancel()

    def _stage(
        self, stage: StagePlan, records: Mapping[int, CacheRecord], sealer: _Sealer, job: Job
    ) -> tuple[MadeLayer, ...]:
        if isinstance(stage.base, ImageBase):
            job.tell(events.StepStarted(stage.base.step.id, self._now()))
            job.tell(events.StepDone(stage.base.step.id, 0.0))
        below: Chain = ()
        match stage.base:
            case StageBase(index=index):
                self._stages[index].result()
                base, made = self._chain(index)
                below = (*base, *(item.layer for item in made))
            case ImageBase(reference=name):
                below = self._images[name]
            case ScratchBase():
                pass
        layers: list[MadeLayer] = []
        for step in stage.steps:
            job.checkpoint()
            here = (*below, *(item.layer for item in layers))
            layers.append(self._step(step, here, records.get(step.id), job))
            if stage.index in self._final:
                sealer.add(layers[-1].layer)
        return tuple(layers)

    def _step(self, step: Step, base: Chain, record: CacheRecord | None, job: Job) -> MadeLayer:
        made = self._from_record(record)
        if made is not None:
            self._tell_cached(step, job)
            return made
        if self._no_cache:
            return self._run_step(step, base, job)
        key = self._keys.steps[step.id]
        with steplock.held(self._store.root / "locks", key, job):
            # Somebody else may have finished the same step while we waited for the lock.
            made = self._from_record(self._store.cache.get(key))
            if made is not None:
                self._tell_cached(step, job)
                return made
            return self._run_step(step, base, job)

    def _from_record(self, record: CacheRecord | None) -> MadeLayer | None:
        if record is None or record.layer_id is None:
            return None
        try:
            return MadeLayer(self._store.layers.get(record.layer_id), record.created)
        except errors.NotFound:
            return None

    def _run_step(self, step: Step, base: Chain, job: Job) -> MadeLayer:
        started, clock = self._now(), time.monotonic()
        job.tell(events.StepStarted(step.id, started))
        try:
            layer, reusable = self._perform(step, base, self._source(step), job)
        except errors.Cancelled:
            raise
        except errors.OrlopError as error:
            error.location = error.location or step.location
            job.tell(events.StepFailed(step.id, error.message, error.location))
            raise
        created = self._now()
        if reusable:
            self._remember(step, layer, created)
        job.tell(events.StepDone(step.id, time.monotonic() - clock))
        return MadeLayer(layer, created)

    def _remember(self, step: Step, layer: Layer, created: float) -> None:
        self._store.cache.put(
            CacheRecord(
                key=self._keys.steps[step.id],
                layer_id=layer.id,
                description=step.created_by,
                created=created,
                last_used=created,
                size=layer.size,
                data={},
            )
        )

    def _source(self, step: Step) -> Chain:
        if not isinstance(step.operation, CopyOp):
            return ()
        origin = step.operation.origin
        if isinstance(origin, StageOrigin):
            self._stages[origin.index].result()
            base, made = self._chain(origin.index)
            return (*base, *(item.layer for item in made))
        return self._images[origin.reference] if isinstance(origin, ImageOrigin) else ()

    def _chain(self, index: int) -> tuple[Chain, tuple[MadeLayer, ...]]:
        """The layers of a finished stage and of all below it."""
        stages = self._plan.chain(index)
        first = stages[0].base
        base = self._images[first.reference] if isinstance(first, ImageBase) else ()
        return base, tuple(item for stage in stages for item in self._stages[stage.index].result())

    def _tell_cached(self, step: Step, job: Job) -> None:
        with self._count:
            self._cached += 1
        job.tell(events.StepCached(step.id))

    def _raise_first_failure(self) -> None:
        failures = [error for future in self._stages.values() if (error := future.exception()) is not None]
        real = [error for error in failures if not isinstance(error, errors.Cancelled)]
        for error in (*real, *failures):
            raise error


class _Sealer:
    """Computes the diff IDs of final layers on one more thread while the next steps run."""

    def __init__(self, seal: Callable[[Layer, Job], Layer], job: Job) -> None:
        self._seal = seal
        self._job = job
        self._waiting: list[Layer] = []
        self._sealed: dict[str, Layer] = {}
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, layer: Layer) -> None:
        """Seal this layer, soon."""
        if layer.diff_id is not None:
            return
        with self._changed:
            self._waiting.append(layer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="seal")
                self._thread.start()
            self._changed.notify()

    def finish(self) -> dict[str, Layer]:
        """Wait for the rest; the sealed layers by id. Raises what sealing raised."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None and not isinstance(self._failure, errors.Cancelled):
            raise self._failure
        return self._sealed

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                layer = self._waiting.pop(0)
            try:
                self._sealed[layer.id] = self._seal(layer, self._job)
            except BaseException as error:  # noqa: BLE001 - raised again by `finish`
                self._failure = error
                self._job.token.cancel()
                return


def _origin(step: Step) -> StageOrigin | None:
    if isinstance(step.operation, CopyOp) and isinstance(step.operation.origin, StageOrigin):
        return step.operation.origin
    return None
