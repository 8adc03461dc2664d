"""Does what a step asks for, on a new layer that exists only if all went well."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from orlop.builder.contexthash import ContextHasher, Selection
from orlop.builder.operations import CopyOp, RunOp, Step, WorkdirOp
from orlop.builder.ops import add, copy, run, workdir
from orlop.builder.ops.networks import Networks
from orlop.core.job import Job
from orlop.rootfs import snapshots
from orlop.rootfs.workshop import Workshop
from orlop.store.layers import Layer, PendingLayer
from orlop.store.store import Store

Chain = tuple[Layer, ...]


@attrs.frozen(kw_only=True)
class Performer:
    """What steps work with; one for a whole build, used from its threads.

    `selections` are what steps take from the context at `context_root`, by step id.
    """

    store: Store
    workshop: Workshop
    context_root: str
    selections: Mapping[int, Selection]
    hasher: ContextHasher
    networks: Networks

    def __call__(self, step: Step, base: Chain, source: Chain, job: Job) -> tuple[Layer, bool]:
        """The layer that `step` makes on `base`, copying from `source`; and whether it may serve again.

        Raises `BuildFailed`, `Unavailable` or `Cancelled`, and leaves nothing then.
        """
        with self.store.layers.new() as pending:
            size = self._perform(step, base, source, pending, job)
            job.checkpoint()
            layer = pending.commit(size=size)
        return layer, self._is_true(step, job)

    def _perform(self, step: Step, base: Chain, source: Chain, pending: PendingLayer, job: Job) -> int:
        match step.operation:
            case RunOp() as operation:
                rootfs = snapshots.rootfs(self.store, base, pending)
                return run.perform(operation, step.id, rootfs, self.workshop, self.networks, job)
            case CopyOp() as operation:
                return copy.perform(
                    operation,
                    snapshots.target(self.store, base, pending),
                    self.workshop,
                    job,
                    context_root=self.context_root,
                    selection=self.selections.get(step.id),
                    source=snapshots.lowers(self.store, source) if source else None,
                    is_archive=lambda match: add.is_archive(self.context_root, match),
                )
            case WorkdirOp() as operation:
                return workdir.perform(operation, snapshots.target(self.store, base, pending), self.workshop, job)

    def _is_true(self, step: Step, job: Job) -> bool:
        """Whether the layer holds what its key says: not if a file changed between hashing and copying."""
        selection = self.selections.get(step.id)
        changed = self.hasher.changed(selection) if selection is not None else None
        if changed is None:
            return True
        job.note(f"{changed} changed while the build read it: this step will run again next time", "warning")
        return False
