"""Docker's inspect documents and history rows, so that scripts written for Docker read ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from orlop.core import imageconfig
from orlop.core.imageconfig import ImageConfig
from orlop.store.images import Image


@attrs.frozen
class HistoryRow:
    """One row of the history, newest first; `id` is None where Docker prints `<missing>`."""

    id: str | None
    created: str | None
    created_by: str
    size: int
    comment: str
    empty_layer: bool


def history(image: Image, parent_of: Callable[[Image], Image | None] = lambda _: None) -> tuple[HistoryRow, ...]:
    """The rows of an image, its newest step first, which carries the image's ID.

    Steps that were committed one by one carry the IDs of their images as well, as far as `parent_of` finds them.
    """
    layers = list(image.layers)
    rows: list[HistoryRow] = []
    steps = image.config.history or _unknown_steps(len(layers))
    for step in steps:
        size = layers.pop(0).size if not step.empty_layer and layers else 0
        rows.append(HistoryRow(None, step.created, step.created_by, size, step.comment, step.empty_layer))
    rows.reverse()
    here: Image | None = image
    for number, row in enumerate(rows):
        if here is None:
            break
        rows[number] = attrs.evolve(row, id=str(here.id))
        here = _one_step_before(here, parent_of)
    return tuple(rows)


def inspect(image: Image, tagged: float | None = None) -> dict[str, Any]:
    """The object that `docker image inspect` prints for it; `tagged` is the Unix time of its newest name."""
    config = image.config
    return {
        "Id": str(image.id),
        "RepoTags": [reference.familiar for reference in image.references],
        "RepoDigests": [reference.familiar for reference in image.repo_digests],
        "Parent": str(image.parent or "") if _committed(config) else "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created or "",
        "DockerVersion": str(config.extra.get("docker_version", "")),
        "Author": config.author,
        "Config": _run_config(config),
        "Architecture": config.platform.architecture,
        **({"Variant": config.platform.variant} if config.platform.variant else {}),
        "Os": config.platform.os,
        "Size": image.size,
        "GraphDriver": {"Name": "overlay2", "Data": {"Layers": ":".join(layer.id for layer in image.layers)}},
        "RootFS": {"Type": "layers", "Layers": [str(digest) for digest in config.diff_ids]},
        "Metadata": {"LastTagTime": _time(tagged)},
        "Descriptor": {
            "mediaType": str(image.manifest.media_type),
            "digest": str(image.manifest.digest),
            "size": image.manifest.size,
        },
    }


def _time(moment: float | None) -> str:
    """RFC 3339; Go's zero time for none."""
    if moment is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _committed(config: ImageConfig) -> bool:
    return bool(config.history) and config.history[-1].comment != imageconfig.BUILD_COMMENT


def _one_step_before(image: Image, parent_of: Callable[[Image], Image | None]) -> Image | None:
    """The image that a commit made this one of; a build has steps that are no images."""
    steps = image.config.history
    if not _committed(image.config):
        return None
    parent = parent_of(image)
    return parent if parent is not None and len(parent.config.history) == len(steps) - 1 else None


def _run_config(config: ImageConfig) -> dict[str, Any]:
    run = config.config
    written = imageconfig.write_run_config(run)
    return {
        "User": run.user,
        **({"ExposedPorts": written["ExposedPorts"]} if run.exposed_ports else {}),
        "Env": list(run.env),
        "Cmd": None if run.command is None else list(run.command),
        "Volumes": written.get("Volumes"),
        "WorkingDir": run.working_dir,
        "Entrypoint": None if run.entrypoint is None else list(run.entrypoint),
        "OnBuild": list(run.on_build) or None,
        "Labels": dict(run.labels) or None,
        **({"StopSignal": run.stop_signal} if run.stop_signal else {}),
        **({"Healthcheck": written["Healthcheck"]} if run.healthcheck else {}),
        **({"Shell": list(run.shell)} if run.shell is not None else {}),
    }


def _unknown_steps(count: int) -> tuple[imageconfig.History, ...]:
    return (imageconfig.History(),) * count
