"""Wire types that several methods share."""

from __future__ import annotations

from typing import Literal

import attrs

Token = str | int


@attrs.frozen(kw_only=True)
class Empty:
    """No parameters, or nothing to tell."""


@attrs.frozen(kw_only=True)
class TextRange:
    """A place in a text: 0-based lines and UTF-16 columns, end exclusive."""

    start_line: int
    start_column: int
    end_line: int
    end_column: int


@attrs.frozen(kw_only=True)
class TextLocation:
    """A place in a file on the server's host."""

    path: str
    range: TextRange


@attrs.frozen(kw_only=True)
class ErrorData:
    """The `data` of every error response.

    `kind` is stable kebab-case, `hint` one imperative sentence, `detail` longer text such as the last lines of a log,
    `actions` names of commands that help.
    """

    kind: str
    detail: str | None
    hint: str | None
    actions: list[str]
    location: TextLocation | None
    retryable: bool
    exit_code: int | None


@attrs.frozen(kw_only=True)
class Note:
    """One line worth telling a person while an operation runs."""

    kind: Literal["note"] = "note"
    level: str
    message: str
