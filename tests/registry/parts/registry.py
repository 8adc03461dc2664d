"""Debian's `docker-registry` as a process of the tests' own: anonymous, by password, by token, over TLS.

The password file's bcrypt lines come from the C library's own libcrypt, so no further package is needed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .certs import Pair
from .tokens import TokenServer

BINARY = "docker-registry"


def missing() -> str:
    """Why no registry can be started here; empty when one can."""
    return "" if shutil.which(BINARY) else "needs Debian's docker-registry (apt-get install docker-registry)"


class Registry:
    """A running registry on a free port of 127.0.0.1; `passwords`, `tokens` or neither decide who may come in."""

    def __init__(
        self, folder: Path, *, passwords: Mapping[str, str] | None = None, tokens: TokenServer | None = None,
        tls: Pair | None = None, client_ca: Path | None = None, deletion: bool = True, schema1: bool = False,
        relative_locations: bool = False, upstream: str = "",
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.storage = folder / "storage"
        self._folder = folder
        self._config = _config(self.storage, deletion=deletion, relative=relative_locations)
        http = self._config["http"]
        if passwords is not None:
            (folder / "htpasswd").write_text("".join(f"{name}:{_bcrypt(word)}\n" for name, word in passwords.items()))
            self._config["auth"] = {"htpasswd": {"realm": "Test", "path": str(folder / "htpasswd")}}
        if tokens is not None:
            self._config["auth"] = {
                "token": {
                    "realm": tokens.realm, "service": tokens.service, "issuer": tokens.issuer,
                    "rootcertbundle": str(tokens.certificate),
                }
            }  # fmt: skip
        if tls is not None:
            http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
            if client_ca is not None:
                http["tls"]["clientcas"] = [str(client_ca)]
        if schema1:
            self._config["compatibility"] = {"schema1": {"enabled": True}}
        if upstream:
            self._config["proxy"] = {"remoteurl": upstream}
        self._scheme = "https" if tls else "http"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.start()

    @property
    def host(self) -> str:
        """`127.0.0.1:<port>`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The scheme and the host."""
        return f"{self._scheme}://{self.host}"

    @property
    def log(self) -> str:
        """All that the registry has said so far."""
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start, or start again on the same port."""
        self._config["http"]["addr"] = f"127.0.0.1:{self.port}"
        # JSON is YAML.
        (self._folder / "config.yml").write_text(json.dumps(self._config))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([BINARY, "serve", self._folder / "config.yml"], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"docker-registry does not start:\n{self.log}")
            time.sleep(0.01)
        self.port = int(found[1])

    def stop(self) -> None:
        """End the process; what it stores stays until the folder goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Forget all repositories."""
        self.stop()
        shutil.rmtree(self.storage, ignore_errors=True)
        self.start()

    def blob(self, digest: str) -> Path:
        """The file in which the registry keeps a blob, for damaging or counting."""
        hexadecimal = digest.partition(":")[2]
        return self.storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"

    def uploads(self, repository: str) -> list[Path]:
        """Upload sessions that are still open in a repository."""
        folder = self.storage / "docker/registry/v2/repositories" / repository / "_uploads"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _config(storage: Path, *, deletion: bool, relative: bool) -> dict[str, Any]:
    return {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": deletion},
            # No memory of blobs: a file damaged or removed by a test must be noticed.
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": "", "secret": secrets.token_hex(8), "relativeurls": relative},
    }  # fmt: skip


def _bcrypt(password: str) -> str:
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    salt = "$2b$04$" + "".join(secrets.choice(alphabet) for _ in range(21)) + "."
    made: bytes | None = library.crypt(password.encode(), salt.encode())
    assert made and made.startswith(b"$2b$"), "this C library does not know bcrypt"
    return made.decode()
