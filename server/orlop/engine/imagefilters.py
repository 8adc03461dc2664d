"""Docker's filters of images: which there are, what they take, and which images they keep."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from orlop.core import errors
from orlop.core.reference import Reference
from orlop.rootfs.gomatch import BadPatternError, Pattern
from orlop.store.images import Image

Filters = tuple[tuple[str, str], ...]

LISTING = ("dangling", "label", "label!", "before", "since", "until", "reference")
PRUNING = ("label", "label!", "until", "dangling")
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")


def parse(texts: list[str], allowed: tuple[str, ...] = LISTING) -> Filters:
    """`name=value` each; raises `Invalid` for another form, an unknown name, or a value that has no meaning."""
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().lower()
        if not equals:
            raise errors.Invalid(f"bad format of filter {text!r}", hint="Write name=value.")
        if name not in allowed:
            raise errors.Invalid(f"invalid filter {name!r}", hint=f"Use {', '.join(allowed)}.")
        if name == "dangling":
            boolean(value)
        found.append((name, value))
    return tuple(found)


def boolean(value: str) -> bool:
    """`true` or `false`, in Go's spellings; raises `Invalid`."""
    if value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    raise errors.Invalid(f"invalid filter 'dangling={value}'", hint="Use dangling=true or dangling=false.")


def select(images: tuple[Image, ...], filters: Filters, find: Callable[[str], Image], now: datetime) -> list[Image]:
    """The images that every kind of filter keeps; one of several `reference` patterns is enough."""
    kept = list(images)
    patterns = [value for name, value in filters if name == "reference"]
    if patterns:
        kept = [image for image in map(partial(_showing, patterns), kept) if image.references or image.repo_digests]
    for name, value in filters:
        if name == "dangling":
            kept = [image for image in kept if (not image.references) == boolean(value)]
        elif name in ("label", "label!"):
            kept = [image for image in kept if labelled(image, value) == (name == "label")]
        elif name == "until":
            border = moment(value, now)
            kept = [image for image in kept if _created(image) < border]
        elif name in ("before", "since"):
            border = _created(find(value))
            kept = [
                image for image in kept if (_created(image) < border if name == "before" else _created(image) > border)
            ]
    return kept


def labelled(image: Image, wanted: str) -> bool:
    """`NAME` or `NAME=VALUE`."""
    name, equals, value = wanted.partition("=")
    labels = image.config.config.labels
    return name in labels and (not equals or labels[name] == value)


def fits(text: str, pattern: str) -> bool:
    """As Go's `path.Match`; raises `Invalid` for a pattern that is none."""
    wanted, parts = pattern.split("/"), text.split("/")
    try:
        tests = [Pattern(part) for part in wanted]
    except BadPatternError as error:
        raise errors.Invalid(f"invalid pattern {pattern!r}", hint="Close the brackets of the pattern.") from error
    return len(wanted) == len(parts) and all(test.match(part) for test, part in zip(tests, parts, strict=True))


def moment(text: str, now: datetime) -> datetime:
    """A point in time: a duration before now (`24h`, `1h30m`), a date with or without time, or Unix seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    # Only a filter by time needs it.
    from orlop.dockerfile import durations  # noqa: PLC0415

    try:
        nanoseconds: int | None = durations.parse(text)
    except ValueError:
        nanoseconds = None
    if nanoseconds is not None:
        return now - timedelta(microseconds=nanoseconds / 1000)
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise errors.Invalid(
            f"failed to parse value as time or duration: {text!r}", hint="Use 24h, 2026-01-31 or 2026-01-31T10:00:00."
        ) from None
    return value if value.tzinfo else value.astimezone()


def _showing(patterns: list[str], image: Image) -> Image:
    """The image with only those names that fit, with or without their tags; a star does not cross a slash."""

    def fitting(names: tuple[Reference, ...]) -> tuple[Reference, ...]:
        return tuple(
            name
            for name in names
            if any(fits(text, pattern) for text in (name.familiar, name.familiar_repository) for pattern in patterns)
        )

    return attrs.evolve(image, references=fitting(image.references), repo_digests=fitting(image.repo_digests))


def _created(image: Image) -> datetime:
    """The beginning of time for an image that does not say."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", (image.config.created or "").replace("Z", "+00:00"))
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
