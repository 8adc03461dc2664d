"""Search and the repositories of an account come from Docker Hub's own services, never from a mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal
from orlop.core import errors
from orlop.core.job import Job
from orlop.registry import hub as hub_client
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Credential, Memory, Secret
from orlop.registry.registries import Registries
from registry.hublab import ACCOUNT, SECRET, Hub, hub

LOGIN = Credential(ACCOUNT, Secret(SECRET))


@pytest.fixture
def lab() -> Iterator[Hub]:
    with hub() as made:
        yield made


@pytest.fixture
def registries(lab: Hub) -> Iterator[Registries]:
    # A mirror of docker.io that nobody listens at.
    mirrored = HostConfig(host="docker.io", mirrors=("http://127.0.0.1:1",))
    config = RegistryConfig(
        hosts={"docker.io": mirrored}, hub_api=lab.url, hub_index=lab.url, attempts=1, connect_seconds=5
    )
    made = Registries(config, Memory())
    yield made
    made.close()


def environment(lab: Hub, context: Path) -> dict[str, str]:
    """Variables of a terminal whose Docker Hub is the stand-in."""
    folder = context / "orlop"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    (folder / "config.toml").write_text(
        f'[registries]\nhub-index = "{lab.url}"\nhub-api = "{lab.url}"\nattempts = 1\n'
        '[registries.hosts."docker.io"]\nmirrors = ["http://127.0.0.1:1"]\n'
    )
    return {"XDG_CONFIG_HOME": str(context), "DOCKER_CONFIG": str(context / "docker")}


def test_the_table_is_that_of_docker(shared_terminal: Terminal, lab: Hub, context: Path) -> None:
    said = shared_terminal("search", "docker/welcome-to-docker", env=environment(lab, context))
    assert said.splitlines() == [
        "NAME                       DESCRIPTION                                     STARS     OFFICIAL",
        "docker/welcome-to-docker   Docker image for new users getting started w…   20",
    ]
    assert lab.requests == ["GET /v1/search?q=docker%2Fwelcome-to-docker&n=25"]


def test_filters_limit_and_templates(shared_terminal: Terminal, lab: Hub, context: Path) -> None:
    env = environment(lab, context)

    def names(*words: str) -> list[str]:
        return shared_terminal("search", *words, "--format", "{{.Name}}", "docker", env=env).split()

    assert names() == ["docker/welcome-to-docker", "docker", "someone/docker-thing"]
    assert names("--limit", "2") == ["docker/welcome-to-docker", "docker"]
    assert names("--filter", "stars=20") == ["docker/welcome-to-docker", "docker"]
    assert names("-f", "is-official=true") == ["docker"]
    assert names("-f", "is-official=false", "-f", "stars=1") == ["docker/welcome-to-docker"]
    whole = shared_terminal("search", "--no-trunc", "welcome", env=env)
    assert "and with the first of their containers" in whole
    assert "[OK]" in shared_terminal("search", "-f", "is-official=true", "docker", env=env)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--limit", "0"), "outside the range of [1, 100]"),
        (("--limit", "101"), "outside the range of [1, 100]"),
        (("-f", "stars=many"), "invalid filter 'stars=many'"),
        (("-f", "color=red"), "invalid filter 'color=red'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    shared_terminal: Terminal, lab: Hub, context: Path, words: tuple[str, ...], complaint: str
) -> None:
    assert complaint in shared_terminal("search", *words, "x", code=1, env=environment(lab, context))
    assert lab.requests == []


def test_a_limit_of_the_index_is_said_to_be_one(shared_terminal: Terminal, lab: Hub, context: Path) -> None:
    lab.refuse = 429
    said = shared_terminal("search", "x", code=1, env=environment(lab, context))
    assert "allows no more requests now" in said
    assert "hint: Wait" in said


def test_no_index_there(shared_terminal: Terminal, lab: Hub, context: Path) -> None:
    env = environment(lab, context)
    lab.close()
    said = shared_terminal("search", "x", code=1, env=env)
    assert f"no connection to {lab.url.removeprefix('http://')}" in said


def test_the_canonical_name_finds_as_the_familiar_one(registries: Registries) -> None:
    for term in ("docker.io/docker/welcome", "docker/welcome"):
        assert [one.name for one in hub_client.search(registries, term, 25, Job())] == ["docker/welcome-to-docker"]


def test_an_account_sees_its_private_repositories_page_by_page(registries: Registries, lab: Hub) -> None:
    assert hub_client.repositories(registries, ACCOUNT, Job()).items == (f"{ACCOUNT}/app000",)
    registries.credentials.save("docker.io", LOGIN)
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = hub_client.repositories(registries, ACCOUNT, Job(), cursor=cursor, limit=3)
        found += page.items
        cursor = page.next
    assert cursor == ""
    assert found == [f"{ACCOUNT}/{name}" for name in lab.private]


def test_a_repository_is_created_once(registries: Registries, lab: Hub) -> None:
    with pytest.raises(errors.Unauthorized):
        hub_client.create_repository(registries, ACCOUNT, "new", "", Job(), private=True)
    registries.credentials.save("docker.io", LOGIN)
    hub_client.create_repository(registries, ACCOUNT, "new", "about it", Job(), private=True)
    assert lab.created == [
        {"namespace": ACCOUNT, "name": "new", "description": "about it", "registry": "docker", "is_private": True}
    ]
    with pytest.raises(errors.Conflict):
        hub_client.create_repository(registries, ACCOUNT, "app000", "", Job(), private=False)


def test_a_wrong_secret_is_told_without_being_shown(registries: Registries) -> None:
    registries.credentials.save("docker.io", Credential(ACCOUNT, Secret("not the token")))
    with pytest.raises(errors.Unauthorized) as caught:
        hub_client.create_repository(registries, ACCOUNT, "new", "", Job(), private=False)
    assert ACCOUNT in caught.value.message
    assert "not the token" not in json.dumps([caught.value.message, caught.value.hint, caught.value.detail])
