from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from orlop.core import errors
from orlop.core.job import Job, Note
from orlop.registry.auth import bytes_body
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Credential, Memory, Secret
from orlop.registry.failures import Asked
from orlop.registry.transport import Transport
from orlop.registry.wire import Answer, Body
from unit.registry.serving import Reply, Request, Served, serving

ME = Credential("joe", Secret("hunter2"))
SCOPE = "repository:a/b:pull"


def _transport(memory: Memory | None = None, **options: object) -> Transport:
    defaults: dict[str, object] = {"attempts": 3, "backoff": 0.01, "stall_seconds": 2.0}
    return Transport(RegistryConfig(**{**defaults, **options}), memory or Memory())  # type: ignore[arg-type]


def _ask(
    transport: Transport, host: str, path: str = "/v2/a/b/tags/list", *, method: str = "GET", job: Job | None = None,
    scopes: tuple[str, ...] = (SCOPE,), body: Body | None = None,
) -> Answer:  # fmt: skip
    asked = Asked(action="pull", subject=f"{host}/a/b", domain=host, repository="a/b")
    return transport.request(
        method, transport.endpoint(host), path, asked=asked, job=job or Job(), scopes=scopes, body=body
    )


def _guarded(served: Callable[[], Served], tokens: list[str], lasts: int | None = None) -> Callable[[Request], Reply]:
    """A registry that wants a token, and its token service; each token of `tokens` was given and is still good."""

    def answer(request: Request) -> Reply:
        if request.path.startswith("/token"):
            token = f"t{len(tokens)}"
            tokens.append(token)
            data: dict[str, object] = {"access_token": token}
            if lasts is not None:
                data["expires_in"] = lasts
            return Reply(200, {}, json.dumps(data).encode())
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in tokens:
            return Reply(200, {}, b"{}")
        challenge = f'Bearer realm="{served().url}/token",service="s",scope="{SCOPE}"'
        return Reply(401, {"WWW-Authenticate": challenge}, b"")

    return answer


def test_a_token_is_fetched_with_the_password_and_used_again() -> None:
    holder: list[Served] = []
    tokens: list[str] = []
    with serving(_guarded(lambda: holder[0], tokens)) as served:
        holder.append(served)
        memory = Memory()
        memory.save(served.netloc, ME)
        transport = _transport(memory)
        for _ in range(3):
            _ask(transport, served.netloc).close()
    asked = [request for request in served.requests if request.path.startswith("/token")]
    assert len(asked) == 1
    query = parse_qs(urlsplit(asked[0].path).query)
    assert query["scope"] == [SCOPE]
    assert query["service"] == ["s"]
    assert query["account"] == ["joe"]
    assert asked[0].headers["Authorization"] == "Basic " + base64.b64encode(b"joe:hunter2").decode()


def test_many_threads_fetch_one_token() -> None:
    holder: list[Served] = []
    tokens: list[str] = []
    with serving(_guarded(lambda: holder[0], tokens)) as served:
        holder.append(served)
        transport = _transport()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: _ask(transport, served.netloc).close(), range(16)))
    assert len(tokens) == 1


def test_a_token_that_is_refused_is_renewed_and_the_body_sent_again() -> None:
    holder: list[Served] = []
    tokens: list[str] = []
    with serving(_guarded(lambda: holder[0], tokens)) as served:
        holder.append(served)
        transport = _transport()
        _ask(transport, served.netloc).close()
        tokens[:] = ["expired-meanwhile"]
        _ask(transport, served.netloc, method="PUT", body=bytes_body(b"payload")).close()
    puts = [request for request in served.requests if request.method == "PUT"]
    assert [request.body for request in puts] == [b"payload", b"payload"]


def test_an_insufficient_scope_is_asked_for_once_and_first() -> None:
    def answer(request: Request) -> Reply:
        if request.path.startswith("/token"):
            scopes = parse_qs(urlsplit(request.path).query).get("scope", [])
            return Reply(200, {}, json.dumps({"token": "+".join(scopes).replace(":", "_")}).encode())
        error = ',error="insufficient_scope"' if "Authorization" in request.headers else ""
        challenge = f'Bearer realm="{holder[0].url}/token",service="s",scope="repository:a/b:pull,push"{error}'
        return Reply(401 if not error else 403, {"WWW-Authenticate": challenge})

    holder: list[Served] = []
    with serving(answer) as served:
        holder.append(served)
        with pytest.raises(errors.Denied):
            _ask(_transport(), served.netloc)
    asked = [request.path for request in served.requests if request.path.startswith("/token")]
    assert [parse_qs(urlsplit(path).query)["scope"] for path in asked] == [
        [SCOPE],
        ["repository:a/b:pull,push", SCOPE],
    ]


@pytest.mark.parametrize("no_post", [False, True])
def test_an_identity_token_is_posted_and_where_that_is_unknown_shown_with_get(no_post: bool) -> None:
    def answer(request: Request) -> Reply:
        if request.path.startswith("/token") and request.method == "POST":
            return Reply(404) if no_post else Reply(200, {}, b'{"access_token":"good"}')
        if request.path.startswith("/token"):
            return Reply(200, {}, b'{"token":"good"}')
        if request.headers.get("Authorization") == "Bearer good":
            return Reply(200, {}, b"{}")
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{holder[0].url}/token",service="s"'})

    holder: list[Served] = []
    with serving(answer) as served:
        holder.append(served)
        memory = Memory()
        memory.save(served.netloc, Credential("joe", Secret("refresh"), identity_token=True))
        _ask(_transport(memory), served.netloc).close()
    posted = [request for request in served.requests if request.method == "POST"]
    fields = parse_qs(posted[0].body.decode())
    assert fields["grant_type"] == ["refresh_token"]
    assert fields["refresh_token"] == ["refresh"]
    assert fields["scope"] == [SCOPE]


def test_a_wrong_password_names_the_account_and_never_shows_it() -> None:
    with serving(lambda _: Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})) as served:
        memory = Memory()
        memory.save(served.netloc, ME)
        with pytest.raises(errors.Unauthorized) as caught:
            _ask(_transport(memory), served.netloc)
    assert "joe" in caught.value.message
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}{ME!r}{ME.secret}"
    assert len([request for request in served.requests if "Authorization" in request.headers]) == 1


def test_a_redirect_takes_no_authorization_along() -> None:
    def registry(request: Request) -> Reply:
        if "Authorization" not in request.headers:
            return Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
        return Reply(307, {"Location": f"{elsewhere.url}/data?signature=a%2Fb%20c"})

    with serving(lambda _: Reply(200, {}, b"data")) as elsewhere, serving(registry) as served:
        memory = Memory()
        memory.save(served.netloc, ME)
        memory.save(elsewhere.netloc, Credential("other", Secret("other")))
        hosts = {served.netloc: HostConfig(host=served.netloc, headers={"X-Own": "1"})}
        with _ask(_transport(memory, hosts=hosts), served.netloc) as answer:
            assert answer.read_all(10) == b"data"
    (request,) = elsewhere.requests
    assert "Authorization" not in request.headers
    assert "X-Own" not in request.headers
    assert request.path == "/data?signature=a%2Fb%20c"
    assert served.requests[-1].headers["X-Own"] == "1"


def test_redirects_end() -> None:
    with serving(lambda request: Reply(302, {"Location": request.path + "x"})) as served:
        hosts = {served.netloc: HostConfig(host=served.netloc)}
        with pytest.raises(errors.RegistryError) as caught:
            _ask(_transport(hosts=hosts), served.netloc)
    assert "without end" in caught.value.message


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    replies = iter((Reply(status), Reply(status), Reply(200, {}, b"{}")))
    with serving(lambda request: Reply() if request.path == "/v2/" else next(replies)) as served:
        _ask(_transport(), served.netloc).close()
    assert len(served.requests) == 4


@pytest.mark.parametrize("status", [400, 403, 404, 501])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    with (
        serving(lambda request: Reply() if request.path == "/v2/" else Reply(status)) as served,
        pytest.raises(errors.RegistryError),
    ):
        _ask(_transport(), served.netloc)
    assert len(served.requests) == 2


def test_a_closed_connection_is_opened_again_at_once() -> None:
    replies = iter((Reply(), Reply(0), Reply(200, {}, b"{}")))
    with serving(lambda _: next(replies)) as served:
        notes: list[object] = []
        _ask(_transport(), served.netloc, job=Job(notes.append)).close()
    assert notes == []


def test_a_body_that_cannot_be_replayed_is_sent_once() -> None:
    with serving(lambda request: Reply() if request.path == "/v2/" else Reply(503)) as served:
        body = Body(3, lambda: iter((b"abc",)), replayable=False)
        with pytest.raises(errors.RegistryError):
            _ask(_transport(), served.netloc, method="PUT", body=body)
    assert [request.method for request in served.requests] == ["GET", "PUT"]


def test_nothing_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("default login evil password evil\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(lambda _: Reply(200, {"Set-Cookie": "a=b"}, b"{}")) as served:
        transport = _transport()
        _ask(transport, served.netloc).close()
        _ask(transport, served.netloc).close()
    assert all("Authorization" not in one.headers and "Cookie" not in one.headers for one in served.requests)


def test_a_proxy_is_used_unless_the_host_is_excepted() -> None:
    hosts = {"r.example": HostConfig(host="r.example", insecure=True)}
    with serving(lambda _: Reply(200, {}, b"{}")) as proxy:
        proxies = {"http": proxy.url, "https": "http://127.0.0.1:1"}
        transport = _transport(hosts=hosts, proxies=proxies)
        _ask(transport, "r.example").close()
        assert proxy.requests[-1].path == "http://r.example/v2/a/b/tags/list"
        count = len(proxy.requests)
        with pytest.raises(errors.Unreachable):
            _ask(_transport(hosts=hosts, proxies={**proxies, "no_proxy": "other.example, .example"}), "r.example")
        assert len(proxy.requests) == count


@pytest.mark.parametrize(
    ("entry", "excepted"),
    [
        ("r.example", True), (".example", True), ("example", True), ("*", True), ("*.example", True),
        ("r.example:443", False), ("xr.example", False), ("ple", False), ("10.0.0.0/8", False),
    ],
)  # fmt: skip
def test_no_proxy_entries_name_hosts_and_domains(entry: str, excepted: bool) -> None:
    from orlop.registry import wire

    assert wire._bypasses(entry, "r.example", "r.example") is excepted
    assert wire._bypasses("10.0.0.0/8", "10.1.2.3", "10.1.2.3:5000")
    assert wire._bypasses("[", "r.example", "r.example") is False


def test_plain_http_is_for_this_machine_and_for_what_is_said_to_be_insecure() -> None:
    with serving(lambda _: Reply(200, {}, b"{}")) as served:
        _ask(_transport(), f"localhost:{served.netloc.rpartition(':')[2]}").close()
        # With a certificate authority of its own, this machine is to speak HTTPS as others are.
        ca = {served.netloc: HostConfig(host=served.netloc, ca_files=(Path("/etc/ssl/certs/ca-certificates.crt"),))}
        with pytest.raises(errors.Unreachable) as caught:
            _ask(_transport(hosts=ca), served.netloc)
        assert "plain HTTP" in caught.value.message
        assert "insecure = true" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/t",
        "ftp://x/t",
        "https://u@h/t",
        "http://[fe80::1]/t",
        "/token",
    ],
)
def test_a_registry_cannot_send_us_anywhere(realm: str) -> None:
    from orlop.registry import realms
    from orlop.registry.auth import Place

    asked = Asked(action="pull", subject="x", domain="r.example")
    for origin in ("https://r.example", "http://r.example"):
        with pytest.raises(errors.RegistryError):
            realms.check(realm, Place("r.example", origin), asked)


def test_honest_realms_are_asked() -> None:
    from orlop.registry import realms
    from orlop.registry.auth import Place

    asked = Asked(action="pull", subject="x", domain="r.example")
    realms.check("https://auth.docker.io/token", Place("docker.io", "https://registry-1.docker.io"), asked)
    realms.check("http://10.0.0.1:5001/t", Place("10.0.0.1:5000", "http://10.0.0.1:5000"), asked)
    realms.check("http://127.0.0.1:5001/t", Place("localhost:5000", "http://localhost:5000"), asked)
    with pytest.raises(errors.RegistryError):
        realms.check("http://auth.example/t", Place("r.example", "https://r.example"), asked)
    with pytest.raises(errors.RegistryError):
        realms.check("http://127.0.0.1/t", Place("r.example", "http://r.example"), asked)


def test_the_rate_limit_and_warnings_are_noted() -> None:
    headers = {
        "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600", "docker-ratelimit-source": "192.0.2.1",
        "Warning": '299 - "this registry moves"',
    }  # fmt: skip
    with serving(lambda _: Reply(200, headers, b"{}")) as served:
        transport = _transport()
        notes: list[Note] = []
        assert transport.rate_limit(served.netloc) is None
        for _ in range(2):
            _ask(transport, served.netloc, job=Job(notes.append)).close()
        limit = transport.rate_limit(served.netloc)
    assert limit is not None
    assert (limit.limit, limit.remaining, limit.window, limit.source) == (100, 76, 21600, "192.0.2.1")
    assert [note.message for note in notes] == [f"{served.netloc} says: this registry moves"]


def test_one_thread_keeps_one_connection() -> None:
    with serving(lambda request: Reply(404 if "missing" in request.path else 200, {}, b"{}")) as served:
        transport = _transport()
        for _ in range(5):
            _ask(transport, served.netloc).close()
            _ask(transport, served.netloc, method="HEAD").close()
            with pytest.raises(errors.RegistryError):
                _ask(transport, served.netloc, "/v2/missing")
    assert len(served.connections) == 1


def test_a_cancelled_job_does_not_wait_for_the_next_attempt() -> None:
    with serving(lambda request: Reply() if request.path == "/v2/" else Reply(503, {"Retry-After": "30"})) as served:
        job = Job()
        threading.Timer(0.3, job.token.cancel).start()
        with pytest.raises(errors.Cancelled):
            _ask(_transport(), served.netloc, job=job)
