"""The adapter: `requests` for one host, with TLS settings of ours, and connections that a cancellation breaks.

The library is used through its adapter alone: a session would take passwords from `~/.netrc`, certificates and proxies
from the environment, cookies from one server to the next, and follow redirects with the wrong headers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orlop.core.job import Job

# It costs a tenth of a second, which a process that asks no registry need not pay.
if TYPE_CHECKING:
    from requests import PreparedRequest
    from requests.adapters import HTTPAdapter

# Connections kept for each host.
_POOL = 32


def make_adapter(context: Callable[[], ssl.SSLContext], current: Callable[[], Job | None]) -> HTTPAdapter:
    """An adapter for one host; `current` tells the job of the calling thread."""
    import urllib3  # noqa: PLC0415 - see above
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    # Who is asked without verification was configured so, and is not told of it at every request.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    pools = _watched_pools(current)

    class Adapter(HTTPAdapter):
        """The library's adapter with TLS settings of ours, made at the first use of TLS."""

        def __init__(self) -> None:
            self._guard = threading.Lock()
            self._context: ssl.SSLContext | None = None
            super().__init__(pool_connections=4, pool_maxsize=_POOL)

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            manager.pool_classes_by_scheme = pools
            return manager

        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ARG002 - the library's
            """Leave trust to the settings: the library would add its own list of authorities."""
            if str(url).lower().startswith("https"):
                conn.conn_kw["ssl_context"] = self._made()
                conn.cert_reqs = "CERT_REQUIRED" if verify else "CERT_NONE"

        def _made(self) -> ssl.SSLContext:
            with self._guard:
                if self._context is None:
                    self._context = context()
                return self._context

    return Adapter()


def _watched_pools(current: Callable[[], Job | None]) -> dict[str, Any]:
    """The library's pools, whose connections break at once when the job of their thread is cancelled."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool  # noqa: PLC0415 - see above

    def watched(base: Any) -> Any:
        class Watched(base):  # type: ignore[misc]
            def request(self, *args: Any, **options: Any) -> Any:
                with self._breaking():
                    return super().request(*args, **options)

            def getresponse(self, *args: Any, **options: Any) -> Any:
                with self._breaking():
                    return super().getresponse(*args, **options)

            @contextlib.contextmanager
            def _breaking(self) -> Iterator[None]:
                job = current()
                release = job.token.on_cancel(self._shut) if job is not None else lambda: None
                try:
                    yield
                finally:
                    release()

            def _shut(self) -> None:
                with contextlib.suppress(Exception):
                    shut(self.sock.fileno())

        return Watched

    class Pool(HTTPConnectionPool):
        ConnectionCls = watched(HTTPConnectionPool.ConnectionCls)

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = watched(HTTPSConnectionPool.ConnectionCls)

    return {"http": Pool, "https": SecurePool}


def shut(descriptor: int) -> None:
    """End a connection under whoever waits for it; its object stays usable, to be closed."""
    with socket.socket(fileno=os.dup(descriptor)) as twin:
        twin.shutdown(socket.SHUT_RDWR)


def prepared(
    method: str, url: str, headers: Mapping[str, str], body: Iterator[bytes] | None, size: int | None
) -> PreparedRequest:
    """A request whose URL stays as it was given (a signature may depend on it) and whose body is bytes as they are."""
    from requests.models import PreparedRequest  # noqa: PLC0415 - see above
    from requests.structures import CaseInsensitiveDict  # noqa: PLC0415

    request = PreparedRequest()
    request.method = method
    request.url = url
    request.headers = CaseInsensitiveDict({"Accept-Encoding": "identity", **headers})
    request.hooks = {}
    request._cookies = None  # type: ignore[attr-defined] # noqa: SLF001 - what `prepare_cookies` does
    if body is None:
        if method in ("POST", "PUT", "PATCH"):
            request.headers["Content-Length"] = "0"
    else:
        if size is not None:
            request.headers["Content-Length"] = str(size)
        request.body = body  # type: ignore[assignment]
    return request
