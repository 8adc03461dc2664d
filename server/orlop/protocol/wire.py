"""JSON to wire types and back, strictly: unknown keys, wrong scalars and missing fields are refused by name.

Keys are camelCase by field. Fields with a default may be absent on the way in and are always present on the way out.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override


class BadParams(Exception):
    """The JSON does not fit the type; the message says what is wrong where."""


def camel(name: str) -> str:
    """`image_id` as it stands on the wire: `imageId`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def structure(data: Any, to: Any) -> Any:
    """A value of type `to` from JSON; raises `BadParams`."""
    try:
        return _CONVERTER.structure(data, to)
    except Exception as error:
        found = transform_error(error, path="$", format_exception=_explain)
        raise BadParams("; ".join(map(_with_wire_path, found))) from error


def unstructure(value: Any) -> Any:
    """JSON of a wire value."""
    return _CONVERTER.unstructure(value)


def _with_wire_path(text: str) -> str:
    """The path in the JSON, not that in our attributes."""
    what, at, path = text.rpartition(" @ ")
    return f"{what}{at}{'.'.join(map(camel, path.split('.')))}" if at else text


def _explain(error: BaseException, to: type | None) -> str:
    if isinstance(error, KeyError):
        return f"required field missing: {error.args[0]}"
    extra = getattr(error, "extra_fields", None)
    if extra:
        return f"unknown field: {', '.join(sorted(map(camel, extra)))}"
    return str(error) or f"expected {getattr(to, '__name__', to)}"


def _make() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, _exact(scalar))
    converter.register_structure_hook_factory(_is_list, _list_hook(converter))
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_factory(_is_union, _union_hook(converter))
    converter.register_structure_hook_factory(attrs.has, lambda cls: _structure_class(converter, cls))
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _unstructure_class(converter, cls))
    return converter


def _structure_class(converter: Converter, cls: type) -> Callable[..., Any]:
    attrs.resolve_types(cls)
    names = {field.name: override(rename=camel(field.name)) for field in attrs.fields(cls)}
    inner: Callable[..., Any] = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **names)  # type: ignore[arg-type]

    def hook(data: Any, to: Any) -> Any:
        if not isinstance(data, dict):
            raise TypeError(f"expected an object, got {_name(data)}")
        return inner(data, to)

    return hook


def _unstructure_class(converter: Converter, cls: type) -> Callable[..., Any]:
    attrs.resolve_types(cls)
    names = {field.name: override(rename=camel(field.name), omit_if_default=False) for field in attrs.fields(cls)}
    return make_dict_unstructure_fn(cls, converter, **names)  # type: ignore[arg-type]


def _exact(scalar: type) -> Callable[[Any, Any], Any]:
    def hook(data: Any, _: Any) -> Any:
        if scalar is float and type(data) is int:
            return float(data)
        if type(data) is not scalar:
            raise TypeError(f"expected {scalar.__name__}, got {_name(data)}")
        return data

    return hook


def _is_list(to: Any) -> bool:
    return get_origin(to) is list


def _list_hook(converter: Converter) -> Callable[[Any], Callable[..., Any]]:
    def factory(to: Any) -> Callable[..., Any]:
        (item,) = get_args(to)

        def hook(data: Any, _: Any) -> Any:
            if not isinstance(data, list):
                raise TypeError(f"expected a list, got {_name(data)}")
            return [converter.structure(entry, item) for entry in data]

        return hook

    return factory


def _is_literal(to: Any) -> bool:
    return get_origin(to) is Literal


def _literal(data: Any, to: Any) -> Any:
    if data not in get_args(to) or isinstance(data, bool):
        raise ValueError(f"expected one of {', '.join(map(repr, get_args(to)))}, got {data!r}")
    return data


def _is_union(to: Any) -> bool:
    return get_origin(to) in (Union, types.UnionType)


def _union_hook(converter: Converter) -> Callable[[Any], Callable[..., Any]]:
    def factory(to: Any) -> Callable[..., Any]:
        members = [member for member in get_args(to) if member is not type(None)]
        optional = len(members) != len(get_args(to))
        tagged = {tag: member for member in members if attrs.has(member) for tag in _tags(member)}

        def hook(data: Any, _: Any) -> Any:
            if data is None and optional:
                return None
            if tagged and isinstance(data, dict):
                return converter.structure(data, tagged.get(data.get("kind"), members[0]))
            if len(members) == 1:
                return converter.structure(data, members[0])
            if type(data) in members:
                return data
            raise TypeError(f"expected {' or '.join(member.__name__ for member in members)}, got {_name(data)}")

        return hook

    return factory


def _tags(member: type) -> tuple[Any, ...]:
    return get_args(get_type_hints(member).get("kind"))


def _name(data: Any) -> str:
    names = {dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(data), type(data).__name__)


_CONVERTER = _make()
