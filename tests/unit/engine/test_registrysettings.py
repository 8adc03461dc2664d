"""Where logins, certificates and proxies of registries come from."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from orlop.core import errors
from orlop.engine.registries import host_of
from orlop.engine.settings import Settings


def settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_environment({"HOME": str(tmp_path), **environ}, tmp_path / "store")


def auths(**entries: str) -> str:
    encoded = {host: {"auth": base64.b64encode(text.encode()).decode()} for host, text in entries.items()}
    return json.dumps({"auths": encoded})


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_proxies_go_by_either_spelling_and_all_proxy_fills_the_gap(tmp_path: Path) -> None:
    config = settings(
        tmp_path, https_proxy="http://low:1", HTTPS_PROXY="http://up:1", NO_PROXY="a,b", ALL_PROXY="http://all:1"
    )
    found = config.registry_config().proxies
    assert found == {"https": "http://low:1", "http": "http://all:1", "no_proxy": "a,b"}


def test_certificates_are_those_of_docker_and_podman(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    config = settings(
        tmp_path, XDG_CONFIG_HOME=str(tmp_path / "c"), SSL_CERT_FILE=str(bundle), CURL_CA_BUNDLE="/nosuch"
    )
    found = config.registry_config()
    assert found.certs_dirs == (
        tmp_path / "c" / "docker" / "certs.d",
        tmp_path / "c" / "containers" / "certs.d",
        Path("/etc/docker/certs.d"),
        Path("/etc/containers/certs.d"),
    )
    assert found.ca_files == (bundle,)


def test_logins_are_looked_for_in_turn(tmp_path: Path) -> None:
    write(tmp_path / ".config" / "containers" / "auth.json", auths(one="x:podman", two="x:podman", three="x:podman"))
    write(tmp_path / ".docker" / "config.json", auths(one="x:docker", two="x:docker"))
    config = settings(tmp_path, DOCKER_AUTH_CONFIG=auths(one="x:variable"))
    logins = config.registry_credentials(lambda _: None)
    found = {host: logins.get(host) for host in ("one", "two", "three", "four")}
    secrets = {host: credential and credential.secret.value for host, credential in found.items()}
    assert secrets == {"one": "variable", "two": "docker", "three": "podman", "four": None}
    elsewhere = settings(tmp_path, DOCKER_CONFIG=str(tmp_path / "empty")).registry_credentials(lambda _: None)
    assert elsewhere.source("one").endswith("auth.json")


def test_settings_do_not_show_the_secrets_of_the_environment(tmp_path: Path) -> None:
    assert "hidden" not in repr(settings(tmp_path, DOCKER_AUTH_CONFIG=auths(one="x:hidden"), TOKEN="hidden"))


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".config" / "orlop" / "config.toml", "[registries]\nmirror = []\n")
    with pytest.raises(errors.Invalid, match="'mirror'"):
        settings(tmp_path).registry_config()
    write(tmp_path / ".config" / "orlop" / "config.toml", "registries = 1\n")
    with pytest.raises(errors.Invalid, match="registries is 1"):
        settings(tmp_path).registry_config()


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", "docker.io"), ("docker.io", "docker.io"), ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"), (" quay.io ", "quay.io"), ("http://localhost:5000/v2/", "localhost:5000"),
    ],
)  # fmt: skip
def test_a_registry_is_named_by_host_or_url(text: str, host: str) -> None:
    assert host_of(text) == host


@pytest.mark.parametrize("text", ["a b", "me@host", "host?x", "ho\\st"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        host_of(text)
