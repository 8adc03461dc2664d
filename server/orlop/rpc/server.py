"""The language server: pygls, bent so that every request gets an answer and nothing pops up in a person's face."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidRequest
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage

from orlop import __version__
from orlop.protocol.typescript import protocol_hash
from orlop.rpc import errors

logger = logging.getLogger(__name__)


class Protocol(LanguageServerProtocol):
    """pygls' protocol with structured messages handled in one place, `handle_message`.

    pygls structures inside the JSON parser, where it cannot answer: a request whose parameters do not fit, or are
    missing, would never hear back, and any nested object with a `jsonrpc` key would break its message.
    """

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Leave every object as it is; `handle_message` sees the whole message."""
        return data

    def handle_message(self, message: Any) -> None:
        """Structure, then dispatch; whatever does not fit is answered with what is wrong."""
        if not isinstance(message, dict) or message.get("jsonrpc") != self.VERSION:
            self._refuse(message, JsonRpcInvalidRequest("not a JSON-RPC 2.0 message"))
            return
        try:
            typed = self._typed(message)
        except Exception as error:  # noqa: BLE001  # whatever structuring meets, the client hears of it
            reason = str(error) or type(error).__name__
            self._refuse(message, errors.invalid_params(f"bad parameters of {message.get('method')}: {reason}"))
            return
        super().handle_message(typed)

    def _typed(self, message: dict[str, Any]) -> Any:
        if "method" not in message:
            return super().structure_message(message)
        method, params = str(message["method"]), message.get("params")
        if self.get_message_type(method) is not None:
            optional = self.get_message_type(method) in _WITHOUT_PARAMS
            return super().structure_message(message if optional else {**message, "params": params or {}})
        params = {} if params is None else params
        if "id" in message:
            return JsonRPCRequestMessage(id=message["id"], method=method, jsonrpc=self.VERSION, params=params)
        return JsonRPCNotification(method=method, jsonrpc=self.VERSION, params=params)

    def _refuse(self, message: Any, error: JsonRpcException) -> None:
        logger.warning("refused message: %s", error)
        if isinstance(message, dict) and "id" in message and ("method" in message or "jsonrpc" not in message):
            self._send_response(message["id"], error=error.to_response_error())

    def _send_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:
        try:
            super()._send_response(msg_id, result=result, error=error)
        except Exception as failure:  # noqa: BLE001  # an unserializable result still owes an answer
            super()._send_response(msg_id, error=errors.render(failure).to_response_error())

    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Add the hash of our method table, which the client compares with its own."""
        result = yield from super().lsp_initialize(params)
        result.capabilities.experimental = {"orlop": {"protocol": protocol_hash()}}
        return result

    lsp_initialize.method_name = types.INITIALIZE  # type: ignore[attr-defined]

    def lsp_exit(self, *_: Any) -> Generator[Any, Any, None]:
        """End the process; the store needs no farewell."""
        if self.writer is not None:
            self.writer.close()
        os._exit(0 if self._shutdown else 1)
        yield

    lsp_exit.method_name = types.EXIT  # type: ignore[attr-defined]


class Server(LanguageServer):
    """pygls' server: one thread reads the pipe, ours do the work, errors only go to the log."""

    def __init__(self) -> None:
        super().__init__(
            name="orlop",
            version=__version__,
            protocol_cls=Protocol,
            max_workers=1,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
        )

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log; a popup helps nobody, and reporting to a closed pipe would report itself."""
        logger.warning("%s: %s", getattr(source, "__name__", source), error)

    def add(self, method: str, handler: Callable[..., Any]) -> None:
        """Bind a handler to a method."""
        self.feature(method)(handler)


_WITHOUT_PARAMS = {
    types.ShutdownRequest,
    types.ExitNotification,
    types.InitializedNotification,
}
