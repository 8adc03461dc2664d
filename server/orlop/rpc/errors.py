"""Turns errors of the engine into JSON-RPC errors; codes are ours, from 1000, one for each kind."""

from __future__ import annotations

import logging
import uuid

from pygls.exceptions import JsonRpcException

from orlop.core import errors
from orlop.protocol import wire
from orlop.protocol.common import ErrorData, TextLocation, TextRange

logger = logging.getLogger(__name__)

INVALID_PARAMS = -32602
INTERNAL = -32603
FIRST_CODE = 1000


def invalid_params(message: str) -> JsonRpcException:
    """The parameters do not fit the method."""
    return JsonRpcException(message, INVALID_PARAMS, _data("invalid", None, None))


def render(error: BaseException) -> JsonRpcException:
    """What the client is told of any error; a bug goes to the log with an id that the message repeats."""
    if isinstance(error, errors.OrlopError):
        location = _location(error.location) if error.location else None
        code = FIRST_CODE + _kinds().index(error.kind)
        data = _data(error.kind, error.hint, error.detail, list(error.actions), location, error.retryable)
        if isinstance(error, errors.RunFailed):
            data["exitCode"] = error.exit_code
        return JsonRpcException(error.message, code, data)
    if isinstance(error, OSError):
        return render(errors.from_os(error, "finish the request"))
    ticket = uuid.uuid4().hex[:8]
    logger.error("internal error %s", ticket, exc_info=error)
    message = f"internal error {ticket}: {type(error).__name__}"
    return JsonRpcException(message, INTERNAL, _data("internal", "Look up that number in Orlop's log.", None))


def _data(
    kind: str,
    hint: str | None,
    detail: str | None,
    actions: list[str] | None = None,
    location: TextLocation | None = None,
    retryable: bool = False,
) -> dict[str, object]:
    data: dict[str, object] = wire.unstructure(
        ErrorData(
            kind=kind, detail=detail, hint=hint, actions=actions or [], location=location, retryable=retryable,
            exit_code=None,
        )
    )  # fmt: skip
    return data


def _location(location: errors.Location) -> TextLocation:
    return TextLocation(
        path=location.path,
        range=TextRange(
            start_line=location.line,
            start_column=location.column,
            end_line=location.end_line,
            end_column=location.end_column,
        ),
    )


def _kinds() -> list[str]:
    kinds: list[str] = []
    pending: list[type[errors.OrlopError]] = [errors.OrlopError]
    while pending:
        kind = pending.pop(0)
        if kind.kind not in kinds:
            kinds.append(kind.kind)
        pending.extend(kind.__subclasses__())
    return kinds
