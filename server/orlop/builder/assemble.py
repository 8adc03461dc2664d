"""The image's configuration from a plan and the times its layers were made (pure).

Times follow BuildKit: a layer's entry has the time its step ran, kept with the cached result; entries without a layer
take the time of the layer before them, or of the first new layer. So a build that finds everything cached gives the
same bytes, and the same image ID, as before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import attrs

from orlop.builder.plan import ImageBase, Plan
from orlop.core.digest import Digest
from orlop.core.imageconfig import BUILD_COMMENT, History, ImageConfig


def configuration(plan: Plan, diff_ids: tuple[Digest, ...], created: Sequence[float]) -> ImageConfig:
    """The configuration of the final stage over `diff_ids`, which include those of the base image.

    `created` has the time of each layer that the plan's steps made, lowest first. The image's own time is None when
    no layer tells one.
    """
    chain = plan.chain(plan.target)
    base = chain[0].base
    inherited = base.config if isinstance(base, ImageBase) else None
    history = complete(inherited) if inherited else []
    own: list[History] = []
    times = iter(created)
    epoch = None if plan.epoch is None else timestamp(plan.epoch)
    for stage in chain:
        for line in stage.history:
            when = epoch
            if line.has_layer:
                layer_time = next(times)
                when = epoch or timestamp(layer_time)
            own.append(History(when, line.created_by, BUILD_COMMENT, empty_layer=not line.has_layer))
    filled = _fill_times(history + own)
    final = chain[-1]
    config = final.config
    if plan.labels:
        config = attrs.evolve(config, labels={**config.labels, **plan.labels})
    extra = kept(inherited.extra) if inherited else {}
    return ImageConfig(
        platform=inherited.platform if inherited else plan.platform,
        config=config,
        diff_ids=diff_ids,
        history=tuple(filled),
        created=epoch or _image_time(filled, inherited),
        author=final.author,
        extra=extra,
    )


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with as many digits as needed, as Go writes it."""
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    text = dt.datetime.fromtimestamp(whole, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{micro:06d}".rstrip("0") if micro else ""
    return f"{text}{fraction}Z"


def complete(base: ImageConfig) -> list[History]:
    """The base's history with as many layer entries as it has layers; images of some tools tell fewer or more."""
    history = list(base.history)
    surplus = sum(not item.empty_layer for item in history) - len(base.diff_ids)
    for position, item in enumerate(history):
        if surplus > 0 and not item.empty_layer:
            history[position] = attrs.evolve(item, empty_layer=True)
            surplus -= 1
    history += [History(created=base.created, comment="imported from image")] * -surplus
    return history


def _fill_times(history: list[History]) -> list[History]:
    """Give each entry without a time that of the first new layer, or of the layer before it."""
    current: str | None = None
    gap = False
    for item in history:
        if item.created:
            current = item.created
            if gap:
                break
        else:
            gap = True
    filled: list[History] = []
    gap = False
    for item in history:
        if item.created:
            if gap:
                current = item.created
            filled.append(item)
        else:
            gap = True
            filled.append(attrs.evolve(item, created=current))
    return filled


def _image_time(history: list[History], inherited: ImageConfig | None) -> str | None:
    told = [item.created for item in history if item.created]
    return told[-1] if told else (inherited.created if inherited else None)


def kept(extra: Mapping[str, object]) -> dict[str, object]:
    """Members of the base's configuration that still hold for the new image; ids of its making do not."""
    return {key: value for key, value in extra.items() if key in ("os.version", "os.features")}
