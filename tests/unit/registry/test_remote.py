from __future__ import annotations

import json

import pytest

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core import reference as references
from orlop.core.descriptor import Index, Manifest
from orlop.core.job import Job, Note
from orlop.core.mediatype import MediaType
from orlop.registry import manifests
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Credential, Memory, Secret
from orlop.registry.registries import Registries
from unit.registry.serving import Reply, Request, Served, serving

CONFIG = {"mediaType": MediaType.OCI_CONFIG, "digest": f"sha256:{'a' * 64}", "size": 2}
RAW = json.dumps({"schemaVersion": 2, "mediaType": MediaType.OCI_MANIFEST, "config": CONFIG, "layers": []}).encode()
DIGEST = str(digests.of_bytes(RAW))


def _registries(memory: Memory | None = None, **hosts: HostConfig) -> Registries:
    config = RegistryConfig(hosts={host.host: host for host in hosts.values()}, attempts=2, backoff=0.01)
    return Registries(config, memory or Memory())


def _manifest(request: Request) -> Reply:
    """A registry with one tag `latest` of `a/b`."""
    path = request.path.partition("?")[0]
    headers = {"Content-Type": str(MediaType.OCI_MANIFEST), "Docker-Content-Digest": DIGEST}
    if path.endswith(("/a/b/manifests/latest", f"/a/b/manifests/{DIGEST}")):
        return Reply(200, headers, RAW)
    if path.endswith("/a/b/tags/list"):
        return Reply(200, {}, b'{"name":"a/b","tags":["latest","2.0","2.1"]}')
    return Reply(200) if path.endswith("/v2/") else Reply(404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')


def _inspect(served: Served, name: str = "a/b", **hosts: HostConfig) -> tuple[object, Manifest | Index]:
    return _registries(**hosts).inspect(references.parse(f"{served.netloc}/{name}"), Job())


def test_a_tag_is_resolved_by_head_and_fetched_by_digest() -> None:
    with serving(_manifest) as served:
        descriptor, document = _inspect(served)
    assert str(descriptor.digest) == DIGEST  # type: ignore[attr-defined]
    assert document.raw == RAW
    assert served.paths()[1:] == ["HEAD /v2/a/b/manifests/latest", f"GET /v2/a/b/manifests/{DIGEST}"]
    assert all(MediaType.OCI_MANIFEST in request.headers["Accept"] for request in served.requests[1:])


def test_a_digest_is_fetched_once() -> None:
    with serving(_manifest) as served:
        _, document = _inspect(served, f"a/b@{DIGEST}")
    assert document.raw == RAW
    assert served.paths()[1:] == [f"GET /v2/a/b/manifests/{DIGEST}"]


def test_a_registry_without_head_or_digest_header_serves_too() -> None:
    def answer(request: Request) -> Reply:
        reply = _manifest(request)
        if request.method == "HEAD":
            return Reply(405)
        return Reply(reply.status, {"Content-Type": "text/plain"}, reply.body)

    with serving(answer) as served:
        descriptor, document = _inspect(served)
    assert str(descriptor.digest) == DIGEST  # type: ignore[attr-defined]
    assert isinstance(document, Manifest)


def test_the_reason_of_a_refused_head_is_asked_for() -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/v2/":
            return Reply()
        return Reply(403, {}, b'{"errors":[{"code":"DENIED","message":"out of private repositories"}]}')

    with serving(answer) as served, pytest.raises(errors.Denied) as caught:
        _inspect(served)
    assert caught.value.detail == "out of private repositories"


def test_an_unknown_tag_names_near_ones() -> None:
    with serving(_manifest) as served, pytest.raises(errors.ManifestUnknown) as caught:
        _inspect(served, "a/b:latst")
    assert f"{served.netloc}/a/b:latest" in (caught.value.hint or "")


def test_bytes_that_do_not_fit_their_digest_are_refused() -> None:
    def answer(request: Request) -> Reply:
        reply = _manifest(request)
        return (
            Reply(reply.status, reply.headers, reply.body + b" ")
            if request.method == "GET" and DIGEST in request.path
            else reply
        )

    with serving(answer) as served, pytest.raises(errors.Corrupt):
        _inspect(served)


@pytest.mark.parametrize(
    ("content_type", "body", "word"),
    [
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", b'{"schemaVersion":1}', "schema 1"),
        ("text/plain", b'{"schemaVersion":1}', "schema 1"),
        (str(MediaType.OCI_INDEX), RAW, "was served as"),
        ("application/json", b'{"schemaVersion":2,"manifests":[],"layers":[]}', "at once"),
        ("application/json", b"<html>", "JSON"),
        (str(MediaType.OCI_MANIFEST), b"[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_good_manifest_is_refused(content_type: str, body: bytes, word: str) -> None:
    with (
        serving(
            lambda request: Reply() if request.path == "/v2/" else Reply(200, {"Content-Type": content_type}, body)
        ) as served,
        pytest.raises(errors.Invalid) as caught,
    ):
        _inspect(served)
    assert word in caught.value.message


def test_a_network_that_wants_a_login_is_told_from_a_registry() -> None:
    page = Reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Welcome</html>")
    with serving(lambda _: page) as served, pytest.raises(errors.RegistryError) as caught:
        _inspect(served)
    assert "web page" in caught.value.message and "browser" in (caught.value.hint or "")


def test_a_manifest_that_is_too_large_is_not_read() -> None:
    with (
        serving(lambda request: Reply() if request.path == "/v2/" else Reply(200, {}, b" " * (9 << 20))) as served,
        pytest.raises(errors.Invalid) as caught,
    ):
        _inspect(served)
    assert "longer than" in caught.value.message


def test_an_artifact_is_no_image() -> None:
    other = RAW.replace(str(MediaType.OCI_CONFIG).encode(), b"application/vnd.cncf.helm.config.v1+json")
    document = manifests.parse(other, MediaType.OCI_MANIFEST)
    assert isinstance(document, Manifest)
    with pytest.raises(errors.Invalid) as caught:
        manifests.check_image(document, "x")
    assert "helm" in caught.value.message


@pytest.mark.parametrize(
    "broken", [Reply(500), Reply(404), Reply(401), Reply(200, {"Content-Type": "text/html"}, b"<html>"), Reply(0)]
)
def test_whatever_a_mirror_does_wrong_the_next_is_asked(broken: Reply) -> None:
    with serving(lambda _: broken) as bad, serving(_manifest) as good, serving(_manifest) as own:
        host = HostConfig(host=own.netloc, mirrors=("http://127.0.0.1:1", bad.url, f"{good.url}/prefix"))
        notes: list[object] = []
        registries = _registries(own=host)
        reader = registries.reader(references.parse(f"{own.netloc}/a/b"), job=Job(notes.append))
        document = reader.document(reader.resolve(references.parse(f"{own.netloc}/a/b")))
    assert document.raw == RAW
    assert good.paths()[0] == f"HEAD /prefix/v2/a/b/manifests/latest?ns={own.netloc}"
    assert own.requests == []
    assert len([note for note in notes if isinstance(note, Note) and "127.0.0.1:1 " in note.message]) == 1


def test_a_mirror_never_sees_the_login_of_what_it_mirrors() -> None:
    challenge = Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
    with serving(lambda _: challenge) as mirror:
        memory = Memory()
        memory.save("r.invalid", Credential("joe", Secret("s")))
        registries = _registries(memory, own=HostConfig(host="r.invalid", mirrors=(mirror.url,)))
        with pytest.raises(errors.Unreachable):
            registries.inspect(references.parse("r.invalid/a/b"), Job())
    assert mirror.requests
    assert all("Authorization" not in request.headers for request in mirror.requests)


def test_a_path_prefix_stands_before_everything() -> None:
    with serving(_manifest) as served:
        _inspect(served, own=HostConfig(host=served.netloc, path_prefix="/docker"))
    assert all(" /docker/v2/" in path for path in served.paths())


def test_pages_follow_links_and_end() -> None:
    def answer(request: Request) -> Reply:
        if "last=b" in request.path:
            return Reply(200, {"Link": '</v2/a/b/tags/list?n=2&last=b>; rel="next"'}, b'{"tags":["c"]}')
        return Reply(200, {"Link": '</v2/a/b/tags/list?n=2&last=b>; rel="next"'}, b'{"tags":["a","b"]}')

    with serving(answer) as served:
        registries = _registries()
        repository = references.parse(f"{served.netloc}/a/b")
        first = registries.tags(repository, Job(), limit=2)
        assert first.items == ("a", "b")
        assert registries.tags(repository, Job(), cursor=first.next).items == ("c",)
        before = len(served.requests)
        registries.tags_of_digest(repository, digests.of_bytes(b""), Job())
        pages = [path for path in served.paths()[before:] if "tags/list" in path]
        assert len(pages) == 2


def test_a_registry_that_lists_all_at_once_is_cut_into_pages() -> None:
    names = [f"r{number:02}" for number in range(7)]
    with serving(lambda _: Reply(200, {}, json.dumps({"repositories": names[::-1]}).encode())) as served:
        registries = _registries()
        found: list[str] = []
        cursor = ""
        for _ in range(4):
            page = registries.repositories(served.netloc, Job(), cursor=cursor, limit=3)
            found += page.items
            cursor = page.next
            if not cursor:
                break
    assert found == names


def test_a_link_to_elsewhere_and_a_made_up_page_are_not_followed() -> None:
    with serving(
        lambda _: Reply(200, {"Link": '<http://127.0.0.1:1/v2/a/b/tags/list>; rel="next"'}, b'{"tags":null}')
    ) as served:
        repository = references.parse(f"{served.netloc}/a/b")
        assert _registries().tags(repository, Job()).next == ""
        with pytest.raises(errors.Invalid):
            _registries().tags(repository, Job(), cursor="//evil.example/v2/a/b/tags/list")


def test_a_login_is_tried_and_a_token_kept_in_its_place() -> None:
    holder: list[Served] = []

    def answer(request: Request) -> Reply:
        if request.path.startswith("/token"):
            if "Authorization" not in request.headers:
                return Reply(200, {}, b'{"token":"anonymous"}')
            good = request.headers["Authorization"].endswith("am9lOnJpZ2h0")
            return Reply(200, {}, b'{"token":"t","refresh_token":"r"}') if good else Reply(401, {}, b'{"details":"no"}')
        if request.headers.get("Authorization") == "Bearer t":
            return Reply()
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{holder[0].url}/token",service="s"'})

    with serving(answer) as served:
        holder.append(served)
        registries = _registries()
        assert registries.ping(served.netloc, Job()).scheme == "bearer"
        kept = registries.login(served.netloc, Credential("joe", Secret("right")), Job())
        assert kept == Credential("joe", Secret("r"), identity_token=True)
        with pytest.raises(errors.Unauthorized) as caught:
            registries.login(served.netloc, Credential("joe", Secret("wrong")), Job())
        assert caught.value.message == f"cannot log in to {served.netloc}: the password or token of joe is wrong"
        assert registries.account(served.netloc) == ""


def test_a_tag_that_shares_its_manifest_is_deleted_only_by_force() -> None:
    def answer(request: Request) -> Reply:
        if request.method == "DELETE":
            deleted.append(request.path)
            return Reply(202) if "sha256" in request.path else Reply(400, {}, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        if request.path.endswith(("manifests/2.0", "manifests/latest")):
            return _manifest(attrs_evolve(request, "/v2/a/b/manifests/latest"))
        return _manifest(request)

    def attrs_evolve(request: Request, path: str) -> Request:
        return Request(request.method, path, request.headers, request.body)

    deleted: list[str] = []
    with serving(answer) as served:
        registries = _registries()
        tag = references.parse(f"{served.netloc}/a/b:2.0")
        assert registries.delete(tag, Job(), dry_run=True).tags == ("2.0",)
        assert deleted == []
        with pytest.raises(errors.Conflict) as caught:
            registries.delete(tag, Job())
        assert "latest" in caught.value.message
        gone = registries.delete(tag, Job(), force=True)
    assert gone.tags == ("2.0", "latest")
    assert deleted[-1] == f"/v2/a/b/manifests/{DIGEST}"
