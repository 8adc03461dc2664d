from __future__ import annotations

import base64
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from orlop.core import errors
from orlop.registry.credentials import Credential, Memory, Secret, host_of, key_of
from orlop.registry.dockerconfig import DockerConfig

ME = Credential("joe", Secret("hunter2"))
HELPER = """#!/bin/sh
store="$(dirname "$0")/kept"; touch "$store"
case $1 in
get) read -r key; line=$(grep -F "$key	" "$store") || { echo "credentials not found in native keychain"; exit 1; }
     printf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' "$key" "$(echo "$line" | cut -f2)" "$(echo "$line" | cut -f3)";;
store) python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["ServerURL"], d["Username"], d["Secret"], sep="\\t")' >> "$store";;
erase) read -r key; grep -vF "$key	" "$store" > "$store.new"; mv "$store.new" "$store";;
list) python3 -c 'import json,sys; print(json.dumps(dict(line.split("\\t")[:2] for line in open(sys.argv[1]))))' "$store";;
esac
"""


def _auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _program(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(text)
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def _config(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def test_a_secret_never_shows() -> None:
    assert "hunter2" not in f"{ME!r} {ME} {ME.secret} {ME.secret!r}"


def test_hub_has_one_key() -> None:
    assert key_of("docker.io") == key_of("index.docker.io") == "https://index.docker.io/v1/"
    assert host_of("https://index.docker.io/v1/") == "docker.io"
    assert host_of("https://r.example:5000/v2/") == "r.example:5000"


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        ({"auth": _auth("joe:pass:word")}, Credential("joe", Secret("pass:word"))),
        ({"auth": _auth("joe:"), "identitytoken": "t"}, Credential("joe", Secret("t"), identity_token=True)),
        ({"registrytoken": "t"}, Credential("", Secret("t"), registry_token=True)),
        ({"username": "joe", "password": "p"}, Credential("joe", Secret("p"))),
        ({}, None),
        ({"auth": "%%%"}, None),
        ({"auth": 3}, None),
        ("text", None),
    ],
)
@pytest.mark.parametrize("key", ["r.example", "https://r.example", "https://r.example/v1/", "http://r.example/v2/"])
def test_entries_are_read_under_every_spelling(tmp_path: Path, key: str, entry: object, credential: object) -> None:
    config = DockerConfig(_config(tmp_path / "config.json", {"auths": {key: entry}}))
    assert config.get("r.example") == credential
    assert config.get("other.example") is None
    assert bool(config.source("r.example")) == (credential is not None)


def test_podmans_entries_for_parts_of_a_host_are_the_most_specific_first(tmp_path: Path) -> None:
    auths = {
        "r.example": {"auth": _auth("all:p")},
        "r.example/team": {"auth": _auth("team:p")},
        "r.example/team/x": {"auth": _auth("x:p")},
    }
    config = DockerConfig(tmp_path / "none.json", (_config(tmp_path / "auth.json", {"auths": auths}),))

    def name(repository: str) -> str:
        found = config.get("r.example", repository)
        return found.username if found else ""

    assert [name("team/x"), name("team/y"), name("other/x"), name("")] == ["x", "team", "all", "all"]


def test_the_variable_wins_over_the_file_and_the_file_over_fallbacks(tmp_path: Path) -> None:
    def auths(name: str) -> dict[str, object]:
        return {"auths": {"r.example": {"auth": _auth(f"{name}:p")}}}

    file, other = _config(tmp_path / "a.json", auths("file")), _config(tmp_path / "b.json", auths("podman"))
    variable = json.dumps(auths("variable"))
    assert DockerConfig(file, (other,), environ_auth=variable).get("r.example") == Credential("variable", Secret("p"))
    assert DockerConfig(file, (other,)).get("r.example") == Credential("file", Secret("p"))
    assert DockerConfig(tmp_path / "no", (other,)).get("r.example") == Credential("podman", Secret("p"))


def test_a_save_loses_nothing_else_and_keeps_link_and_mode(tmp_path: Path) -> None:
    real = _config(
        tmp_path / "real.json",
        {"new-key": {"a": 1}, "auths": {"https://r.example/v1/": {"auth": _auth("old:p")}, "o.example": {"x": 1}}},
    )
    real.chmod(0o640)
    link = tmp_path / "config.json"
    link.symlink_to(real)
    config = DockerConfig(link)
    assert config.save("r.example", ME) == str(link)
    data = json.loads(real.read_text())
    assert data["new-key"] == {"a": 1}
    assert data["auths"] == {"o.example": {"x": 1}, "r.example": {"auth": _auth("joe:hunter2")}}
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["config.json", "real.json"] or sorted(os.listdir(tmp_path)) == [
        "config.json",
        "real.json",
    ]
    assert config.get("r.example") == ME
    assert config.erase("r.example")
    assert not config.erase("r.example")


def test_the_first_login_makes_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / ".docker" / "config.json"
    DockerConfig(path, helpers_path="/nonexistent").save("docker.io", ME)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(json.loads(path.read_text())["auths"]) == ["https://index.docker.io/v1/"]


def test_logins_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    configs = [DockerConfig(tmp_path / "config.json", helpers_path="/nonexistent") for _ in range(8)]
    threads = [
        threading.Thread(target=config.save, args=(f"r{number}.example", ME)) for number, config in enumerate(configs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(configs[0].list()) == 8


def test_a_damaged_file_is_told_once_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{")
    notes: list[str] = []
    config = DockerConfig(path, note=notes.append)
    assert config.get("r.example") is None
    assert config.get("r.example") is None
    assert len(notes) == 1
    with pytest.raises(errors.Invalid):
        config.save("r.example", ME)
    assert path.read_text() == "{"


@pytest.mark.parametrize("setting", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}}])
def test_a_helper_keeps_logins_and_the_file_only_says_so(tmp_path: Path, setting: dict[str, object]) -> None:
    path = _program(tmp_path / "bin", "test", HELPER)
    config = DockerConfig(_config(tmp_path / "config.json", setting), helpers_path=path)
    assert config.get("r.example") is None
    assert config.save("r.example", ME) == "docker-credential-test"
    assert json.loads((tmp_path / "config.json").read_text())["auths"] == {"r.example": {}}
    assert config.get("r.example") == ME
    assert config.source("r.example") == "docker-credential-test"
    assert [(login.host, login.username) for login in config.list()] == [("r.example", "joe")]
    token = Credential("", Secret("t"), identity_token=True)
    config.erase("r.example")
    config.save("r.example", token)
    assert config.get("r.example") == token
    assert config.erase("r.example")
    assert config.get("r.example") is None


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n", "#!/nonexistent\n", None])
def test_a_broken_helper_is_one_warning_and_no_obstacle(tmp_path: Path, text: str | None) -> None:
    path = _program(tmp_path / "bin", "bad" if text else "other", text or "")
    notes: list[str] = []
    auths = {"r.example": {"auth": _auth("joe:hunter2")}}
    file = _config(tmp_path / "config.json", {"credsStore": "bad", "auths": auths})
    config = DockerConfig(file, helpers_path=path, note=notes.append)
    assert config.get("other.example") is None
    assert config.get("r.example") == ME
    assert len(notes) == 1
    assert "docker-credential-bad" in notes[0]
    if text != "#!/bin/sh\necho nonsense\n":
        with pytest.raises(errors.Unavailable):
            config.save("r.example", ME)


def test_a_helper_is_never_a_path(tmp_path: Path) -> None:
    _program(tmp_path / "bin", "evil", f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    file = _config(tmp_path / "config.json", {"credsStore": f"../..{tmp_path}/bin/docker-credential-evil"})
    assert DockerConfig(file, helpers_path=str(tmp_path / "bin")).get("r.example") is None
    assert not (tmp_path / "ran").exists()


def test_memory_lies_over_what_is_kept_elsewhere(tmp_path: Path) -> None:
    beneath = DockerConfig(tmp_path / "config.json", helpers_path="/nonexistent")
    beneath.save("r.example", ME)
    memory = Memory(beneath, "the editor")
    assert memory.get("r.example") == ME
    other = Credential("jane", Secret("x"))
    assert memory.save("r.example", other) == "the editor"
    assert memory.get("r.example") == other
    assert memory.source("r.example") == "the editor"
    assert [(login.host, login.username) for login in memory.list()] == [("r.example", "jane")]
    assert beneath.get("r.example") == ME
    assert memory.drop("r.example")
    assert memory.get("r.example") == ME
    assert not memory.drop("r.example")
    memory.save("r.example", other)
    assert memory.erase("r.example")
    assert memory.get("r.example") is None
    assert not memory.erase("r.example")
