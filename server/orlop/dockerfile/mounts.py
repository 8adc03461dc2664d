"""`RUN --mount`: the option as written, and what it comes to once its variables are expanded.

Source: the Dockerfile reference, "RUN --mount"; BuildKit's `instructions/commands_runmount.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, cast

import attrs

from orlop.dockerfile import csv
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem, error, misspelled, quoted
from orlop.dockerfile.words import Word

Type = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["shared", "private", "locked"]

TYPES: tuple[Type, ...] = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS: tuple[Sharing, ...] = ("shared", "private", "locked")
KEYS = (
    "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src",
    "dst", "destination", "ro", "rw", "readwrite", "env",
)  # fmt: skip

_SIZE = re.compile(r"(\d+\.?\d*|\.\d+) ?(?:b|([kmgtp])(?:i?b)?)?", re.IGNORECASE)
_UNITS = "kmgtp"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_MAX_ID = 2**32


class MountError(ValueError):
    """A mount that makes no sense; `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@attrs.frozen(slots=True)
class Field:
    """One `key[=value]`; `key` is in lower case, `text` the whole as written, `value` None without a `=`."""

    key: str
    value: Word | None
    text: str
    span: Span


@attrs.frozen(slots=True)
class ResolvedMount:
    """A mount with its variables expanded.

    `source`, `target` and `id` are None when not given. `size` is in bytes, 0 for no limit. `mode`, `uid` and `gid`
    are None for the type's default.
    """

    type: Type
    from_: str | None
    source: str | None
    target: str | None
    read_only: bool
    id: str | None
    sharing: Sharing | None
    required: bool
    size: int
    env: str | None
    mode: int | None
    uid: int | None
    gid: int | None


@attrs.frozen(slots=True)
class Mount:
    """The option as written; `option` is the whole value."""

    option: Word
    fields: tuple[Field, ...]

    def word(self, *keys: str) -> Word | None:
        """The value of the last field of one of the keys."""
        return next((field.value for field in reversed(self.fields) if field.key in keys), None)

    @property
    def from_(self) -> str | None:
        """The stage or image the mount comes from; never expanded."""
        word = self.word("from")
        return word.text if word and word.text else None

    def resolve(self, expand: Callable[[str], str]) -> ResolvedMount:
        """The mount with `expand` applied to every value; raises `MountError`, and what `expand` raises."""
        return _Resolver(self, expand).run()


def read(word: Word) -> tuple[Mount, tuple[Problem, ...]]:
    """Cut the value of one `--mount`.

    The problems are those that stop a Dockerfile whether or not the instruction is needed: the rest comes out only
    once variables are known.
    """
    try:
        cells = csv.split(word.text)
    except csv.CsvError as wrong:
        return Mount(word, ()), (error("invalid-mount", f"failed to parse csv mounts: {wrong}", word.span),)
    fields: list[Field] = []
    problems: list[Problem] = []
    # Quotes or escapes around the value shift its parts; the whole value then stands for each of them.
    exact = word.end - word.start == len(word.text)
    for cell in cells:
        key, equals, value = cell.text.partition("=")
        cut = len(key) + 1
        # Inside CSV quotes the offsets of key and value are unknown; the whole field then stands for both.
        plain = exact and cell.end - cell.start == len(cell.text)
        start = word.start + cell.start if exact else word.start
        end = word.start + cell.end if exact else word.end
        found = Word(value, word.line, start + cut if plain else start, end)
        fields.append(Field(key.lower(), found if equals else None, cell.text, word.line.span(start, end)))
        dollar = value.find("$")
        if key.lower() == "from" and 0 <= dollar < len(value) - 1:
            message = f"'{key.lower()}' doesn't support variable expansion, define alias stage instead"
            hint = "Write FROM with the variable AS a name, and use that name here."
            problems.append(error("variable-in-from", message, found.span, hint))
    return Mount(word, tuple(fields)), tuple(problems)


class _Resolver:
    """Goes through the fields in order: a key is judged by the type named before it, as BuildKit does."""

    def __init__(self, mount: Mount, expand: Callable[[str], str]) -> None:
        self.mount = mount
        self.expand = expand
        self.type: Type = "bind"
        self.text: dict[str, str] = {}
        self.number: dict[str, int] = {}
        self.read_only: bool | None = None
        self.required = False

    def run(self) -> ResolvedMount:
        for field in self.mount.fields:
            if field.value is None:
                self._bare(field)
            else:
                self._valued(field, self.expand(field.value.text))
        self._check_whole()
        return ResolvedMount(
            type=self.type,
            from_=self.text.get("from") or None,
            source=self.text.get("source") or None,
            target=self.text.get("target") or None,
            read_only=self.type not in ("cache", "tmpfs") if self.read_only is None else self.read_only,
            id=self.text.get("id") or None,
            sharing=cast("Sharing | None", self.text.get("sharing") or None),
            required=self.required,
            size=self.number.get("size", 0),
            env=self.text.get("env"),
            mode=self.number.get("mode"),
            uid=self.number.get("uid"),
            gid=self.number.get("gid"),
        )

    def _bare(self, field: Field) -> None:
        match field.key:
            case "readonly" | "ro":
                self.read_only = True
            case "readwrite" | "rw":
                self.read_only = False
            case "required":
                self._only_for(field, "secret", "ssh")
                self.required = True
            case _:
                raise self._wrong(field, f"invalid field '{field.text}' must be a key=value pair")

    def _valued(self, field: Field, value: str) -> None:
        match field.key:
            case "type":
                self.type = cast("Type", self._choice(field, value, TYPES, "mount type"))
            case "source" | "src":
                self.text["source"] = value
            case "target" | "dst" | "destination":
                self.text["target"] = value
            case "from" | "id" | "env":
                self.text[field.key] = value
            case "readonly" | "ro":
                self.read_only = self._boolean(field, value)
            case "readwrite" | "rw":
                self.read_only = not self._boolean(field, value)
            case "required":
                self._only_for(field, "secret", "ssh")
                self.required = self._boolean(field, value)
            case "size":
                self._only_for(field, "tmpfs")
                self.number["size"] = self._size(field, value)
            case "sharing":
                self.text["sharing"] = self._choice(field, value, SHARINGS, "sharing value")
            case "mode" | "uid" | "gid":
                self.number[field.key] = self._number(field, value)
            case _:
                message = f"unexpected key '{field.key}' in '{field.text}'"
                raise MountError(misspelled("unknown-mount-key", message, field.span, field.key, KEYS, fold=False))

    def _check_whole(self) -> None:
        text = self.text
        if self.type not in ("secret", "ssh", "cache"):
            for key in ("mode", "uid", "gid"):
                if key in self.number:
                    raise self._unfit(f'{key} not allowed for "{self.type}" type mounts', key)
        if self.type == "secret":
            if text.get("from"):
                raise self._unfit("secret mount should not have a from", "from")
            if text.get("sharing"):
                raise self._unfit("secret mount should not define sharing", "sharing")
            if not (text.get("source") or text.get("target") or text.get("id")):
                raise self._unfit("invalid secret mount. one of source, target required", "type")
            if text.get("source") and text.get("id"):
                raise self._unfit("both source and id can't be set", "source", "src")
        if text.get("sharing") and self.type != "cache":
            raise self._unfit(f"invalid cache sharing set for {self.type} mount", "sharing")

    def _only_for(self, field: Field, *types: Type) -> None:
        if self.type not in types:
            raise self._wrong(field, f"unexpected key '{field.key}' for mount type '{self.type}'")

    def _choice(self, field: Field, value: str, choices: tuple[str, ...], what: str) -> str:
        if value.lower() in choices:
            return value.lower()
        span = field.value.span if field.value else field.span
        message = f"unsupported {what} {quoted(value)}"
        raise MountError(misspelled("unsupported-mount-value", message, span, value, choices, fold=False))

    def _boolean(self, field: Field, value: str) -> bool:
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        raise self._wrong(field, f"invalid value for {field.key}: {value}")

    def _size(self, field: Field, value: str) -> int:
        match = _SIZE.fullmatch(value)
        if match is None:
            raise self._wrong(field, f"invalid value for {field.key}: {value}")
        unit = match.group(2)
        return int(float(match.group(1)) * (1024 ** (_UNITS.index(unit.lower()) + 1) if unit else 1))

    def _number(self, field: Field, value: str) -> int:
        base = 8 if field.key == "mode" else 10
        digits = "01234567" if base == 8 else "0123456789"
        if not value or value.strip(digits) or int(value[:16], base) >= _MAX_ID or len(value) > 16:
            raise self._wrong(field, f"invalid value {value} for {field.key}")
        return int(value, base)

    def _wrong(self, field: Field, message: str) -> MountError:
        return MountError(error("invalid-mount", message, field.span))

    def _unfit(self, message: str, *keys: str) -> MountError:
        """An error about the mount as a whole, shown at the field it is about."""
        span = next((field.span for field in self.mount.fields if field.key in keys), self.mount.option.span)
        return MountError(error("invalid-mount", message, span))
