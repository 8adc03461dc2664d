"""Who is measured: Orlop by its running engine and by fresh processes, Docker, podman, skopeo, each with a store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from payload import Image
from processes import Cost, Tree, command


class Subject(Protocol):
    """Pulls and pushes; `trees` are the folders of an image's layers as they were unpacked, None if nothing was."""

    name: str

    def pull(self, name: str) -> Cost: ...
    def push(self, name: str) -> Cost: ...
    def load(self, archive: Path) -> None: ...
    def tag(self, name: str, target: str) -> None: ...
    def clear(self) -> None: ...
    def trees(self, name: str) -> list[Path] | None: ...
    def close(self) -> None: ...


class Engine:
    """Orlop's engine in a process that stays up."""

    name = "orlop, running engine"

    def __init__(self, python: str, folder: Path) -> None:
        worker = Path(__file__).with_name("orlopworker.py")
        env = orlop_env(folder)
        self._process = subprocess.Popen([python, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def pull(self, name: str) -> Cost:
        return self._measured({"do": "pull", "name": name})

    def push(self, name: str) -> Cost:
        return self._measured({"do": "push", "name": name})

    def load(self, archive: Path) -> None:
        self._ask({"do": "load", "name": str(archive)})

    def tag(self, name: str, target: str) -> None:
        self._ask({"do": "tag", "name": name, "target": target})

    def clear(self) -> None:
        self._ask({"do": "clear"})

    def trees(self, name: str) -> list[Path] | None:
        return [Path(tree) for tree in self._ask({"do": "trees", "name": name})["trees"]]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _measured(self, question: dict[str, Any]) -> Cost:
        tree = Tree(self._process.pid)
        before = tree.start()
        wall = float(self._ask(question)["wall"])
        return Cost(wall, *tree.stop(before))

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the engine ended while it did {question}")
        return dict(json.loads(line))


class Fresh:
    """Orlop by one process a command, as in a terminal."""

    name = "orlop, fresh process"

    def __init__(self, python: str, folder: Path) -> None:
        self._words = [python, "-m", "orlop"]
        self._env = orlop_env(folder)

    def pull(self, name: str) -> Cost:
        return self._run("pull", "-q", name)

    def push(self, name: str) -> Cost:
        return self._run("push", "-q", name)

    def load(self, archive: Path) -> None:
        self._run("load", "-i", str(archive))

    def tag(self, name: str, target: str) -> None:
        self._run("tag", name, target)

    def clear(self) -> None:
        self._run("system", "prune", "-af")

    def trees(self, name: str) -> list[Path] | None:
        words = [*self._words, "inspect", "-f", "{{.GraphDriver.Data.Layers}}", name]
        layers = subprocess.check_output(words, env=self._env, text=True).strip().split(":")
        return [Path(self._env["ORLOP_ROOT"], "layers", layer, "diff") for layer in layers]

    def close(self) -> None:
        """Nothing stays up."""

    def _run(self, *words: str) -> Cost:
        return command([*self._words, *words], self._env)


class Docker:
    """A daemon of our own."""

    name = "docker"

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._client = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"
        self._env = {**plain_env(folder), "DOCKER_HOST": f"unix://{folder}/d.sock"}
        words = [
            "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "-H", f"unix://{folder}/d.sock",
            "--pidfile", folder / "pid", "--bridge", "none", "--iptables=false", "--ip-masq=false",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            self._daemon = subprocess.Popen(words, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while (
            subprocess.run([self._client, "version"], check=False, env=self._env, capture_output=True).returncode != 0
        ):
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                raise SystemExit(f"dockerd does not start:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.3)

    def pull(self, name: str) -> Cost:
        return self._measured("pull", "-q", name)

    def push(self, name: str) -> Cost:
        return self._measured("push", "-q", name)

    def load(self, archive: Path) -> None:
        self._measured("load", "-q", "-i", str(archive))

    def tag(self, name: str, target: str) -> None:
        self._measured("tag", name, target)

    def clear(self) -> None:
        self._measured("image", "prune", "-af")

    def trees(self, name: str) -> list[Path] | None:
        said = subprocess.check_output([self._client, "image", "inspect", name], env=self._env)
        return list(_overlay(json.loads(said)[0]["GraphDriver"]["Data"]))

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)

    def _measured(self, *words: str) -> Cost:
        tree = Tree(self._daemon.pid)
        before = tree.start()
        client = command([self._client, *words], self._env)
        return client + Cost(0, *tree.stop(before))


class Podman:
    """Podman with a store of our own."""

    name = "podman"

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._env = plain_env(folder)
        self._words = [
            "podman", "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "overlay",
        ]  # fmt: skip

    def pull(self, name: str) -> Cost:
        return self._run("pull", "-q", "--tls-verify=false", name)

    def push(self, name: str) -> Cost:
        return self._run("push", "-q", "--tls-verify=false", name)

    def load(self, archive: Path) -> None:
        self._run("load", "-q", "-i", str(archive))

    def tag(self, name: str, target: str) -> None:
        self._run("tag", name, target)

    def clear(self) -> None:
        self._run("image", "prune", "-af")

    def trees(self, name: str) -> list[Path] | None:
        said = subprocess.check_output([*map(str, self._words), "image", "inspect", name], env=self._env)
        return list(_overlay(json.loads(said)[0]["GraphDriver"]["Data"]))

    def close(self) -> None:
        """Nothing stays up."""

    def _run(self, *words: str) -> Cost:
        return command([*self._words, *words], self._env)


class Skopeo:
    """Skopeo, which unpacks nothing: pulls into an OCI layout, pushes from an archive."""

    name = "skopeo (unpacks nothing)"

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._env = plain_env(folder)
        self._archives: dict[str, Path] = {}

    def pull(self, name: str) -> Cost:
        target = f"oci:{self._folder / 'layout'}:x"
        return self._copy("--src-tls-verify=false", f"docker://{name}", target)

    def push(self, name: str) -> Cost:
        return self._copy("--dest-tls-verify=false", f"docker-archive:{self._archives[name]}", f"docker://{name}")

    def load(self, archive: Path) -> None:
        listed = subprocess.check_output(["tar", "-xOf", archive, "manifest.json"])
        self._archives[json.loads(listed)[0]["RepoTags"][0]] = archive

    def tag(self, name: str, target: str) -> None:
        self._archives[target] = self._archives[name]

    def clear(self) -> None:
        shutil.rmtree(self._folder / "layout", ignore_errors=True)
        self._archives.clear()

    def trees(self, _: str) -> list[Path] | None:
        return None

    def close(self) -> None:
        """Nothing stays up."""

    def _copy(self, *words: str) -> Cost:
        return command(["skopeo", "--insecure-policy", "copy", "-q", *words], self._env)


def all_of(python: str, folder: Path, wanted: str) -> list[Subject]:
    """Those that are installed, and that `wanted` names (separated by commas) if it is not empty."""
    found: list[Subject] = [Engine(python, folder / "engine")]
    listed = subprocess.run([python, "-m", "orlop", "pull", "--help"], check=False, capture_output=True)
    if listed.returncode == 0:
        found.append(Fresh(python, folder / "fresh"))
    names = set(filter(None, wanted.split(",")))
    root = os.geteuid() == 0
    if root and shutil.which("dockerd") and (not names or "docker" in names):
        found.append(Docker(folder / "docker"))
    if root and shutil.which("podman") and (not names or "podman" in names):
        found.append(Podman(folder / "podman"))
    if shutil.which("skopeo") and (not names or "skopeo" in names):
        found.append(Skopeo(folder / "skopeo"))
    return found


def check_trees(subject: Subject, name: str, image: Image) -> None:
    """Raise unless every file of the image is there, with its size; outside the time that is measured."""
    trees = subject.trees(name)
    if trees is None:
        return
    files = size = 0
    for tree in trees:
        for folder, _, names in os.walk(tree):
            files += len(names)
            size += sum(os.lstat(os.path.join(folder, each)).st_size for each in names)
    if (files, size) != (image.files, image.size):
        sys.exit(f"{subject.name} has {files} files of {size} bytes instead of {image.files} of {image.size}")


def plain_env(folder: Path) -> dict[str, str]:
    """The environment without any setting of this machine's user."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": str(folder)}


def orlop_env(folder: Path) -> dict[str, str]:
    """The same with a store of its own."""
    folder.mkdir(exist_ok=True)
    return {**plain_env(folder), "ORLOP_ROOT": str(folder / "store"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def _overlay(data: dict[str, str]) -> Iterator[Path]:
    yield Path(data["UpperDir"])
    for lower in filter(None, data.get("LowerDir", "").split(":")):
        yield Path(lower)
