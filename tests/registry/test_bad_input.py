"""Wrong names, passwords, images, certificates and full disks: each is told as what it is, and the store stays sound."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.core import errors
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.rootfs.workshop import Workshop
from registry.client import Client, typed
from registry.parts import images, registry
from registry.parts.certs import Authority
from registry.parts.faults import Limiter, Proxy, Rule
from registry.parts.images import Pen
from registry.parts.registry import Registry
from registry.parts.tokens import TokenServer

WHAT = images.image(images.layer({"a": b"1"}))
HOSTS = '[registries.hosts."{}"]\n{}\n'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lets in `joe` alone."""
    if reason := registry.missing():
        pytest.skip(reason)
    with Registry(tmp_path_factory.mktemp("guarded"), passwords={"joe": "right"}) as made:
        yield made


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TokenServer, Registry]]:
    """`joe` may write below joe/, everybody may read public/."""
    if reason := registry.missing():
        pytest.skip(reason)
    rights = {"joe": {"joe/app": ("pull", "push")}, "": {"public/app": ("pull",)}}
    with (
        TokenServer(tmp_path_factory.mktemp("tokens"), {"joe": "right"}, rights) as server,
        Registry(tmp_path_factory.mktemp("by-token"), tokens=server) as made,
    ):
        yield server, made


def failing(client: Client, kind: str, *words: str, config: str = "", **variables: str) -> str:
    """Type a command that must fail with exit code 1; its error with the hint. The kind is that of a pull or push."""
    code, said = typed(client.root, *words, config=config, **variables)
    print(said)
    assert code == 1, said
    assert "hint: " in said and client.sound()
    act = {"pull": client.pull, "push": client.push}.get(words[0])
    if act is not None:
        with pytest.raises(errors.OrlopError) as caught:
            act(words[-1])
        assert caught.value.kind == kind
        assert caught.value.message in said
    return said


@pytest.mark.parametrize("kind", ["guarded", "tokens"])
def test_a_wrong_password_is_not_saved(
    client: Client, guarded: Registry, tokens: tuple[TokenServer, Registry], kind: str
) -> None:
    host = guarded.host if kind == "guarded" else tokens[1].host
    config = client.root / "home" / ".docker" / "config.json"
    said = failing(client, "", "login", host, "-u", "joe", "-p", "wr0ng-pass")
    assert "joe" in said and "wr0ng-pass" not in said
    assert not config.exists()
    code, said = typed(client.root, "login", host, "-u", "joe", "-p", "right")
    assert code == 0, said
    before = config.read_bytes()
    failing(client, "", "login", host, "-u", "joe", "-p", "wr0ng-pass")
    assert config.read_bytes() == before, "the login that works is gone"


def test_without_a_login_one_is_asked_for(client: Client, guarded: Registry) -> None:
    said = failing(client, "registry-unauthorized", "pull", f"{guarded.host}/joe/app:1")
    assert f"orlop login {guarded.host}" in said


def test_an_account_that_may_not_push_there_is_named(client: Client, tokens: tuple[TokenServer, Registry]) -> None:
    server, made = tokens
    token, _ = server.issue("joe", ("repository:joe/app:pull,push",))
    Pen(made.url, "joe/app", f"Bearer {token}").push(WHAT, "1")
    client.login(made.host, "joe", "right")
    client.pull(f"{made.host}/joe/app:1")
    home = client.root / "home"
    assert typed(client.root, "login", made.host, "-u", "joe", "-p", "right")[0] == 0
    assert (home / ".docker" / "config.json").exists()
    client.tag(f"{made.host}/joe/app:1", f"{made.host}/others/app:1")
    said = (
        failing(client, "registry-denied", "push", f"{made.host}/others/app:1") if _same_account(client, made) else ""
    )
    assert "account joe may not do this" in said


def test_a_login_whose_token_has_expired_asks_for_another(client: Client, tokens: tuple[TokenServer, Registry]) -> None:
    _, made = tokens
    client.login(made.host, "joe", "no-refresh-token-of-today", identity=True)
    client.fresh()
    with pytest.raises(errors.Unauthorized) as caught:
        client.pull(f"{made.host}/joe/app:1")
    assert "joe" in caught.value.message and f"orlop login {made.host}" in (caught.value.hint or "")


def test_an_unknown_tag_and_an_unknown_repository(client: Client, plain_registry: Registry) -> None:
    Pen(plain_registry.url, "bad/app").push(WHAT, "1.21", "1.22", "stable")
    said = failing(client, "manifest-unknown", "pull", f"{plain_registry.host}/bad/app:1.23")
    assert "no tag 1.23" in said and "bad/app:1.22" in said
    said = failing(client, "manifest-unknown", "pull", f"{plain_registry.host}/bad/ap:1.22")
    assert "bad/ap" in said


def test_what_is_no_image_is_said_to_be_an_artifact(client: Client, plain_registry: Registry) -> None:
    Pen(plain_registry.url, "bad/chart").push(images.artifact(), "1")
    said = failing(client, "invalid", "pull", f"{plain_registry.host}/bad/chart:1")
    assert "artifact of type" in said


def test_an_outdated_manifest_is_refused_with_advice(client: Client, tmp_path: Path) -> None:
    if reason := registry.missing():
        pytest.skip(reason)
    with Registry(tmp_path / "old", schema1=True) as made:
        Pen(made.url, "old").push(images.schema1("old", "1", images.layer({"a": b"1"})), "1")
        said = failing(client, "invalid", "pull", f"{made.host}/old:1")
    assert "schema 1" in said


def test_a_platform_that_is_not_there_names_those_that_are(client: Client, plain_registry: Registry) -> None:
    other = images.image(images.layer({"a": b"2"}), architecture="s390x")
    both = images.index({"linux/s390x": other, "linux/riscv64": WHAT}, attested=True)
    Pen(plain_registry.url, "bad/foreign").push(both, "1")
    name = f"{plain_registry.host}/bad/foreign:1"
    said = failing(client, "not-found", "pull", "--platform", "linux/amd64", name)
    assert "linux/s390x" in said and "linux/riscv64" in said and "unknown" not in said


def test_parts_that_are_not_what_the_manifest_says(client: Client, plain_registry: Registry) -> None:
    """Not the line but the image itself is wrong: a layer of another size, one with another content."""
    layer = images.layer({"a": images.noise(9_000)})
    good = images.image(layer)
    pen = Pen(plain_registry.url, "bad/lies")
    manifest = json.loads(good.top.data)
    manifest["layers"][0]["size"] += 1
    short = images.Image((images.Blob(json.dumps(manifest).encode(), images.OCI),), good.blobs)
    pen.push(short, "short")
    said = failing(client, "corrupt", "pull", "--platform", "linux/amd64", f"{plain_registry.host}/bad/lies:short")
    assert f"{len(layer.stored)} bytes instead of {len(layer.stored) + 1}" in said
    config = json.loads(good.blobs[-1].data)
    config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    about = images.Blob(json.dumps(config).encode(), good.blobs[-1].media_type)
    manifest = json.loads(good.top.data)
    manifest["config"] = about.descriptor
    other = images.Image((images.Blob(json.dumps(manifest).encode(), images.OCI),), (good.blobs[0], about))
    pen.push(other, "other")
    said = failing(client, "corrupt", "pull", "--platform", "linux/amd64", f"{plain_registry.host}/bad/lies:other")
    assert "unpacks to" in said
    assert client.names() == set()


def test_a_limit_that_is_used_up_says_until_when(client: Client, plain_registry: Registry) -> None:
    Pen(plain_registry.url, "bad/limited").push(WHAT, "1")
    with Proxy(plain_registry.url) as line:
        line.rules = [Rule(path="/manifests/", limiter=Limiter(limit=0), times=None)]
        config = "[registries]\nattempts = 1\n"
        said = failing(client, "registry-rate-limited", "pull", f"{line.host}/bad/limited:1", config=config)
        assert "6.0 h" in said and "orlop login" in said


def test_no_network(client: Client) -> None:
    said = failing(client, "registry-unreachable", "pull", "127.0.0.1:1/bad/app:1")
    assert "connection refused" in said
    said = failing(client, "registry-unreachable", "pull", "no-such-host.invalid/bad/app:1")
    assert "no-such-host.invalid" in said and "spelling" in said


def test_a_certificate_that_is_not_trusted_names_the_setting(
    client: Client, authority: Authority, tmp_path: Path
) -> None:
    if reason := registry.missing():
        pytest.skip(reason)
    pair = authority.client("joe")
    with Registry(tmp_path / "tls", tls=authority.server(), client_ca=authority.certificate) as made:
        name = f"{made.host}/bad/app:1"
        # An authority for this very host makes even this machine's own registries prove who they are.
        stranger = Authority(tmp_path / "stranger").certificate
        client.fresh(hosts={made.host: HostConfig(host=made.host, ca_files=(stranger,))})
        trust = HOSTS.format(made.host, f'ca = "{stranger}"')
        said = failing(client, "registry-unreachable", "pull", name, config=trust)
        assert "not trusted" in said and f'[registries.hosts."{made.host}"]' in said
        # Trusted, but without a certificate of our own.
        client.fresh(hosts={made.host: HostConfig(host=made.host, ca_files=(authority.certificate,))})
        trust = HOSTS.format(made.host, f'ca = "{authority.certificate}"')
        assert "client-cert" in failing(client, "registry-unreachable", "pull", name, config=trust)
        both = f'{trust}client-cert = "{pair.certificate}"\nclient-key = "{pair.key}"\n'
        code, said = typed(client.root, "pull", name, config=both)
        assert code == 1 and "does not have it" in said, said
        # The same by a directory as Docker has it.
        folder = client.root / "home" / ".config" / "docker" / "certs.d" / made.host
        folder.mkdir(parents=True)
        shutil.copy(authority.certificate, folder / "ca.crt")
        shutil.copy(pair.certificate, folder / "client.cert")
        shutil.copy(pair.key, folder / "client.key")
        code, said = typed(client.root, "pull", name)
        assert code == 1 and "does not have it" in said, said
    # A name that the certificate is not for.
    with Proxy("http://127.0.0.1:1", tls=authority.server("elsewhere", "DNS:elsewhere.test")) as line:
        client.fresh(hosts={line.host: HostConfig(host=line.host, ca_files=(authority.certificate,))})
        trust = HOSTS.format(line.host, f'ca = "{authority.certificate}"')
        said = failing(client, "registry-unreachable", "pull", f"{line.host}/bad/app:1", config=trust)
        assert "name that the certificate" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_disk_that_fills_in_mid_pull(hands: Workshop, plain_registry: Registry, line: Proxy, tmp_path: Path) -> None:
    """What the manifest lets one expect fits; what comes of it does not."""
    layers = [images.layer({f"{n}/zeros": bytes(40_000_000), f"{n}/noise": images.noise(1_200_000, n)}) for n in "12"]
    what = Pen(plain_registry.url, "bad/large").push(images.image(*layers), "1")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=True)
    try:
        client = Client(small, hands)
        try:
            name = f"{line.host}/bad/large:1"
            said = failing(client, "disk-full", "pull", "--platform", "linux/amd64", name)
            assert "no space left" in said and "ORLOP_ROOT" in said
            assert client.names() == set()
            free = os.statvfs(small)
            assert free.f_bavail * free.f_frsize > 18_000_000, "what did not fit was not cleared away"
            # Even where there is no room at all for the database, pruning gives back what the trash holds.
            with pytest.raises(OSError, match="No space left"):
                fill(small / "store" / "trash" / "old")
            code, said = typed(small, "system", "prune", "-f")
            assert code == 0 and os.statvfs(small).f_bavail > free.f_bavail // 2, said
            subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
            line.forget()
            assert str(client.pull(name).image.id) == what.id and client.sound()
            print(f"{sum(line.served.values())} of {sum(what.sizes.values())} bytes after there was room")
        finally:
            client.close()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("upper/Case", "lower"),
        ("a/b:", "tag"),
        ("host:port/a", ""),
        ("a//b", ""),
        ("a/b@sha256:12", "digest"),
        ("", ""),
    ],
)
def test_what_is_no_name_is_refused_at_once(client: Client, name: str, word: str) -> None:
    code, said = typed(client.root, "pull", name)
    assert code == 1 and word in said, said


def test_a_setting_that_is_wrong_is_named(client: Client) -> None:
    assert RegistryConfig().attempts > 1
    for text, word in (
        ("[registries]\nstall-timeout = 'long'\n", "stall-timeout"),
        ("[registries.hosts.\"a.b\"]\nmirrors = ['ftp://x']\n", "mirrors"),
        ('[registries.hosts."a.b"]\nmirors = []\n', "mirors"),
        ("[registries\n", "config.toml"),
    ):
        code, said = typed(client.root, "pull", "a.b/c", config=text)
        assert code == 1 and word in said and "hint: " in said, said


def fill(path: Path) -> None:
    """Write to a file until there is no room."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def _same_account(client: Client, made: Registry) -> bool:
    """Whether both the command and this process have the account `joe`."""
    saved = json.loads((client.root / "home" / ".docker" / "config.json").read_text())
    return made.host in saved["auths"] and client.registries.account(made.host) == "joe"
