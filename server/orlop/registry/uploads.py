"""Uploads: the sessions in which a registry takes a blob, at once, in pieces, or as a stream that ends when it ends.

Distribution specification, "Pushing blobs". At once is what every registry knows; pieces are for those, or the proxies
before them, that refuse large bodies. A session that broke is not to be trusted: 2.8 takes pieces out of order without
a word, so the range it tells is compared, and where that is in doubt a new session begins.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any
from urllib.parse import quote, urldefrag, urlencode, urljoin, urlsplit

import attrs

from orlop.core import errors
from orlop.core.digest import Digest
from orlop.core.job import Job
from orlop.core.mediatype import MediaType
from orlop.registry import configuration, retrying
from orlop.registry.failures import Asked
from orlop.registry.transport import Endpoint, Transport
from orlop.registry.wire import Answer, Body

# A send that takes too long breaks the connection, so slow lines get small pieces.
_PIECE = 128 << 10
# What a proxy may refuse is halved down to this.
_LARGEST, _SMALLEST = 16 << 20, 512 << 10
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,18})\Z")
_BINARY = {"Content-Type": str(MediaType.OCTET_STREAM)}
_CREATED = (201, 200, 204)
_GONE = (404, 416)
_PATIENCE_AT_CANCEL = 3.0

Counted = Callable[[int], None]


@attrs.frozen
class Target:
    """A repository that things are pushed to."""

    transport: Transport
    endpoint: Endpoint
    path: str
    asked: Asked

    @property
    def scope(self) -> str:
        """What a token must allow."""
        return f"repository:{self.path}:pull,push"

    def request(self, method: str, path: str, job: Job, **more: Any) -> Answer:
        """Ask the registry; `path` is below the repository, or a URL that it gave."""
        where = path if "://" in path else f"/v2/{self.path}/{path}"
        more.setdefault("scopes", (self.scope,))
        return self.transport.request(method, self.endpoint, where, asked=self.asked, job=job, **more)


@attrs.frozen
class Session:
    """An open upload: where its next request goes, and the fewest bytes that a piece may have."""

    url: str
    least: int = 0


@attrs.frozen
class Source:
    """The bytes of a blob, from the start at every `open`; one that is not `replayable` can be opened once.

    `count` is told how many have gone.
    """

    digest: Digest
    size: int
    open: Callable[[], IO[bytes]]
    replayable: bool = True
    count: Counted = lambda _: None


def start(target: Target, job: Job, *, mount: Digest | None = None, source: str = "") -> Session | None:
    """Open a session; None when the registry took the blob `mount` from the repository `source` instead."""
    if mount is None:
        with target.request("POST", "blobs/uploads/", job, good=(202,)) as answer:
            return _session(target, answer)
    query = urlencode({"mount": str(mount), "from": source}, quote_via=quote)
    scopes = (target.scope, f"repository:{source}:pull")
    with target.request("POST", f"blobs/uploads/?{query}", job, scopes=scopes, good=(201, 202)) as answer:
        return None if answer.status == 201 else _session(target, answer)


def send(target: Target, source: Source, job: Job, arrived: Callable[[], bool], session: Session | None = None) -> None:
    """Have the registry take a blob, with as many sessions as that needs; `arrived` asks whether it has it after all.

    Raises registry errors, `Corrupt` when the bytes are not those of the digest, `Cancelled`.
    """
    in_pieces = False
    attempt = 0
    while True:
        attempt += 1
        session = session or _opened(target, job)
        try:
            if in_pieces:
                _Pieces(target, source, job, session).send()
            else:
                _send_at_once(target, source, job, session)
        except errors.RegistryError as error:
            give_up(target, session)
            if error.status == 413 and not in_pieces and source.replayable:
                in_pieces, attempt = True, attempt - 1
            else:
                _wait(target, error, attempt, job, replayable=source.replayable)
                if arrived():
                    return
                # Some proxies just hang up when a body is too large for them.
                in_pieces = in_pieces or (error.status == 0 and attempt > 1 and source.size > _LARGEST)
            session = None
        except BaseException:
            give_up(target, session)
            raise
        else:
            return


def send_stream(
    target: Target, pieces: Callable[[], Iterator[bytes]], digest: Callable[[], Digest], job: Job,
    arrived: Callable[[], bool], session: Session | None = None,
) -> None:  # fmt: skip
    """Have the registry take bytes whose number and `digest` are known only once they have gone.

    `pieces` begins anew for every attempt. Raises as `send` does.
    """
    attempt = 0
    while True:
        attempt += 1
        session = session or _opened(target, job)
        try:
            _send_unsized(target, pieces, digest, job, session)
        except errors.RegistryError as error:
            give_up(target, session)
            _wait(target, error, attempt, job, replayable=True)
            if arrived():
                return
            session = None
        except BaseException:
            give_up(target, session)
            raise
        else:
            return


def give_up(target: Target, session: Session) -> None:
    """Tell the registry to forget a session, if it listens; waits only a moment, and works after a cancellation."""

    def delete() -> None:
        good = (200, 202, 204, 400, 404, 405)
        with (
            contextlib.suppress(errors.OrlopError, Exception),
            target.request("DELETE", session.url, Job(), good=good, retry=False),
        ):
            pass

    thread = threading.Thread(target=delete, name="give-up", daemon=True)
    thread.start()
    thread.join(_PATIENCE_AT_CANCEL)


def usable(target: Target, asked_at: str, location: str) -> str:
    """The address to go on at: as the registry says, but for what proxies before it get wrong."""
    url = urldefrag(urljoin(asked_at, location)).url
    parts, own = urlsplit(url), urlsplit(asked_at)
    if parts.scheme == "http" and own.scheme == "https" and parts.hostname == own.hostname:
        parts = parts._replace(scheme="https", netloc=own.netloc)
    prefix = target.endpoint.prefix
    if prefix and parts.netloc == own.netloc and parts.path.startswith("/v2/"):
        parts = parts._replace(path=f"{prefix}{parts.path}")
    loopback = configuration.is_loopback(parts.netloc)
    insecure = loopback or target.transport.config.host(parts.netloc).insecure
    if parts.scheme != "https" and own.scheme == "https" and not insecure:
        raise errors.RegistryError(
            f"cannot {target.asked}: {target.asked.domain} wants it sent unencrypted to {parts.netloc}",
            hint=f'Set insecure = true in [registries.hosts."{parts.netloc}"] of config.toml if that is intended.',
        )
    return parts.geturl()


def _opened(target: Target, job: Job) -> Session:
    session = start(target, job)
    assert session is not None
    return session


def _send_at_once(target: Target, source: Source, job: Job, session: Session) -> None:
    body = Body(source.size, lambda: _pieces(source), replayable=source.replayable)
    _finish(target, session, source.digest, job, body)


def _send_unsized(
    target: Target, pieces: Callable[[], Iterator[bytes]], digest: Callable[[], Digest], job: Job, session: Session
) -> None:
    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        sent = 0
        for piece in pieces():
            for offset in range(0, len(piece), _PIECE):
                part = piece[offset : offset + _PIECE]
                yield part
                sent += len(part)

    with target.request(
        "PATCH", session.url, job, headers=_BINARY, body=Body(None, counted), good=(202, 201, 204), retry=False
    ) as answer:
        has = _received(answer.headers)
        if has is not None and has != sent and sent > 1:
            raise _torn(target, has, sent)
        session = _session(target, answer)
    _finish(target, session, digest(), job, Body(0, lambda: iter(())))


def _finish(target: Target, session: Session, digest: Digest, job: Job, body: Body) -> None:
    joint = "&" if urlsplit(session.url).query else "?"
    url = f"{session.url}{joint}digest={quote(str(digest), safe='')}"
    try:
        with target.request("PUT", url, job, headers=_BINARY, body=body, good=_CREATED, retry=False) as answer:
            told = answer.headers.get("Docker-Content-Digest", "")
    except errors.RegistryError as error:
        if error.status == 400 and {"DIGEST_INVALID", "SIZE_INVALID"} & set(error.codes):
            raise errors.Corrupt(
                f"cannot {target.asked}: blob {digest} arrived with other bytes",
                hint="Push again; if it stays so, run `orlop system verify` to find damage in the image store.",
                detail=error.detail,
            ) from error
        raise
    if told and told != str(digest) and told.partition(":")[0] == digest.algorithm:
        raise errors.Corrupt(f"cannot {target.asked}: {target.asked.domain} took blob {digest} as {told}")


class _Pieces:
    """One session that takes a blob piece by piece."""

    def __init__(self, target: Target, source: Source, job: Job, session: Session) -> None:
        self._target = target
        self._source = source
        self._job = job
        self._session = session
        self._size = max(_LARGEST, session.least)
        self._offset = 0
        self._at = 0
        self._file: IO[bytes] | None = None

    def send(self) -> None:
        """Send all of it and close the session."""
        strikes = 0
        try:
            while self._offset < self._source.size:
                piece = self._read(min(self._size, self._source.size - self._offset))
                try:
                    moved = self._patch(piece)
                except errors.RegistryError as error:
                    moved = self._recover(error)
                strikes = 0 if moved else strikes + 1
                if strikes > self._target.transport.policy.attempts:
                    raise _torn(self._target, self._offset, self._offset + len(piece))
                self._source.count(self._offset)
        finally:
            if self._file is not None:
                self._file.close()
        _finish(self._target, self._session, self._source.digest, self._job, Body(0, lambda: iter(())))

    def _patch(self, piece: bytes) -> bool:
        end = self._offset + len(piece)
        headers = {**_BINARY, "Content-Range": f"{self._offset}-{end - 1}"}
        body = Body(len(piece), lambda: _cut(piece))
        with self._target.request(
            "PATCH", self._session.url, self._job, headers=headers, body=body, good=(202, 201, 204), retry=False
        ) as answer:
            has = _received(answer.headers)
            self._session = attrs.evolve(_session(self._target, answer), least=self._session.least)
        # A registry that tells no range is believed; one that has fewer bytes gets the rest again.
        return self._go_on(end if has is None else has, end)

    def _recover(self, error: errors.RegistryError) -> bool:
        """Find out what the registry has; raises the error when that is nothing to build on."""
        if error.status == 413 and self._size > max(_SMALLEST, self._session.least):
            self._size = max(self._size // 2, _SMALLEST, self._session.least)
            return True
        if error.status not in (0, 416, *retrying.STATUSES):
            raise error
        try:
            with self._target.request("GET", self._session.url, self._job, good=(204, 200, 202)) as answer:
                has = _received(answer.headers)
                location = answer.headers.get("Location")
                if location:
                    self._session = attrs.evolve(_session(self._target, answer), least=self._session.least)
        except errors.RegistryError:
            raise error from None
        if has is None:
            raise error
        return self._go_on(has, self._source.size)

    def _go_on(self, has: int, most: int) -> bool:
        """Continue behind the bytes that are there; tells whether that is farther than before."""
        if has > most:
            raise _torn(self._target, has, most)
        before, self._offset = self._offset, has
        return has > before

    def _read(self, count: int) -> bytes:
        if self._file is None or self._at > self._offset:
            if self._file is not None:
                self._file.close()
            self._file, self._at = self._source.open(), 0
        while self._at < self._offset:
            self._at += len(_some(self._file, min(_PIECE, self._offset - self._at), self._source))
        parts = []
        while count > 0:
            self._job.checkpoint()
            parts.append(_some(self._file, count, self._source))
            count -= len(parts[-1])
            self._at += len(parts[-1])
        return b"".join(parts)


def _pieces(source: Source) -> Iterator[bytes]:
    """All bytes, exactly as many as were announced."""
    done = 0
    with source.open() as file:
        while done < source.size:
            piece = _some(file, min(_PIECE, source.size - done), source)
            yield piece
            done += len(piece)
            source.count(done)
        if file.read(1):
            raise errors.Corrupt(f"blob {source.digest} is longer than its {source.size} bytes")


def _some(file: IO[bytes], count: int, source: Source) -> bytes:
    data = file.read(count)
    if not data:
        raise errors.Corrupt(f"blob {source.digest} is shorter than its {source.size} bytes")
    return data


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[offset : offset + _PIECE] for offset in range(0, len(data), _PIECE))


def _received(headers: Mapping[str, str]) -> int | None:
    """How many bytes the registry has, by its `Range`; `0-0` stands for none."""
    match = _RANGE.match(headers.get("Range", "").strip())
    if match is None:
        return None
    end = int(match[1])
    return end + 1 if end else 0


def _session(target: Target, answer: Answer) -> Session:
    location = answer.headers.get("Location")
    if not location:
        raise errors.RegistryError(
            f"cannot {target.asked}: {target.asked.domain} does not say where the upload goes",
            hint="The fault lies with the registry or a proxy before it.",
        )
    least = answer.headers.get("OCI-Chunk-Min-Length", "")
    return Session(usable(target, answer.url, location), int(least) if least.isdigit() and len(least) < 11 else 0)


def _wait(target: Target, error: errors.RegistryError, attempt: int, job: Job, *, replayable: bool) -> None:
    """Sleep before the next attempt, or raise the error when there shall be none."""
    lost = error.status in _GONE or {"BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN"} & set(error.codes)
    worth = replayable and (error.status == 0 or error.status in retrying.STATUSES or lost)
    asked = {"Retry-After": str(int(error.after + 1))} if error.after else None
    seconds = target.transport.policy.wait(attempt, asked) if worth else None
    if seconds is None:
        raise error
    job.note(f"{error.message}; trying again in {retrying.human(seconds)}", "warning")
    if job.token.wait(seconds):
        job.checkpoint()


def _torn(target: Target, has: int, sent: int) -> errors.RegistryError:
    return errors.Unreachable(
        f"cannot {target.asked}: {target.asked.domain} has {has} bytes of a blob of which {sent} were sent",
        hint="Push again; if it stays so, the fault lies with the registry or a proxy before it.",
    )
