"""Which containers a listing shows: the filters of `docker ps`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orlop.core import errors
from orlop.runtime.container import Container

_STATUSES = ("created", "running", "paused", "restarting", "exited")
_HEALTHS = ("starting", "healthy", "unhealthy", "none")


def select(
    containers: Sequence[Container], filters: Sequence[tuple[str, str]], image_of: Callable[[str], str]
) -> tuple[Container, ...]:
    """Those that fit: any value of a kind, and every kind; `image_of` gives the image ID of a name.

    Raises `Invalid` for an unknown kind or a value that makes no sense.
    """
    kinds: dict[str, list[Callable[[Container], bool]]] = {}
    for kind, value in filters:
        kinds.setdefault(kind, []).append(_test(kind, value, image_of))
    return tuple(each for each in containers if all(any(test(each) for test in tests) for tests in kinds.values()))


def parse(text: str) -> tuple[str, str]:
    """Kind and value of `KIND=VALUE`; raises `Invalid`."""
    kind, equals, value = text.partition("=")
    if not equals or not value:
        raise errors.Invalid(f"invalid filter {text!r}", hint="Write KIND=VALUE, such as status=exited.")
    return kind, value


def _test(kind: str, value: str, image_of: Callable[[str], str]) -> Callable[[Container], bool]:
    match kind:
        case "name":
            return lambda each: value.lstrip("/^").removesuffix("$") in each.name
        case "id":
            return lambda each: each.id.startswith(value)
        case "status" if value in _STATUSES:
            return lambda each: each.status == value
        case "exited" if value.isdigit():
            return lambda each: each.exit is not None and each.status == "exited" and each.exit.code == int(value)
        case "health" if value in _HEALTHS:
            return lambda each: (each.health.status if each.health is not None else "none") == value
        case "label":
            name, equals, wanted = value.partition("=")
            return lambda each: name in each.labels and (not equals or each.labels[name] == wanted)
        case "ancestor":
            image = image_of(value)
            return lambda each: each.image.id == image
        case "volume":
            return lambda each: _has_volume(each, value)
        case _:
            hints: Mapping[str, str] = {
                "status": f"Use one of {', '.join(_STATUSES)}.",
                "health": f"Use one of {', '.join(_HEALTHS)}.",
                "exited": "Give an exit code.",
            }
            raise errors.Invalid(
                f"invalid filter {kind}={value}",
                hint=hints.get(kind, "Use name, id, status, health, exited, label, ancestor or volume."),
            )


def _has_volume(each: Container, value: str) -> bool:
    return any(mount.target == value or f"/volumes/{value}/" in mount.source for mount in each.spec.mounts)
