"""The image configuration: what runs, how, on which layers, and how it came to be; unknown keys survive.

OCI image-spec, config.md, with Docker's additions (Healthcheck, OnBuild, Shell). Its digest is the image ID.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from orlop.core import descriptor, errors, platform
from orlop.core import digest as digests
from orlop.core.digest import Digest
from orlop.core.platform import Platform

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What BuildKit, and our builder like it, writes into every step of the history.
BUILD_COMMENT = "buildkit.dockerfile.v0"
_NONE: Mapping[str, Any] = {}


@attrs.frozen(slots=True)
class Healthcheck:
    """How to ask a container whether it is well; durations in nanoseconds, 0 means inherited or default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@attrs.frozen(slots=True)
class RunConfig:
    """The `config` object: the defaults a container starts with.

    `command` and `entrypoint` are None when unset, which is not the same as empty. `env` keeps its order.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = _NONE
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = _NONE

    def environment(self) -> dict[str, str]:
        """`env` as a mapping, in order."""
        pairs = (item.partition("=") for item in self.env)
        return {name: value for name, _, value in pairs}

    def with_env(self, name: str, value: str) -> RunConfig:
        """Set one variable in its place, or at the end if it is new."""
        pairs = self.environment() | {name: value}
        return attrs.evolve(self, env=tuple(f"{key}={item}" for key, item in pairs.items()))


@attrs.frozen(slots=True)
class History:
    """One step that made the image; `empty_layer` steps have no diff ID."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@attrs.frozen(slots=True)
class ImageConfig:
    """A whole configuration document; `created` is RFC 3339 or None."""

    platform: Platform
    config: RunConfig = RunConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str | None = None
    author: str = ""
    extra: Mapping[str, Any] = _NONE


def parse(raw: bytes) -> ImageConfig:
    """Read a configuration; raises `Invalid` when it is malformed or not that of an image."""
    try:
        data = json.loads(raw)
        if not isinstance(data, dict) or "rootfs" not in data:
            raise errors.Invalid("not an image configuration", hint="Name an image; this is another kind of artifact.")
        return _read(dict(data))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise errors.Invalid(f"malformed image configuration: {error}") from error


def encode(config: ImageConfig) -> bytes:
    """The document's bytes; the same value gives the same bytes."""
    data: dict[str, Any] = dict(config.extra)
    data["architecture"] = config.platform.architecture
    if config.platform.variant:
        data["variant"] = config.platform.variant
    data["config"] = write_run_config(config.config)
    if config.author:
        data["author"] = config.author
    if config.created:
        data["created"] = config.created
    data["history"] = [_write_history(item) for item in config.history]
    data["os"] = config.platform.os
    data["rootfs"] = {"type": "layers", "diff_ids": [str(item) for item in config.diff_ids]}
    return descriptor.encode(data)


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The chain ID of each layer upon those below it (config.md#layer-chainid)."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digests.of_bytes(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def read_run_config(data: Mapping[str, Any]) -> RunConfig:
    """The `config` object from its JSON, in Docker's spelling."""
    rest = dict(data)

    def text(key: str) -> str:
        return str(rest.pop(key, None) or "")

    def words(key: str) -> tuple[str, ...] | None:
        value = rest.pop(key, None)
        return None if value is None else tuple(map(str, [value] if isinstance(value, str) else value))

    health = rest.pop("Healthcheck", None)
    return RunConfig(
        user=text("User"),
        exposed_ports=tuple(sorted(rest.pop("ExposedPorts", None) or {})),
        env=words("Env") or (),
        entrypoint=words("Entrypoint"),
        command=words("Cmd"),
        volumes=tuple(sorted(rest.pop("Volumes", None) or {})),
        working_dir=text("WorkingDir"),
        labels=dict(rest.pop("Labels", None) or {}),
        stop_signal=text("StopSignal"),
        healthcheck=_read_healthcheck(health) if health else None,
        on_build=words("OnBuild") or (),
        shell=words("Shell"),
        extra=rest,
    )


def write_run_config(config: RunConfig) -> dict[str, Any]:
    """The `config` object as JSON, in Docker's spelling and order; empty members are left out."""
    data: dict[str, Any] = {}
    if config.user:
        data["User"] = config.user
    if config.exposed_ports:
        data["ExposedPorts"] = {port: {} for port in sorted(config.exposed_ports)}
    if config.env:
        data["Env"] = list(config.env)
    if config.entrypoint is not None:
        data["Entrypoint"] = list(config.entrypoint)
    if config.command is not None:
        data["Cmd"] = list(config.command)
    if config.healthcheck:
        data["Healthcheck"] = _write_healthcheck(config.healthcheck)
    if config.volumes:
        data["Volumes"] = {path: {} for path in sorted(config.volumes)}
    if config.working_dir:
        data["WorkingDir"] = config.working_dir
    if config.labels:
        data["Labels"] = dict(config.labels)
    if config.stop_signal:
        data["StopSignal"] = config.stop_signal
    if config.on_build:
        data["OnBuild"] = list(config.on_build)
    if config.shell is not None:
        data["Shell"] = list(config.shell)
    return data | {key: value for key, value in config.extra.items() if key not in data}


def _read(data: dict[str, Any]) -> ImageConfig:
    rootfs = data.pop("rootfs")
    history = data.pop("history", None) or ()
    return ImageConfig(
        platform=platform.normalize(
            str(data.pop("os", None) or "linux"),
            str(data.pop("architecture", None) or "amd64"),
            str(data.pop("variant", None) or ""),
        ),
        config=read_run_config(data.pop("config", None) or {}),
        diff_ids=tuple(digests.parse(item) for item in rootfs.get("diff_ids") or ()),
        history=tuple(_read_history(item) for item in history),
        created=data.pop("created", None),
        author=str(data.pop("author", None) or ""),
        extra=data,
    )


def _read_history(data: Mapping[str, Any]) -> History:
    return History(
        created=data.get("created"),
        created_by=str(data.get("created_by") or ""),
        comment=str(data.get("comment") or ""),
        author=str(data.get("author") or ""),
        empty_layer=bool(data.get("empty_layer")),
    )


def _write_history(item: History) -> dict[str, Any]:
    data: dict[str, Any] = {"created": item.created} if item.created else {}
    if item.created_by:
        data["created_by"] = item.created_by
    if item.author:
        data["author"] = item.author
    if item.comment:
        data["comment"] = item.comment
    if item.empty_layer:
        data["empty_layer"] = True
    return data


_HEALTH = (
    ("Interval", "interval"), ("Timeout", "timeout"), ("StartPeriod", "start_period"),
    ("StartInterval", "start_interval"), ("Retries", "retries"),
)  # fmt: skip


def _read_healthcheck(data: Mapping[str, Any]) -> Healthcheck:
    numbers = {name: int(data.get(key) or 0) for key, name in _HEALTH}
    return Healthcheck(tuple(map(str, data.get("Test") or ())), **numbers)


def _write_healthcheck(check: Healthcheck) -> dict[str, Any]:
    data: dict[str, Any] = {"Test": list(check.test)} if check.test else {}
    return data | {key: getattr(check, name) for key, name in _HEALTH if getattr(check, name)}
