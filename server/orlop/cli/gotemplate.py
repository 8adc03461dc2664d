"""Go's text templates as far as people write them for `--format`: pipelines, if, range, with, variables, functions.

Source: the documentation of Go's `text/template`, and the functions that Docker's CLI adds to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from orlop.cli import gofunctions
from orlop.cli.gofunctions import Struct
from orlop.core import errors

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<number>[+-]?\d+(?:\.\d+)?)|(?P<variable>\$\w*)"""
    r"""|(?P<field>\.\w+)|(?P<dot>\.)|(?P<word>\w+)|(?P<sign>:=|[|(),=]))""",
    re.ASCII,
)
_BLOCKS = ("if", "range", "with")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "nil": None}


# Fields whose mappings have keys that people choose.
_MAPS = frozenset(
    ("Annotations", "Data", "ExposedPorts", "Labels", "Networks", "Options", "Ports", "Sysctls", "Volumes")
)
_LISTS = frozenset(("Cmd", "Entrypoint", "Env", "OnBuild", "RepoDigests", "RepoTags", "Shell"))
# What Docker's documents leave out where it is not set, and how Go prints that.
_OPTIONAL: Mapping[str, str] = {
    "ExposedPorts": "map[]", "Health": "<nil>", "Healthcheck": "<nil>", "Shell": "[]", "StopSignal": "", "Variant": "",
}  # fmt: skip


def struct(value: Any, name: str = "") -> Any:
    """A document as templates see it: what has no value knows its type, and only people's own maps lack fields."""
    if value is None and name in _MAPS | _LISTS:
        return gofunctions.Nothing("map[]" if name in _MAPS else "[]")
    if isinstance(value, Mapping):
        kind = dict if name in _MAPS else Struct
        return kind({key: struct(item, "" if name in _MAPS else key) for key, item in value.items()})
    return [struct(item) for item in value] if isinstance(value, list | tuple) else value


@attrs.frozen
class _Text:
    text: str


@attrs.frozen
class _Pipe:
    """Commands of which each gives its result to the next as last argument; `names` are the variables it sets."""

    names: tuple[str, ...]
    declares: bool
    commands: tuple[tuple[Any, ...], ...]


@attrs.frozen
class _Block:
    """`if`, `range` or `with`."""

    kind: str
    pipe: _Pipe
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...]


@attrs.frozen
class _Chain:
    """Fields of the value of `start`: None is the dot, a text a variable, a pipe a parenthesis."""

    start: str | _Pipe | None
    fields: tuple[str, ...]


@attrs.frozen
class _Constant:
    value: Any


class Template:
    """A template that was read; raises `Invalid` with the place that is wrong."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pieces = _split(text)
        self._body = self._block(("end of text",))[0]

    def render(self, item: object) -> str:
        """The text for one value; raises `Invalid` when a field or a function's argument does not fit."""
        return "".join(self._run(self._body, item, {"$": item}))

    def _block(self, ends: tuple[str, ...]) -> tuple[tuple[Any, ...], str]:
        nodes: list[Any] = []
        while self._pieces:
            is_action, text = self._pieces.pop(0)
            if not is_action:
                nodes.append(_Text(text))
                continue
            word, _, rest = text.strip().partition(" ")
            if text.lstrip().startswith("/*"):
                continue
            if word in ("end", "else"):
                key = f"else {rest.split()[0]}" if word == "else" and rest.strip() else word
                if word not in ends:
                    raise self._wrong(f"unexpected {{{{{word}}}}}")
                if key != word:
                    self._pieces.insert(0, (True, rest.strip()))
                return tuple(nodes), key
            nodes.append(self._control(word, rest) if word in _BLOCKS else self._pipeline(text))
        if "end of text" not in ends:
            raise self._wrong("{{end}} is missing")
        return tuple(nodes), ""

    def _control(self, kind: str, rest: str) -> _Block:
        pipe = self._pipeline(rest)
        body, end = self._block(("else", "end"))
        otherwise: tuple[Any, ...] = ()
        if end.startswith("else "):
            # `else if` closes with the same `end`.
            _, text = self._pieces.pop(0)
            word, _, condition = text.partition(" ")
            if word not in _BLOCKS:
                raise self._wrong(f"unexpected {word!r} after else")
            otherwise = (self._control(word, condition),)
        elif end == "else":
            otherwise, _ = self._block(("end",))
        return _Block(kind, pipe, body, otherwise)

    def _pipeline(self, text: str) -> _Pipe:
        tokens = self._tokens(text)
        pipe = self._pipe(tokens)
        if tokens:
            raise self._wrong(f"unexpected {tokens[0][1]!r}")
        return pipe

    def _tokens(self, text: str) -> list[tuple[str, str, bool]]:
        """Kind, text, and whether it follows the one before without a blank."""
        tokens = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._wrong(f"unexpected {text[position:].strip()[:10]!r}")
            kind = str(match.lastgroup)
            tokens.append((kind, match[kind], match.start(kind) == position and position > 0))
            position = match.end()
        return tokens

    def _pipe(self, tokens: list[tuple[str, str, bool]]) -> _Pipe:
        names, declares = _declared(tokens)
        commands: list[tuple[Any, ...]] = []
        while True:
            command: list[Any] = []
            while tokens and tokens[0][1] not in ("|", ")"):
                command.append(self._operand(tokens))
            if not command:
                raise self._wrong("missing value")
            commands.append(tuple(command))
            if not tokens or tokens[0][1] == ")":
                return _Pipe(names, declares, tuple(commands))
            tokens.pop(0)

    def _operand(self, tokens: list[tuple[str, str, bool]]) -> Any:
        kind, text, _ = tokens.pop(0)
        if kind == "string":
            return _Constant(_unquoted(text))
        if kind == "number":
            return _Constant(float(text) if "." in text else int(text))
        if kind == "word":
            if text in _CONSTANTS:
                return _Constant(_CONSTANTS[text])
            if text not in gofunctions.FUNCTIONS and text not in ("and", "or"):
                raise self._wrong(f"function {text!r} is not defined")
            return text
        start: str | _Pipe | None = None
        fields: list[str] = []
        if kind == "variable":
            start = text
        elif kind == "field":
            fields.append(text[1:])
        elif text == "(":
            start = self._pipe(tokens)
            if not tokens:
                raise self._wrong("a parenthesis is not closed")
            tokens.pop(0)
        elif kind != "dot":
            raise self._wrong(f"unexpected {text!r}")
        while tokens and tokens[0][0] == "field" and tokens[0][2]:
            fields.append(tokens.pop(0)[1][1:])
        return _Chain(start, tuple(fields))

    def _run(self, nodes: Sequence[Any], dot: object, variables: dict[str, Any]) -> list[str]:
        said: list[str] = []
        for node in nodes:
            if isinstance(node, _Text):
                said.append(node.text)
            elif isinstance(node, _Block):
                said += self._run_block(node, dot, dict(variables))
            else:
                value = self._value(node, dot, variables)
                if not node.names:
                    said.append(gofunctions.text(value))
        return said

    def _run_block(self, block: _Block, dot: object, variables: dict[str, Any]) -> list[str]:
        value = self._value(block.pipe, dot, variables)
        if not gofunctions.truth(value):
            return self._run(block.otherwise, dot, variables)
        if block.kind == "if":
            return self._run(block.body, dot, variables)
        if block.kind == "with":
            return self._run(block.body, value, variables)
        said: list[str] = []
        for key, item in self._items(value):
            own = dict(variables)
            if block.pipe.names:
                own |= dict(zip(block.pipe.names, (key, item) if len(block.pipe.names) > 1 else (item,), strict=False))
            said += self._run(block.body, item, own)
        return said

    def _items(self, value: object) -> list[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            return sorted(value.items())
        if isinstance(value, list | tuple | gofunctions.Nothing):
            return list(enumerate(value))
        raise self._wrong(f"range can't iterate over {gofunctions.text(value)}")

    def _value(self, pipe: _Pipe, dot: object, variables: dict[str, Any]) -> Any:
        result: Any = None
        for number, command in enumerate(pipe.commands):
            result = self._command(command, dot, variables, () if number == 0 else (result,))
        for name in pipe.names:
            variables[name] = result
        return result

    def _command(self, command: tuple[Any, ...], dot: object, variables: dict[str, Any], last: tuple[Any, ...]) -> Any:
        head, *rest = command
        if head in ("and", "or") and isinstance(head, str):
            return self._short_cut(head, (*rest, *map(_Constant, last)), dot, variables)
        if isinstance(head, str):
            arguments = [self._evaluate(argument, dot, variables) for argument in rest]
            return self._call(head, gofunctions.FUNCTIONS[head], (*arguments, *last))
        if rest or last:
            raise self._wrong("a value that is no function got an argument")
        return self._evaluate(head, dot, variables)

    def _short_cut(self, name: str, operands: tuple[Any, ...], dot: object, variables: dict[str, Any]) -> Any:
        value: Any = None
        for operand in operands:
            value = self._evaluate(operand, dot, variables)
            if gofunctions.truth(value) == (name == "or"):
                break
        return value

    def _call(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            return function(*arguments)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise self._wrong(f"error calling {name}: {error}") from error

    def _evaluate(self, operand: Any, dot: object, variables: dict[str, Any]) -> Any:
        if isinstance(operand, _Constant):
            return operand.value
        if isinstance(operand, str):
            return self._call(operand, gofunctions.FUNCTIONS[operand], ())
        value: Any = dot
        if isinstance(operand.start, _Pipe):
            value = self._value(operand.start, dot, variables)
        elif operand.start is not None:
            if operand.start not in variables:
                raise self._wrong(f"undefined variable {operand.start!r}")
            value = variables[operand.start]
        for name in operand.fields:
            value = self._field(value, name)
        return value

    def _field(self, value: object, name: str) -> Any:
        if isinstance(value, Mapping) and name in value:
            return value[name]
        if isinstance(value, Mapping) and not isinstance(value, Struct):
            return gofunctions.MISSING
        if isinstance(value, Struct) and name in _OPTIONAL:
            return gofunctions.Nothing(_OPTIONAL[name])
        if value is None or isinstance(value, gofunctions.Nothing):
            raise errors.Invalid(
                f"cannot find {name!r} for the template {self._text!r}: nothing is set there",
                hint="Ask for it inside {{with …}} or {{if …}}.",
            )
        fields = f"Use one of {', '.join(map(str, value))}." if isinstance(value, Mapping) else "It has no fields."
        raise errors.Invalid(f"cannot find {name!r} for the template {self._text!r}", hint=fields)

    def _wrong(self, message: str) -> errors.Invalid:
        return errors.Invalid(
            f"cannot read the template {self._text!r}: {message}", hint="Use {{.Field}} or {{json .Field}}."
        )


def _split(text: str) -> list[tuple[bool, str]]:
    """Plain texts and actions in turn; a dash inside the braces takes the blanks outside away."""
    pieces: list[tuple[bool, str]] = []
    position = 0
    trim = False
    for match in _ACTION.finditer(text):
        plain = text[position : match.start()]
        plain = plain.lstrip() if trim else plain
        pieces.append((False, plain.rstrip() if match[1] else plain))
        pieces.append((True, match[2]))
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise errors.Invalid(f"cannot read the template {text!r}: unclosed action", hint="Close it with }}.")
    pieces.append((False, rest.lstrip() if trim else rest))
    return pieces


def _declared(tokens: list[tuple[str, str, bool]]) -> tuple[tuple[str, ...], bool]:
    """`$x :=`, `$key, $value :=` or `$x =` at the start of a pipe; taken off the tokens."""
    words = [text for _, text, _ in tokens[:4]]
    for count in (1, 3):
        sign = words[count : count + 1]
        if sign in ([":="], ["="]) and words[0].startswith("$") and (count == 1 or words[1] == ","):
            del tokens[: count + 1]
            return tuple(words[:count:2]), sign == [":="]
    return (), False


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
