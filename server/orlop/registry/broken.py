"""Broken: no answer came, or not all of it; tells the reasons apart that the libraries mix."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

from orlop.core import errors


class Broken(Exception):
    """No answer came; `failures` makes an error for people of it.

    `kind` is name, connect, proxy, tls, plain, timeout or dropped; only the last two are chance.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Turn whatever the libraries raise into `Broken`."""
    try:
        yield
    except (errors.OrlopError, Broken):
        raise
    except Exception as error:
        broken = _broken(error)
        if broken is None:
            raise
        raise broken from error


def _broken(error: Exception) -> Broken | None:
    import http.client  # noqa: PLC0415

    import requests  # noqa: PLC0415
    import urllib3.exceptions as library  # noqa: PLC0415

    if not isinstance(error, requests.RequestException | library.HTTPError | OSError | http.client.HTTPException):
        return None
    chain = tuple(_chain(error))
    text = str(chain[-1]) or type(error).__name__
    for one in chain:
        if isinstance(one, ssl.SSLError):
            if isinstance(one, ssl.SSLCertVerificationError):
                return Broken("tls", one.verify_message or str(one))
            reason = (one.reason or str(one)).replace("_", " ").lower()
            plain = any(word in reason for word in ("wrong version number", "http request", "record layer failure"))
            return Broken("plain" if plain else "tls", reason)
        if isinstance(one, socket.gaierror):
            return Broken("name", (one.strerror or str(one)).lower())
    if any(isinstance(one, requests.exceptions.ProxyError | library.ProxyError) for one in chain):
        return Broken("proxy", text)
    if any(isinstance(one, library.NewConnectionError | ConnectionRefusedError) for one in chain):
        return Broken("connect", _short(chain))
    if any(isinstance(one, requests.ConnectTimeout | library.ConnectTimeoutError) for one in chain):
        return Broken("connect", "no answer in time")
    if any(isinstance(one, requests.Timeout | library.TimeoutError | TimeoutError) for one in chain):
        return Broken("timeout", "no byte came in time")
    return Broken("dropped", _short(chain))


def _short(chain: tuple[BaseException, ...]) -> str:
    for one in chain:
        if isinstance(one, OSError) and one.strerror:
            return one.strerror.lower()
    return "the connection was closed"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, as the libraries nest it: as cause, as argument, as `reason`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]
