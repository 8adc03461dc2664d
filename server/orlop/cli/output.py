"""How values look in a terminal: tables, sizes, ages, templates; the same as Docker's where both have them."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orlop.core import errors

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_FIELD = re.compile(r"\{\{\s*(json\s+)?\.([A-Za-z0-9_.]*)\s*\}\}")
_GAP = 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns three blanks apart, as wide as their widest cell (counting wide characters as two)."""
    lines = [header, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(header))]
    text = []
    for line in lines:
        cells = [cell + " " * (widths[column] - _width(cell) + _GAP) for column, cell in enumerate(line)]
        text.append("".join(cells).rstrip() + "\n")
    return "".join(text)


def size(count: float) -> str:
    """Bytes with four significant digits in decimal units: `29.7MB`."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{float(f'{count:.4g}' if unit == 0 else f'{count:.3g}'):g}{_UNITS[unit]}"


def age(created: str | None, now: datetime | None = None) -> str:
    """`4 months ago`; `N/A` when nobody knows."""
    when = parse_time(created)
    if when is None:
        return "N/A"
    return f"{duration(((now or datetime.now(UTC)) - when).total_seconds())} ago"


def duration(seconds: float) -> str:
    """A span in words, as Docker's units package rounds it."""
    seconds = int(seconds)
    minutes, hours = seconds // 60, round(seconds / 3600)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time; None for none and for Go's zero time."""
    if not text or text.startswith("0001-01-01"):
        return None
    try:
        value = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00")))
    except ValueError:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def shorten(text: str, width: int, *, full: bool = False) -> str:
    """At most `width` characters, the last an ellipsis if cut, unless `full`."""
    text = " ".join(text.split()) if not full else text
    return text if full or len(text) <= width else text[: width - 1] + "…"


def render(template: str, item: Mapping[str, Any]) -> str:
    """The part of Go's templates that people use: `{{.Name}}`, `{{.Config.User}}`, `{{json .X}}`; raises `Invalid`."""

    def value(match: re.Match[str]) -> str:
        found: Any = item
        for part in filter(None, match[2].split(".")):
            if not isinstance(found, Mapping) or part not in found:
                raise errors.Invalid(
                    f"cannot find {part!r} for the template {template!r}",
                    hint=f"Use one of {', '.join(map(str, found)) if isinstance(found, Mapping) else 'its fields'}.",
                )
            found = found[part]
        if match[1] or not isinstance(found, str | int | float):
            return json.dumps(found, ensure_ascii=False)
        return str(found)

    text = _FIELD.sub(value, template)
    if "{{" in text:
        raise errors.Invalid(f"cannot read the template {template!r}", hint="Use {{.Field}} or {{json .Field}}.")
    return text.replace("\\t", "\t").replace("\\n", "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], template: str | None) -> None:
    """Print rows as a table of `columns` (field -> heading), as JSON lines, or by a template."""
    if template == "json":
        sys.stdout.write("".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows))
    elif template and not template.startswith("table"):
        sys.stdout.write("".join(render(template, row) + "\n" for row in rows))
    else:
        chosen = _table_columns(template, columns)
        cells = [[str(row[field]) for field in chosen] for row in rows]
        sys.stdout.write(table([columns.get(field, field.upper()) for field in chosen], cells))


def _table_columns(template: str | None, columns: Mapping[str, str]) -> list[str]:
    if not template or template == "table":
        return list(columns)
    return [field for _, field in _FIELD.findall(template)]


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
