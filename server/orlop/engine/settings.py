"""Where things are and how the engine behaves; the only place below the front-ends that reads the environment."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from orlop.core import errors

# The registries' own settings are read when a registry is asked.
if TYPE_CHECKING:
    from orlop.registry.configuration import RegistryConfig
    from orlop.registry.dockerconfig import DockerConfig

# Passed to every RUN without an ARG, never kept in the image (Dockerfile reference, "Predefined ARGs").
PROXY_VARIABLES = tuple(
    spelling for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for spelling in (name, name.lower())
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Settings:
    """`root` is the store, `run_dir` holds sockets and pid files (short paths), `proxies` go to RUN steps.

    `environ` are the variables that say where logins and certificates of registries are; it may hold secrets.
    """

    root: Path
    run_dir: Path
    proxies: Mapping[str, str] = attrs.field(factory=dict)
    config: Mapping[str, Any] = attrs.field(factory=dict)
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], root: Path | None = None) -> Settings:
        """Read `ORLOP_ROOT`, the XDG directories and the configuration file; raises `Invalid` on a bad file."""
        home = Path(environ.get("HOME") or os.path.expanduser("~"))
        data_home = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
        chosen = root or Path(environ.get("ORLOP_ROOT") or data_home / "orlop")
        chosen = Path(os.path.abspath(chosen))
        proxies = {name: environ[name] for name in PROXY_VARIABLES if environ.get(name)}
        return cls(
            root=chosen,
            run_dir=_run_dir(environ, chosen),
            proxies=proxies,
            config=_read_config(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "orlop" / "config.toml"),
            environ=dict(environ),
        )

    def registry_config(self) -> RegistryConfig:
        """How registries are reached; raises `Invalid` naming the key that is wrong."""
        from orlop.engine import registrysettings  # noqa: PLC0415

        return registrysettings.config(self.config.get("registries", {}), self.environ, self.proxies)

    def registry_credentials(self, note: Callable[[str], None]) -> DockerConfig:
        """The logins that Docker and podman share with us; `note` hears of helpers that do not work."""
        from orlop.engine import registrysettings  # noqa: PLC0415

        return registrysettings.credentials(self.environ, note)


def _run_dir(environ: Mapping[str, str], root: Path) -> Path:
    """Sockets need short paths (108 bytes) and vanish at logout, which is right for what they stand for."""
    # Root's containers share one bridge, whatever store they come from, so their state has one place.
    if os.geteuid() == 0 and os.access("/run", os.W_OK):
        return Path("/run/orlop")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime) and os.access(runtime, os.W_OK):
        return Path(runtime) / "orlop"
    inside = root / "run"
    if len(str(inside)) <= 60:
        return inside
    return Path(tempfile.gettempdir()) / f"orlop-{os.getuid()}"


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise errors.Invalid(f"cannot read {path}: {error}", hint="Mend the file, or move it away.") from error
