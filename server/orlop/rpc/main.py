"""`orlop serve`: claims the pipes first, then builds engine and server, and serves until the pipe closes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop.rpc import stdio

if TYPE_CHECKING:
    import logging

SHUTDOWN_SECONDS = 1.5


def main() -> int:
    """Serve one client; never returns while it is there."""
    source, sink = stdio.claim()
    _configure_logging()
    # Everything heavy is imported after the pipes are safe.
    from orlop.engine.engine import Engine  # noqa: PLC0415
    from orlop.engine.settings import Settings  # noqa: PLC0415
    from orlop.rpc.dispatch import Dispatcher  # noqa: PLC0415
    from orlop.rpc.jobs import Lanes  # noqa: PLC0415
    from orlop.rpc.routes import bind_all  # noqa: PLC0415
    from orlop.rpc.server import Server  # noqa: PLC0415

    engine = Engine(Settings.from_environment(dict(os.environ)))
    lanes = Lanes()
    server = Server()
    outbox = stdio.Outbox(sink)
    bind_all(Dispatcher(server, lanes, lambda: outbox.pending), server, engine, lanes)
    server.start_io(source, outbox)  # type: ignore[arg-type]
    lanes.cancel_all(SHUTDOWN_SECONDS)
    engine.close()
    outbox.close()
    os._exit(0)


def _is_fault(record: logging.LogRecord) -> bool:
    from pygls.exceptions import JsonRpcException  # noqa: PLC0415

    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException))


def _configure_logging() -> None:
    import logging  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # At INFO pygls logs the body of every message, secrets included.
    logging.getLogger("pygls").setLevel(logging.WARNING)
    # That a request is answered with an error is no fault of the server; one line tells it (`report_server_error`).
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_fault)
