"""Other container tools as partners of an exchange: each pulls an image from a registry, and pushes it on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol


class Partner(Protocol):
    """A tool with a store of its own; names are `host:port/path:tag` of a registry that speaks plain HTTP."""

    def pull(self, name: str) -> str:
        """Pull, and tell the image ID (`sha256:…`) that the tool gives it."""

    def push(self, name: str, target: str) -> None:
        """Push a pulled image under another name."""

    def close(self) -> None:
        """Delete the store."""


class Containers:
    """podman or buildah, which share their ways of naming and storing."""

    def __init__(self, program: str, folder: Path) -> None:
        self._folder = folder
        self._prefix = [
            program, "--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs",
        ]  # fmt: skip

    def pull(self, name: str) -> str:
        self._run("pull", "-q", "--tls-verify=false", name)
        kind = ["inspect", "--type", "image"]
        found = json.loads(self._run(*kind, name))
        found = found[0] if isinstance(found, list) else found
        return "sha256:" + (found.get("Id") or found["FromImageID"]).removeprefix("sha256:")

    def push(self, name: str, target: str) -> None:
        self._run("push", "-q", "--tls-verify=false", name, f"docker://{target}")

    def close(self) -> None:
        self._run("rmi", "-af")

    def _run(self, *words: str) -> str:
        return run([*self._prefix, *words], {"TMPDIR": str(self._folder)})


class Skopeo:
    """skopeo, whose store is a directory of images just as they came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pull(self, name: str) -> str:
        place = self._place(name)
        run(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{place}"])
        manifest = json.loads((place / "manifest.json").read_text())
        return str(manifest["config"]["digest"])

    def push(self, name: str, target: str) -> None:
        run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"dir:{self._place(name)}", f"docker://{target}"])

    def close(self) -> None:
        shutil.rmtree(self._folder)

    def _place(self, name: str) -> Path:
        return self._folder / name.replace("/", "_").replace(":", "_")


class Docker:
    """Docker with a daemon of its own, which touches nothing of the machine's network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with (folder / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                [
                    "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec",
                    "-H", f"unix://{folder}/d.sock", "--pidfile", folder / "pid",
                    "--bridge", "none", "--iptables=false", "--ip-masq=false",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise AssertionError(f"dockerd does not start:\n{(folder / 'log').read_text()[-3000:]}")
            time.sleep(0.2)

    def pull(self, name: str) -> str:
        self._run("pull", "-q", name)
        return self._run("image", "inspect", "-f", "{{.Id}}", name).strip()

    def push(self, name: str, target: str) -> None:
        self._run("tag", name, target)
        self._run("push", "-q", target)

    def close(self) -> None:
        self._daemon.terminate()
        try:
            self._daemon.wait(30)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()

    def _answers(self) -> bool:
        done = subprocess.run([self._client(), "version"], capture_output=True, env=self._env())
        return done.returncode == 0

    def _run(self, *words: str) -> str:
        return run([self._client(), *words], self._env())

    def _client(self) -> str:
        return "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"

    def _env(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self._folder}/d.sock", "HOME": str(self._folder)}


def missing(name: str) -> str:
    """Why a tool cannot take part here; empty when it can."""
    for program in ("docker", "dockerd") if name == "docker" else (name,):
        if shutil.which(program) is None:
            return f"needs {program}"
    return "" if name == "skopeo" or os.geteuid() == 0 else f"{name} takes part as root only"


def start(name: str, folder: Path) -> Partner:
    """The tool of that name with an empty store."""
    if name == "docker":
        return Docker(folder)
    return Skopeo(folder) if name == "skopeo" else Containers(name, folder)


def run(words: list[str], variables: dict[str, str] | None = None) -> str:
    """What a program printed, which must have ended well."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **(variables or {})}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, f"{' '.join(map(str, words))}:\n{done.stdout}{done.stderr}"
    return done.stdout
