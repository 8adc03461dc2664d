"""How values look in a terminal: tables, sizes, ages, templates; the same as Docker's where both have them."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orlop.cli import harmless

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
# A template that writes a row as JSON, and the fields that a template names.
_WHOLE_ROW = re.compile(r"\{\{-?\s*json\s+\.\s*-?\}\}")
_NAME = re.compile(r"\.([A-Z]\w*)")
_GAP = 3
_NARROWEST = 10


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns three blanks apart and at least ten wide with them, wide characters counted as two."""
    lines = [[harmless.cell(each) for each in line] for line in (header, *rows)]
    widths = [
        max(_NARROWEST, _GAP + max(_width(line[column]) for line in lines if column < len(line)))
        for column in range(max(map(len, lines)))
    ]
    text = []
    for line in lines:
        cells = [cell + " " * (widths[column] - _width(cell)) for column, cell in enumerate(line)]
        text.append("".join(cells).rstrip() + "\n")
    return "".join(text)


def size(count: float, digits: int = 3) -> str:
    """Bytes in decimal units: `29.7MB`; Docker's lists have three significant digits, its totals four."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{float(f'{count:.{digits}g}'):g}{_UNITS[unit]}"


def age(created: str | None, now: datetime | None = None) -> str:
    """`4 months ago`; `N/A` when nobody knows."""
    when = parse_time(created)
    if when is None:
        return "N/A"
    return f"{duration(((now or datetime.now(UTC)) - when).total_seconds())} ago"


def stamp(created: str | None) -> str:
    """`2026-11-24 11:36:48 +0000 UTC`, in the zone of this machine, as Go prints a time; `N/A` when nobody knows."""
    when = parse_time(created)
    return "N/A" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z")


def rfc3339(created: str | None) -> str:
    """`2026-11-24T11:36:48Z`, in the zone of this machine; empty when nobody knows."""
    when = parse_time(created)
    return "" if when is None else when.astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")


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
    """A value by one of Go's templates, such as `{{.Config.User}}` or `{{json .}}`; raises `Invalid`."""
    # Few commands have a template, and reading one is not free.
    from orlop.cli import gotemplate  # noqa: PLC0415

    return gotemplate.Template(unescaped(template)).render(gotemplate.struct(item))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], template: str | None) -> None:
    """Print rows as a table of `columns` (field -> heading), as JSON lines, or by a template."""
    if template == "json":
        template = "{{json .}}"
    if template and template != "table":
        from orlop.cli import gotemplate  # noqa: PLC0415

        whole = unescaped(template.removeprefix("table").lstrip() if template.startswith("table") else template)
        form = gotemplate.Template(whole)
        lines = [form.render(gotemplate.struct(dict(sorted(row.items())))) for row in rows]
        if _WHOLE_ROW.search(whole):
            lines = [_html_safe(line) for line in lines]
        if template.startswith("table"):
            headings = {field: columns.get(field) or _heading(field) for field in _NAME.findall(whole)}
            grid = [line.split("\t") for line in (form.render(headings), *lines)]
            sys.stdout.write(table(grid[0], grid[1:]))
        else:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
        return
    sys.stdout.write(table(list(columns.values()), [[str(row[field]) for field in columns] for row in rows]))


def unescaped(template: str) -> str:
    """A template in which tabs and line feeds are written as people type them in a shell, by a backslash."""
    return template.replace("\\t", "\t").replace("\\n", "\n")


def _heading(field: str) -> str:
    """`CreatedAt` is `CREATED AT`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field).upper()


def _html_safe(line: str) -> str:
    """Go's encoder keeps text safe for HTML inside the JSON of a row."""
    return line.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
