"""Open Dockerfiles: their findings are published after every change."""

from __future__ import annotations

from collections.abc import Callable

from lsprotocol import types

from orlop.dockerfile import parser
from orlop.language.diagnostics import diagnostics
from orlop.rpc.server import Server


class DocumentHandlers:
    """Publishes diagnostics; what is not a Dockerfile is none of ours."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def bind(self, add: Callable[[str, Callable[..., None]], None]) -> None:
        """Listen to documents being opened, changed and closed."""
        # As plain functions: pygls writes attributes on its handlers, which bound methods cannot have.
        add(types.TEXT_DOCUMENT_DID_OPEN, lambda params: self._opened(params))  # noqa: PLW0108
        add(types.TEXT_DOCUMENT_DID_CHANGE, lambda params: self._changed(params))  # noqa: PLW0108
        add(types.TEXT_DOCUMENT_DID_CLOSE, lambda params: self._closed(params))  # noqa: PLW0108

    def _opened(self, params: types.DidOpenTextDocumentParams) -> None:
        self._publish(params.text_document.uri)

    def _changed(self, params: types.DidChangeTextDocumentParams) -> None:
        self._publish(params.text_document.uri)

    def _closed(self, params: types.DidCloseTextDocumentParams) -> None:
        self._send(params.text_document.uri, None, [])

    def _publish(self, uri: str) -> None:
        document = self._server.workspace.get_text_document(uri)
        if document.language_id not in (None, "dockerfile"):
            return
        self._send(uri, document.version, diagnostics(parser.parse(document.source)))

    def _send(self, uri: str, version: int | None, found: list[types.Diagnostic]) -> None:
        self._server.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=found)
        )
