"""Values that people write for a container: sizes, limits, mounts; read into what they mean. Pure."""

from __future__ import annotations

import csv
import os
import re
from typing import Literal

import attrs

from orlop.core import errors
from orlop.runtime.spec import Restart, Rlimit

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
# What Docker knows for mounts and what makes no difference here.
_IGNORED = frozenset({
    "z", "Z", "cached", "delegated", "consistent", "rprivate", "private", "rslave", "slave", "rshared", "shared",
})  # fmt: skip


@attrs.frozen(slots=True)
class MountWish:
    """A mount as it was asked for: a `volume` by name (empty: one of its own), a `bind` of a path here, or a `tmpfs`.

    `make` makes the path of a bind if it is missing, `fill` copies what the image has there into an empty volume.
    """

    kind: Literal["volume", "bind", "tmpfs"]
    source: str
    target: str
    readonly: bool = False
    options: tuple[str, ...] = ()
    make: bool = False
    fill: bool = True


def size(text: str, what: str) -> int:
    """Bytes of Docker's `512m` or `1.5g`; raises `Invalid`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise errors.Invalid(f"invalid value for {what}: {text!r}", hint="Write a size such as 512m or 2g.")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def ulimit(text: str) -> Rlimit:
    """`nofile=1024:2048`; one number is both limits."""
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    if re.fullmatch(r"[a-z]+=-?[0-9]+(:-?[0-9]+)?", text) is None:
        raise errors.Invalid(f"invalid ulimit {text!r}", hint="Write NAME=SOFT[:HARD], such as nofile=1024:2048.")
    low, high = int(soft), int(hard or soft)
    if high != -1 and (low > high or low == -1):
        raise errors.Invalid(f"invalid ulimit {text!r}: the soft limit is above the hard one")
    return Rlimit(name, low, high)


def restart(text: str) -> Restart:
    """`no`, `always`, `unless-stopped`, `on-failure[:N]` (docker/cli, opts/parse.go); nothing is `no`."""
    name, colon, count = text.partition(":")
    hint = "Use no, on-failure[:N], always or unless-stopped."
    if colon and not name:
        raise errors.Invalid("invalid restart policy format: no policy provided before colon", hint=hint)
    if count and re.fullmatch(r"[+-]?[0-9]+", count) is None:
        raise errors.Invalid("invalid restart policy format: maximum retry count must be an integer", hint=hint)
    maximum = int(count or 0)
    match name:
        case "on-failure" if maximum < 0:
            raise errors.Invalid("invalid restart policy: maximum retry count cannot be negative", hint=hint)
        case "on-failure":
            return Restart(name, maximum)
        case "" | "no" | "always" | "unless-stopped" if maximum:
            raise errors.Invalid(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'", hint=hint
            )
        case "":
            return Restart()
        case "no" | "always" | "unless-stopped":
            return Restart(name)
    raise errors.Invalid(
        f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )


def duration(text: str, what: str) -> int:
    """Nanoseconds of Go's `1m30s` for a health check, 0 or at least a millisecond; raises `Invalid`."""
    # A terminal verb that asks for no duration does not read the language.
    from orlop.dockerfile import durations  # noqa: PLC0415

    try:
        value = durations.parse(text)
    except durations.DurationError as error:
        raise errors.Invalid(
            f"invalid argument {text!r} for {what}: {error}", hint="Write a time such as 30s or 1m30s."
        ) from None
    if value < 0:
        raise errors.Invalid(f"{what} cannot be negative")
    if 0 < value < 1_000_000:
        raise errors.Invalid(f"{what} cannot be less than 1ms")
    return value


def volume(text: str) -> MountWish:
    """`-v [NAME|/PATH:]/TARGET[:OPTIONS]`; a path may be relative if it begins with a dot."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise _bad(text, "it has not the form SOURCE:TARGET[:OPTIONS]")
    options = set(parts.pop().split(",")) if len(parts) == 3 else set()
    unknown = options - _IGNORED - {"ro", "rw", "nocopy"}
    if unknown:
        raise _bad(text, f"unknown option {min(unknown)}")
    target = _target(parts[-1], text)
    readonly, fill = "ro" in options, "nocopy" not in options
    if len(parts) == 1:
        return MountWish("volume", "", target, readonly, fill=fill)
    source = parts[0]
    if source.startswith(("/", "./", "../", "~")) or source in (".", ".."):
        path = os.path.abspath(os.path.expanduser(source))
        return MountWish("bind", path, target, readonly, make=True)
    return MountWish("volume", volume_name(source), target, readonly, fill=fill)


def mount(text: str) -> MountWish:
    """`--mount type=…,source=…,target=…[,readonly]`, in CSV as Docker reads it."""
    values: dict[str, str] = {}
    try:
        row = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise _bad(text, str(error)) from None
    for field in row:
        key, equals, value = field.partition("=")
        values[key.strip().lower()] = value if equals else "true"
    kind = values.pop("type", "volume")
    source = values.pop("source", values.pop("src", ""))
    target = values.pop("target", values.pop("destination", values.pop("dst", "")))
    readonly = _truth(values.pop("readonly", values.pop("ro", "false")), text)
    fill = not _truth(values.pop("volume-nocopy", "false"), text)
    sizes = [(name, values.pop(f"tmpfs-{name}", None)) for name in ("size", "mode")]
    options = tuple(f"{name}={value}" for name, value in sizes if value is not None)
    for harmless in ("consistency", "bind-propagation"):
        values.pop(harmless, None)
    if values:
        raise _bad(text, f"unexpected key {min(values)!r}")
    if kind not in ("volume", "bind", "tmpfs"):
        raise _bad(text, f"unknown type {kind!r}")
    if kind == "bind" and not source:
        raise _bad(text, "the source of a bind is missing")
    if kind == "bind":
        return MountWish("bind", os.path.abspath(source), _target(target, text), readonly)
    if kind == "tmpfs":
        if source:
            raise _bad(text, "a tmpfs has no source")
        return MountWish("tmpfs", "", _target(target, text), readonly, _tmpfs_options(options))
    return MountWish("volume", volume_name(source) if source else "", _target(target, text), readonly, fill=fill)


def tmpfs(text: str) -> MountWish:
    """`--tmpfs /TARGET[:OPTIONS]`."""
    target, _, options = text.partition(":")
    words = tuple(word for word in options.split(",") if word)
    return MountWish(
        "tmpfs", "", _target(target, text), "ro" in words, _tmpfs_options(tuple(w for w in words if w != "ro"))
    )


def volume_name(text: str) -> str:
    """The name of a volume; raises `Invalid` for one that is none."""
    if not _VOLUME_NAME.fullmatch(text):
        raise errors.Invalid(
            f"invalid volume name {text!r}",
            hint="Use letters, digits, dots, dashes and underscores; a path begins with a slash or a dot.",
        )
    return text


def _tmpfs_options(options: tuple[str, ...]) -> tuple[str, ...]:
    given = {option.partition("=")[0] for option in options}
    # Docker's defaults; `mode` is the kernel's unless said.
    own = () if "noexec" in given or "exec" in given else ("noexec",)
    sized = tuple(f"size={size(o[5:], 'tmpfs size')}" if o.startswith("size=") else o for o in options)
    return (*own, *(() if "mode" in given else ("mode=1777",)), *sized)


def _target(path: str, text: str) -> str:
    if not path.startswith("/"):
        raise _bad(text, "the target is not absolute")
    plain = os.path.normpath(path)
    if plain in ("/", "//"):
        raise _bad(text, "the target cannot be /")
    return plain


def _truth(text: str, whole: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise _bad(whole, f"{text!r} is neither true nor false")


def _bad(text: str, why: str) -> errors.Invalid:
    return errors.Invalid(f"invalid mount {text!r}: {why}", hint="Write SOURCE:TARGET[:ro], or see --help.")
