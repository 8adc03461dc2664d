"""Logins in Docker's `config.json` and podman's `auth.json`: read from both, written to Docker's, nothing else lost."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orlop.core import errors
from orlop.registry import helpers
from orlop.registry.credentials import Credential, Login, Secret, host_of, key_of
from orlop.registry.helpers import Helper, HelperFailed

_ENVIRONMENT = "DOCKER_AUTH_CONFIG"


class DockerConfig:
    """Implements `Credentials`. Thread-safe; other programs may use the files at the same time.

    Looked at in turn: `environ_auth` (the JSON that the variable DOCKER_AUTH_CONFIG holds), the file's helpers, its
    `auths`, then the `fallbacks`. A helper that is missing or broken counts as having nothing, after one `note`, so
    that public images can still be pulled.
    """

    def __init__(
        self,
        path: Path,
        fallbacks: tuple[Path, ...] = (),
        *,
        helpers_path: str = os.defpath,
        helpers_environment: Mapping[str, str] | None = None,
        environ_auth: str | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._fallbacks = fallbacks
        self._helpers_path = helpers_path
        self._helpers_environment = dict(helpers_environment or {})
        self._environ_auth = environ_auth
        self._note = note
        self._guard = threading.Lock()
        self._noted: set[str] = set()

    def get(self, host: str, repository: str = "") -> Credential | None:
        """The credential for a host; where podman keeps one for a part of it, the most specific."""
        found = self._find(host, repository)
        return found[0] if found is not None else None

    def source(self, host: str) -> str:
        """The file, helper or variable that has the credential; empty when none does."""
        found = self._find(host, "")
        return found[1] if found is not None else ""

    def save(self, host: str, credential: Credential) -> str:
        """Keep it in the helper that is configured, else in the file; tells where. Raises `Unavailable`, `DiskFull`."""
        key = key_of(host)
        with self._writing() as data:
            auths = _table(data, "auths")
            helper = self._helper(data, key)
            if helper is not None:
                try:
                    helper.store(key, credential)
                except HelperFailed as error:
                    raise helpers.failed(error, host) from error
            elif not auths and not _table(data, "credHelpers"):
                helper = self._adopt(data, key, credential)
            for known in [known for known in auths if _is_of(known, host)]:
                del auths[known]
            # With a helper an empty entry tells other tools that there is a login.
            auths[key] = {} if helper is not None else _entry(credential)
            data["auths"] = auths
        return helper.program if helper is not None else str(self.path)

    def erase(self, host: str) -> bool:
        """Forget it, in the helper and in the file; False when there was none. Raises `Unavailable`."""
        key = key_of(host)
        if self.path.exists():
            with self._writing() as data:
                helper = self._helper(data, key)
                there = False
                if helper is not None and helper.is_there():
                    try:
                        there = helper.get(key) is not None
                        if there:
                            helper.erase(key)
                    except HelperFailed as error:
                        raise helpers.failed(error, host) from error
                auths = _table(data, "auths")
                known = [name for name in auths if _is_of(name, host)]
                for name in known:
                    del auths[name]
                if known:
                    data["auths"] = auths
            return there or bool(known)
        return False

    def list(self) -> tuple[Login, ...]:
        """Every login that can be seen, by host; the first source of a host counts."""
        found: dict[str, Login] = {}

        def add(key: str, username: str, source: str) -> None:
            found.setdefault(host_of(key), Login(host_of(key), username, source))

        for data, source in self._documents():
            auths = _table(data, "auths")
            names = {str(name) for name in _table(data, "credHelpers").values()}
            default = data.get("credsStore")
            for name in sorted({*names, *([default] if isinstance(default, str) and default else [])}):
                helper = self._make_helper(name)
                try:
                    for key, username in helper.list().items():
                        if not key.endswith(("access-token", "refresh-token")):
                            add(key, "" if username == "<token>" else username, helper.program)
                except HelperFailed as error:
                    self._tell(str(error))
            for key, entry in auths.items():
                credential = _credential(entry)
                if credential is not None:
                    add(key, credential.username, source)
        return tuple(found[host] for host in sorted(found))

    def _find(self, host: str, repository: str) -> tuple[Credential, str] | None:
        key = key_of(host)
        for data, source in self._documents():
            helper = self._helper(data, key)
            if helper is not None:
                try:
                    credential = helper.get(key)
                except HelperFailed as error:
                    self._tell(f"{error}; going on without its logins")
                    credential = None
                if credential is not None:
                    return credential, helper.program
            for name in _names(host, key, repository, _table(data, "auths")):
                credential = _credential(_table(data, "auths")[name])
                if credential is not None:
                    return credential, source
        return None

    def _documents(self) -> Iterator[tuple[dict[str, Any], str]]:
        if self._environ_auth:
            data = _parsed(self._environ_auth)
            if data is None:
                self._tell(f"{_ENVIRONMENT} is not JSON; going on without it")
            else:
                yield {"auths": data.get("auths", {})}, _ENVIRONMENT
        for path in (self.path, *self._fallbacks):
            try:
                text = path.read_text(encoding="utf-8")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, UnicodeDecodeError) as error:
                self._tell(f"cannot read {path}: {error}; going on without its logins")
                continue
            data = _parsed(text)
            if data is None:
                self._tell(f"{path} is not JSON; going on without its logins")
            else:
                yield data, str(path)

    def _helper(self, data: dict[str, Any], key: str) -> Helper | None:
        """The helper for a key: its own, or the one for all."""
        own = _table(data, "credHelpers")
        for name, program in own.items():
            if isinstance(program, str) and program and host_of(name) == host_of(key):
                return self._make_helper(program)
        default = data.get("credsStore")
        return self._make_helper(default) if isinstance(default, str) and default else None

    def _adopt(self, data: dict[str, Any], key: str, credential: Credential) -> Helper | None:
        """The system's usual store for the first login of all, where one works (as Docker chooses it)."""
        for name in ("pass", "secretservice"):
            helper = self._make_helper(name)
            if not helper.is_there() or (name == "pass" and shutil.which("pass", path=self._helpers_path) is None):
                continue
            try:
                helper.store(key, credential)
            except HelperFailed as error:
                self._tell(f"{error}; the login is kept in {self.path} instead")
                continue
            data["credsStore"] = name
            return helper
        return None

    def _make_helper(self, name: str) -> Helper:
        return Helper(name, self._helpers_path, self._helpers_environment)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[dict[str, Any]]:
        """The file's document to change; it replaces the file afterwards, whole, with mode and owner as they were."""
        target = Path(os.path.realpath(self.path))
        try:
            os.makedirs(target.parent, mode=0o700, exist_ok=True)
            lock = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise errors.from_os(error, f"write {self.path}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self._read_for_writing(target)
            yield data
            try:
                _replace(target, json.dumps(data, indent="\t", ensure_ascii=False).encode() + b"\n")
            except OSError as error:
                raise errors.from_os(error, f"write {self.path}") from error
        finally:
            os.close(lock)

    def _read_for_writing(self, target: Path) -> dict[str, Any]:
        try:
            data = _parsed(target.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError:
            data = None
        except OSError as error:
            raise errors.from_os(error, f"read {self.path}") from error
        if data is None:
            raise errors.Invalid(f"cannot change {self.path}: it is not JSON", hint="Mend the file, or move it away.")
        return data

    def _tell(self, text: str) -> None:
        with self._guard:
            new = text not in self._noted
            self._noted.add(text)
        if new:
            self._note(text)


def _names(host: str, key: str, repository: str, auths: Mapping[str, Any]) -> Iterator[str]:
    """The entries that are for a host, best first: parts of it (podman), its key, other spellings of it."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), 0, -1):
        name = f"{host}/{'/'.join(parts[:count])}"
        if name in auths:
            yield name
    if key in auths:
        yield key
    for name in auths:
        if name != key and _is_of(name, host):
            yield name


def _is_of(name: str, host: str) -> bool:
    """Whether an entry is for a whole host, however it is spelt; those for a part of one (podman) are not."""
    bare = name.removeprefix("https://").removeprefix("http://").rstrip("/")
    path = bare.partition("/")[2]
    return host_of(name) == host and (path in ("", "v1", "v2") or "://" in name)


def _credential(entry: Any) -> Credential | None:
    """What an entry of `auths` says; None when it is empty or cannot be read."""
    if not isinstance(entry, dict):
        return None
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            decoded = base64.b64decode(entry["auth"], validate=False).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
        username, _, password = decoded.partition(":")
        password = password.rstrip("\x00")
    if isinstance(entry.get("registrytoken"), str) and entry["registrytoken"]:
        return Credential(username, Secret(entry["registrytoken"]), registry_token=True)
    if isinstance(entry.get("identitytoken"), str) and entry["identitytoken"]:
        return Credential(username, Secret(entry["identitytoken"]), identity_token=True)
    return Credential(username, Secret(password)) if username and password else None


def _entry(credential: Credential) -> dict[str, str]:
    if credential.identity_token:
        pair = base64.b64encode(f"{credential.username}:".encode()).decode()
        return {"auth": pair, "identitytoken": credential.secret.value}
    if credential.registry_token:
        return {"registrytoken": credential.secret.value}
    return {"auth": base64.b64encode(f"{credential.username}:{credential.secret.value}".encode()).decode()}


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return dict(value) if isinstance(value, dict) else {}


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _replace(target: Path, data: bytes) -> None:
    """Write beside the file, with its mode and owner, and put that in its place."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        status = None
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if status is not None:
                os.fchmod(descriptor, status.st_mode & 0o777)
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
