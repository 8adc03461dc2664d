"""Credential helpers: programs `docker-credential-<name>` that keep secrets in the system's own place for them.

The protocol is that of docker-credential-helpers: a verb as argument, text on standard input, JSON on standard output,
where errors come too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import attrs

from orlop.core import errors
from orlop.registry.credentials import Credential, Secret

_SECONDS = 30.0
_NONE = ("credentials not found in native keychain", "credentials not found")
# This user name says that the secret is a token of the registry's token service.
_TOKEN = "<token>"  # noqa: S105 - no secret


class HelperFailed(Exception):
    """A helper is missing or broke; the text says which and how. Never shown as it is."""


@attrs.frozen
class Helper:
    """One helper by its short name, looked for in the directories of `path` and run with `environment`."""

    name: str
    path: str
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def program(self) -> str:
        """The name of the program."""
        return f"docker-credential-{self.name}"

    def is_there(self) -> bool:
        """Whether the program exists."""
        return self._located() is not None

    def get(self, key: str) -> Credential | None:
        """The credential kept under `key`; None when there is none. Raises `HelperFailed`."""
        output = self._run("get", key)
        if output is None:
            return None
        data = _json(output, self.program)
        username, secret = data.get("Username"), data.get("Secret")
        if not isinstance(username, str) or not isinstance(secret, str):
            raise HelperFailed(f"{self.program} gave no user name and secret")
        if not secret:
            return None
        return Credential("" if username == _TOKEN else username, Secret(secret), identity_token=username == _TOKEN)

    def store(self, key: str, credential: Credential) -> None:
        """Keep a credential under `key`; raises `HelperFailed`."""
        username = _TOKEN if credential.identity_token else credential.username
        document = {"ServerURL": key, "Username": username, "Secret": credential.secret.value}
        self._run("store", json.dumps(document))

    def erase(self, key: str) -> None:
        """Forget what is kept under `key`; raises `HelperFailed`."""
        self._run("erase", key)

    def list(self) -> Mapping[str, str]:
        """User names by key; raises `HelperFailed`."""
        output = self._run("list", "")
        data = _json(output, self.program) if output and output.strip() else {}
        return {str(key): str(user) for key, user in data.items()}

    def _located(self) -> str | None:
        # A name with a slash would be a path of the configuration file's choosing.
        return None if "/" in self.name else shutil.which(self.program, path=self.path)

    def _run(self, verb: str, text: str) -> str | None:
        """What it answers; None when it says that it has no such credential."""
        located = self._located()
        if located is None:
            raise HelperFailed(f"{self.program} is not installed")
        try:
            done = subprocess.run(
                [located, verb],
                input=text.encode(),
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env={**self.environment, "PATH": self.path},
            )
        except subprocess.TimeoutExpired as error:
            raise HelperFailed(f"{self.program} {verb} did not answer for {_SECONDS:.0f} s") from error
        except OSError as error:
            raise HelperFailed(f"{self.program} cannot be run: {os.strerror(error.errno or 0).lower()}") from error
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode == 0:
            return output
        said = output.strip() or done.stderr.decode("utf-8", "replace").strip()
        if said.lower() in _NONE:
            return None
        raise HelperFailed(
            f"{self.program} {verb} failed: {' '.join(said.split())[:200] or f'exit code {done.returncode}'}"
        )


def failed(error: HelperFailed, host: str) -> errors.Unavailable:
    """The error for people when a login cannot be kept or forgotten because of a helper."""
    return errors.Unavailable(
        f"cannot keep the login of {host}: {error}",
        hint="Mend the helper, or remove credsStore and credHelpers from Docker's config.json.",
    )


def _json(output: str, program: str) -> dict[str, Any]:
    try:
        data = json.loads(output)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise HelperFailed(f"{program} did not answer in JSON")
    return data
