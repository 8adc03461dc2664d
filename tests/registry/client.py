"""Our side of a transfer: a store, the registry client with little patience, and what it told on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from orlop.core import reference as references
from orlop.core.job import Job, Note
from orlop.core.platform import Platform
from orlop.engine import pulling, pushing
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Credential, Credentials, Memory, Secret
from orlop.registry.registries import Registries
from orlop.rootfs.workshop import Workshop
from orlop.store.store import Store

# The platform of the images that these tests make, whatever machine they run on.
AMD64 = Platform("linux", "amd64")


class Client:
    """Pulls and pushes in this process; `events` is all that the last job told."""

    def __init__(self, root: Path, workshop: Workshop) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.store = Store(root / "store", remove_tree=workshop.remove_tree)
        self.workshop = workshop
        self.credentials: Credentials = Memory()
        self.events: list[Any] = []
        self.registries: Registries = self.fresh()

    def fresh(self, **settings: Any) -> Registries:
        """A client without any memory, and with these settings."""
        if hasattr(self, "registries"):
            self.registries.close()
        self.registries = Registries(
            RegistryConfig(**{"backoff": 0.01, "stall_seconds": 2.0, **settings}), self.credentials
        )
        return self.registries

    def login(self, host: str, user: str, password: str, *, identity: bool = False) -> None:
        """Have an account for a host."""
        self.credentials.save(host, Credential(user, Secret(password), identity_token=identity))

    def pull(self, name: str, platform: Platform = AMD64) -> pulling.Pulled:
        """Pull a name for a platform."""
        self.events.clear()
        job = Job(self.events.append)
        return pulling.pull(self.store, self.workshop, self.registries, references.parse(name), platform, job)

    def push(self, name: str) -> pushing.Pushed:
        """Push the image of a name."""
        self.events.clear()
        job = Job(self.events.append)
        return pushing.push(self.store, self.workshop, self.registries, references.parse(name), job)

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""
        self.store.images.tag(references.parse(name), self.store.images.find(image).id)

    def names(self) -> set[str]:
        """Every tag there is."""
        return {str(name) for image in self.store.images.list() for name in image.references}

    def notes(self) -> list[str]:
        """What the last job had to say to people."""
        return [event.message for event in self.events if isinstance(event, Note)]

    def sound(self) -> bool:
        """Whether the whole store is what it says it is, byte for byte."""
        return self.store.verify(Job()) == ()

    def close(self) -> None:
        """Let go of the store and of idle connections."""
        self.registries.close()
        self.store.close()


def start(root: Path, *words: str, config: str = "", **variables: str) -> subprocess.Popen[bytes]:
    """Type an `orlop` command upon the store below `root`, with a home and a config.toml of its own; it runs on."""
    home = root / "home"
    place = home / ".config" / "orlop"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.toml").write_text(config)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "ORLOP_ROOT": str(root / "store"), **variables,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "orlop", *words], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def typed(root: Path, *words: str, config: str = "", **variables: str) -> tuple[int, str]:
    """The exit code of such a command, and all that it printed."""
    process = start(root, *words, config=config, **variables)
    said, _ = process.communicate(timeout=120)
    text = said.decode(errors="replace")
    assert "Traceback" not in text, text
    return process.returncode, text
