"""A token server as the registry token specification describes it: GET with Basic, OAuth2 POST, refresh tokens.

https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/. JWTs are signed by the `openssl` program.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import attrs

from .certs import Pair
from .serving import Handler, Server

# The registry forgives this much clock skew, so a token dies this long after its `exp`.
LEEWAY = 60


@attrs.frozen
class Asked:
    """One request for a token: who asked, how, for what, and what was granted (None: refused)."""

    method: str
    account: str | None
    scopes: tuple[str, ...]
    grant: str
    granted: tuple[str, ...] | None
    headers: Mapping[str, str]


class TokenServer:
    """Issues tokens a registry accepts that trusts `.certificate`.

    `users` maps names to passwords; `rights` maps names (`""` is anybody) to {repository: actions}, where the repository
    `*` is every one and the name `*` is every user. `life` is how many seconds the registry accepts a token;
    `announced` is what the answer says of it (None: says nothing). `only` limits what is ever granted.
    `posts` False answers POST with 404, as several registries do.
    """

    def __init__(
        self, folder: Path, users: Mapping[str, str], rights: Mapping[str, Mapping[str, Sequence[str]]], *,
        algorithm: str = "ES256", life: float = 300, announced: int | None = 300, only: Sequence[str] | None = None,
        posts: bool = True, key_by: str = "kid", field: str = "token", tls: Pair | None = None,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.users, self.rights = dict(users), {name: dict(of) for name, of in rights.items()}
        self.life, self.announced, self.only, self.posts = life, announced, only, posts
        self.service, self.issuer = "test-registry", "test-issuer"
        self.certificate = folder / "token.crt"
        self.asked: list[Asked] = []
        # Answered to the next requests in place of a token: (status, body).
        self.failures: list[tuple[int, bytes]] = []
        self.refresh: dict[str, str] = {}
        self._signer = _Signer(folder, self.certificate, algorithm, key_by)
        self._field = field
        self._lock = threading.Lock()
        self._server = Server(_handler(self), tls)
        self.realm = f"{self._server.url}/token"

    @property
    def count(self) -> int:
        """How many tokens have been asked for."""
        return len(self.asked)

    def issue(
        self, account: str | None, scopes: Sequence[str], life: float | None = None
    ) -> tuple[str, tuple[str, ...]]:
        """A signed token for the scopes the account may have, and these scopes."""
        access = [entry for scope in scopes if (entry := self._grant(account, scope))]
        now = time.time()
        claims = {
            "iss": self.issuer, "sub": account or "", "aud": self.service, "jti": secrets.token_hex(8),
            "iat": int(now) - 1, "nbf": int(now) - 1 - LEEWAY,
            # Rounded up: a token lives at least as long as asked.
            "exp": int(now + (self.life if life is None else life) + 0.999) - LEEWAY,
            "access": access,
        }  # fmt: skip
        granted = tuple(f"{one['type']}:{one['name']}:{','.join(one['actions'])}" for one in access)
        return self._signer.sign(claims), granted

    def stop(self) -> None:
        """Close the port."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _grant(self, account: str | None, scope: str) -> dict[str, Any] | None:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        wanted = actions.split(",")
        allowed: set[str] = set()
        for who in ("", *(("*", account) if account else ())):
            of = self.rights.get(who, {})
            allowed |= {*of.get(name, ()), *of.get("*", ())}
        if self.only is not None:
            allowed &= set(self.only)
        if wanted == ["*"] and kind == "registry":
            given = ["*"] if "*" in allowed else []
        else:
            given = [one for one in wanted if one in allowed]
        return {"type": kind, "name": name, "actions": given} if given else None

    def _answer(self, handler: Handler) -> None:
        url = urlsplit(handler.path)
        body = parse_qs(handler.body().decode())
        asked = body if handler.command == "POST" else parse_qs(url.query)
        scopes = tuple(word for value in asked.get("scope", ()) for word in value.split())
        account, grant, refused = None, "basic", False
        if handler.command == "POST":
            grant = asked.get("grant_type", [""])[0]
            if grant == "refresh_token":
                account = self.refresh.get(asked.get("refresh_token", [""])[0])
                refused = account is None
            else:
                account = asked.get("username", [""])[0]
                refused = self.users.get(account) != asked.get("password", [""])[0]
        elif header := handler.headers.get("Authorization"):
            account, _, password = base64.b64decode(header.partition(" ")[2]).decode().partition(":")
            refused = header.partition(" ")[0].lower() != "basic" or self.users.get(account) != password
        else:
            grant = "anonymous"
        with self._lock:
            failure = self.failures.pop(0) if self.failures else None
        if failure is None and handler.command == "POST" and not self.posts:
            failure = (404, b"404 page not found\n")
        if failure is None and refused:
            failure = (401, b'{"details":"incorrect username or password"}')
        granted: tuple[str, ...] | None = None
        answer: dict[str, Any] = {}
        if failure is None:
            token, granted = self.issue(account, scopes)
            answer = {self._field: token}
            if self.announced is not None:
                answer |= {
                    "expires_in": self.announced,
                    "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                }
            offline = "offline" in asked.get("access_type", ()) or "true" in asked.get("offline_token", ())
            if account and (offline or grant == "refresh_token"):
                made = next((one for one, who in self.refresh.items() if who == account), secrets.token_urlsafe(24))
                self.refresh[made] = account
                answer["refresh_token"] = made
            if handler.command == "POST":
                answer |= {"access_token": token, "scope": " ".join(granted)}
        with self._lock:
            self.asked.append(Asked(handler.command, account, scopes, grant, granted, dict(handler.headers.items())))
        if failure is not None:
            handler.answer(failure[0], failure[1], {"Content-Type": "application/json"})
        else:
            handler.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


class _Signer:
    """Signs claims with a fresh key whose self-signed certificate is written beside it."""

    def __init__(self, folder: Path, certificate: Path, algorithm: str, key_by: str) -> None:
        self._key = folder / "token.key"
        kind = ["rsa:2048"] if algorithm == "RS256" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl(
            "req", "-x509", "-newkey", *kind, "-nodes", "-days", "30", "-keyout", str(self._key),
            "-out", str(certificate), "-subj", "/CN=token",
        )  # fmt: skip
        self._header: dict[str, Any] = {"typ": "JWT", "alg": algorithm}
        if key_by == "x5c":
            der = _openssl("x509", "-in", str(certificate), "-outform", "DER")
            self._header["x5c"] = [base64.b64encode(der).decode()]
        else:
            self._header["kid"] = key_id(_openssl("pkey", "-in", str(self._key), "-pubout", "-outform", "DER"))

    def sign(self, claims: Mapping[str, Any]) -> str:
        signed = f"{url64(json.dumps(self._header).encode())}.{url64(json.dumps(claims).encode())}"
        return f"{signed}.{url64(signature(self._key, signed.encode(), self._header['alg']))}"


def signature(key: Path, data: bytes, algorithm: str) -> bytes:
    """A JWS signature: RS256 as it comes, ES256 as the two numbers of 32 bytes each (RFC 7518 section 3.4)."""
    raw = _openssl("dgst", "-sha256", "-sign", str(key), stdin=data)
    return raw if algorithm == "RS256" else _numbers(raw)


def key_id(public: bytes) -> str:
    """libtrust's name of a public key (DER): 240 bits of its hash, in twelve groups of base32."""
    text = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def url64(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _numbers(der: bytes) -> bytes:
    # SEQUENCE { INTEGER r, INTEGER s }, all lengths below 128 for P-256.
    size = der[3]
    first, second = der[4 : 4 + size], der[6 + size :]
    return b"".join(int.from_bytes(part, "big").to_bytes(32, "big") for part in (first, second))


def _openssl(*words: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=stdin, check=True, capture_output=True).stdout


def _handler(server: TokenServer) -> type[Handler]:
    class Tokens(Handler):
        def do_GET(self) -> None:  # noqa: N802
            server._answer(self)

        do_POST = do_GET  # noqa: N815

    return Tokens
