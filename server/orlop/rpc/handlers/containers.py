"""Handlers of `container/*`, but for what needs a terminal (`sessions`)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import attrs

from orlop.core import reference as references
from orlop.engine.containers import CommitOptions
from orlop.engine.engine import Engine
from orlop.protocol import containers
from orlop.protocol.common import Empty
from orlop.rpc.dispatch import Call
from orlop.runtime.container import Container

_KINDS: Mapping[str, Literal["added", "changed", "deleted"]] = {"A": "added", "C": "changed", "D": "deleted"}
_STATS_SECONDS = 0.5


class ContainerHandlers:
    """Answers about containers and does things to them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, params: containers.ContainerListParams, _: Call) -> containers.ContainerListResult:
        """Newest first."""
        return containers.ContainerListResult(
            containers=[_summary(item) for item in self._engine.containers.list(every=params.all)]
        )

    def inspect(self, params: containers.ContainerNameParams, _: Call) -> containers.ContainerInspectResult:
        """Docker's document."""
        document = self._engine.containers.inspect(params.container)
        return containers.ContainerInspectResult(
            id=document["Id"], json=json.dumps(document, indent=4, ensure_ascii=False)
        )

    def start(self, params: containers.ContainerStartParams, call: Call) -> Empty:
        """In the background; its output is in its log."""
        self._engine.containers.start(params.container, call.job())
        return Empty()

    def restart(self, params: containers.ContainerRestartParams, call: Call) -> Empty:
        """Stop and start."""
        self._engine.containers.restart(params.container, call.job(), params.timeout)
        return Empty()

    def commit(self, params: containers.ContainerCommitParams, call: Call) -> containers.ContainerCommitResult:
        """Docker's commit."""
        options = CommitOptions(
            message=params.message, author=params.author, changes=tuple(params.changes), pause=params.pause
        )
        reference = params.reference or None
        image = self._engine.containers.commit(params.container, reference, options, call.job())
        base = self._engine.images.parent(image)
        return containers.ContainerCommitResult(
            id=str(image.id),
            reference=None if reference is None else references.parse(reference).or_latest().familiar,
            size=image.size - (base.size if base is not None else 0),
        )

    def diff(self, params: containers.ContainerNameParams, call: Call) -> containers.ContainerDiffResult:
        """What it changed."""
        rows = self._engine.containers.copies.changes(params.container, call.job())
        return containers.ContainerDiffResult(
            changes=[containers.ContainerChange(kind=_KINDS[kind], path=path) for kind, path in rows]
        )

    def stop(self, params: containers.ContainerStopParams, call: Call) -> Empty:
        """Ask, then kill."""
        self._engine.containers.stop(params.container, call.job(), params.timeout)
        return Empty()

    def kill(self, params: containers.ContainerKillParams, _: Call) -> Empty:
        """Send a signal."""
        self._engine.containers.kill(params.container, params.signal)
        return Empty()

    def remove(self, params: containers.ContainerRemoveParams, call: Call) -> containers.ContainerRemoveResult:
        """Remove each."""
        removed = [
            self._engine.containers.remove(name, call.job(), force=params.force).id for name in params.containers
        ]
        return containers.ContainerRemoveResult(removed=removed)

    def pause(self, params: containers.ContainerNameParams, call: Call) -> Empty:
        """Hold still."""
        self._engine.containers.pause(params.container, call.job())
        return Empty()

    def unpause(self, params: containers.ContainerNameParams, call: Call) -> Empty:
        """Go on."""
        self._engine.containers.unpause(params.container, call.job())
        return Empty()

    def rename(self, params: containers.ContainerRenameParams, call: Call) -> Empty:
        """Another name."""
        self._engine.containers.rename(params.container, params.name, call.job())
        return Empty()

    def prune(self, params: containers.ContainerPruneParams, call: Call) -> containers.ContainerPruneResult:
        """Those that do not run, exactly the ones that were shown when `only` says so."""
        ended = [each for each in self._engine.containers.list(every=True) if not each.alive]
        if params.only is not None:
            ended = [each for each in ended if each.id in params.only]
        if not params.dry_run:
            gone = self._engine.containers.prune(call.job(), tuple(each.id for each in ended))
            ended = [each for each in ended if each.id in gone]
        return containers.ContainerPruneResult(containers=[_summary(each) for each in ended])

    def stats(self, params: containers.ContainerStatsParams, call: Call) -> Empty:
        """A look about once a second, as long as one of them runs."""
        job = call.job()
        while True:
            looks = 0
            for each, used in self._engine.containers.usage(tuple(params.containers), job):
                if used is not None:
                    event = containers.ContainerUse(id=each.id, name=each.name, **attrs.asdict(used))
                    call.stream.push(event)
                    looks += 1
            call.stream.flush()
            if not looks or params.partial_result_token is None:
                return Empty()
            call.token.wait(_STATS_SECONDS)
            job.checkpoint()


def _summary(item: Container) -> containers.ContainerSummary:
    code = item.exit.code if item.exit is not None else None
    ended = f"{'Restarting' if item.status == 'restarting' else 'Exited'} ({code})"
    status = {"created": "Created", "running": "Up", "paused": "Paused"}.get(item.status, ended)
    health = item.health.status if item.health is not None and item.pid is not None else None
    return containers.ContainerSummary(
        id=item.id,
        name=item.name,
        image=item.image.name,
        image_id=item.image.id,
        command=shlex.join(item.spec.args),
        created=datetime.fromtimestamp(item.created, UTC).isoformat(),
        state=item.status,
        status=status,
        exit_code=code,
        started=_time(item.started),
        finished=_time(item.finished),
        ports=[
            containers.ContainerPort(
                host=port.host, host_port=port.host_port, container_port=port.container_port, protocol=port.protocol
            )
            for port in item.ports
        ],
        labels=dict(item.labels),
        tty=item.spec.tty,
        interactive=item.spec.stdin_open,
        auto_remove=item.auto_remove,
        health=health,
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
