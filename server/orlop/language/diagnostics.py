"""Findings of the parser and of the lint rules as diagnostics."""

from __future__ import annotations

from lsprotocol import types

from orlop.dockerfile import rules
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem


def diagnostics(tree: Dockerfile) -> list[types.Diagnostic]:
    """Every finding, in the order of the text; columns are UTF-16 code units."""
    lines = tree.text.splitlines()
    found = {(item.code, item.span): item for item in (*tree.problems, *rules.check(tree))}
    ordered = sorted(found.values(), key=lambda item: (item.span.start.line, item.span.start.column))
    return [_diagnostic(item, lines) for item in ordered]


def _diagnostic(item: Problem, lines: list[str]) -> types.Diagnostic:
    message = f"{item.message}\n{item.hint}" if item.hint else item.message
    severity = types.DiagnosticSeverity.Error if item.severity == "error" else types.DiagnosticSeverity.Warning
    return types.Diagnostic(
        range=_range(item.span, lines), message=message, severity=severity, code=item.code, source="orlop"
    )


def _range(span: Span, lines: list[str]) -> types.Range:
    return types.Range(
        start=_position(span.start.line, span.start.column, lines), end=_position(span.end.line, span.end.column, lines)
    )


def _position(line: int, column: int, lines: list[str]) -> types.Position:
    if line >= len(lines) or lines[line].isascii():
        return types.Position(line=line, character=column)
    units = len(lines[line][:column].encode("utf-16-le", "surrogatepass")) // 2
    return types.Position(line=line, character=units)
